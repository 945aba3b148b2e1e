"""The Intercom stand-in, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from millstream.sandbox import Sandbox

TOKEN = "sandbox-intercom"
DAY = 86_400


def call(sandbox: Sandbox, method: str, path: str, token: str = TOKEN, **request: Any) -> requests.Response:
    headers = {"Authorization": f"Bearer {token}", "Intercom-Version": "2.14", **request.pop("headers", {})}
    url = path if path.startswith("http") else f"{sandbox.system_url('intercom')}{path}"
    return requests.request(method, url, headers=headers, timeout=10, **request)


def search(
    sandbox: Sandbox, what: str, query: dict[str, Any], size: int = 150, **body: Any
) -> Iterator[dict[str, Any]]:
    """All rows that a search finds."""
    name, after = ("data" if what == "contacts" else what), None
    while True:
        pagination = {"per_page": size} | ({"starting_after": after} if after else {})
        answer = call(
            sandbox, "POST", f"/{what}/search", json={"query": query, "pagination": pagination, **body}
        ).json()
        yield from answer[name]
        if answer["pages"]["next"] is None:
            return
        after = answer["pages"]["next"]["starting_after"]


def everybody(sandbox: Sandbox) -> list[dict[str, Any]]:
    return list(search(sandbox, "contacts", {"field": "created_at", "operator": ">", "value": 0}))


def test_tokens_versions_and_permissions_are_checked(sandbox: Sandbox) -> None:
    assert call(sandbox, "GET", "/me").json()["app"]["region"] == "US"
    refused = call(sandbox, "GET", "/me", "nonsense")
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (401, "unauthorized")
    old = call(sandbox, "GET", "/me", headers={"Intercom-Version": "1.0"})
    assert old.json()["errors"][0]["code"] == "intercom_version_invalid"
    narrow = call(sandbox, "POST", "/conversations/search", "sandbox-intercom-contacts-only", json={})
    assert narrow.status_code == 403


def test_search_and_list_give_everybody_once(sandbox: Sandbox) -> None:
    rows = everybody(sandbox)
    small = list(search(sandbox, "contacts", {"field": "created_at", "operator": ">", "value": 0}, size=9))
    assert [row["id"] for row in small] == [row["id"] for row in rows]
    assert len({row["id"] for row in rows}) == len(rows) > 50
    listed, after = [], None
    while after is not False:
        body = call(sandbox, "GET", "/contacts", params={"per_page": 30, "starting_after": after}).json()
        listed += body["data"]
        after = body["pages"]["next"]["starting_after"] if body["pages"]["next"] else False
    assert {row["id"] for row in listed} == {row["id"] for row in rows}


def test_dates_match_by_day(sandbox: Sandbox) -> None:
    rows = everybody(sandbox)
    at = sorted(row["updated_at"] for row in rows)[len(rows) // 2]

    def found(operator: str) -> set[str]:
        query = {"field": "updated_at", "operator": operator, "value": at}
        return {row["id"] for row in search(sandbox, "contacts", query)}

    assert found(">") == {row["id"] for row in rows if row["updated_at"] // DAY > at // DAY}
    assert found("=") == {row["id"] for row in rows if row["updated_at"] // DAY == at // DAY}
    assert found("<") | found("=") | found(">") == {row["id"] for row in rows}


def test_groups_and_sorting(sandbox: Sandbox) -> None:
    query = {
        "operator": "AND",
        "value": [
            {"field": "role", "operator": "=", "value": "user"},
            {"field": "updated_at", "operator": ">", "value": 0},
        ],
    }
    rows = list(search(sandbox, "contacts", query, sort={"field": "updated_at", "order": "ascending"}))
    assert {row["role"] for row in rows} == {"user"}
    assert [row["updated_at"] for row in rows] == sorted(row["updated_at"] for row in rows)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"query": {"field": "updated_at", "operator": ">=", "value": 1}},
        {"query": {"field": "shoe_size", "operator": "=", "value": 1}},
        {"query": {"operator": "AND", "value": []}},
        {"query": {"field": "id", "operator": "=", "value": "1"}, "pagination": {"per_page": 151}},
        {"query": {"field": "id", "operator": "=", "value": "1"}, "pagination": {"starting_after": "x"}},
        {"query": {"field": "id", "operator": "=", "value": "1"}, "filters": 1},
    ],
)
def test_what_cannot_be_asked_is_refused(sandbox: Sandbox, body: dict[str, Any]) -> None:
    answer = call(sandbox, "POST", "/contacts/search", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "parameter_invalid")


def test_merged_leads_are_gone_from_lists_and_kept_in_the_history() -> None:
    with Sandbox(people=800, limits=False) as sandbox:
        rows = everybody(sandbox)
        query = {"field": "role", "operator": "=", "value": "user"}
        answer = call(
            sandbox,
            "POST",
            "/contacts/search?include_merge_history=true",
            json={"query": query, "pagination": {"per_page": 150}},
        )
        merged = [row for row in answer.json()["data"] if "merge_history" in row]
        assert merged
        for row in merged:
            history = call(sandbox, "GET", f"/contacts/{row['id']}/merge_history").json()["data"]
            assert history == row["merge_history"]
            assert history[0]["source_contact_id"] not in {one["id"] for one in rows}
        lead = next(row for row in rows if row["role"] == "lead")
        assert call(sandbox, "GET", f"/contacts/{lead['id']}/merge_history").status_code == 404


def test_contacts_are_who_the_truth_says(sandbox: Sandbox) -> None:
    owner = {
        contact: index
        for index in range(sandbox.company.people)
        for contact in sandbox.truth(index)["intercom_contacts"]  # type: ignore[attr-defined]
    }
    for row in everybody(sandbox):
        person = sandbox.company.person(owner[row["id"]])
        assert (row["email"] or person.email).lower() == person.email
        assert row["external_id"] == person.customer_id
        assert row["phone"] in (None, person.phone)
        assert row["unsubscribed_from_emails"] == (person.subscription == "UNSUBSCRIBED")


def test_one_scroll_at_a_time(fresh_sandbox: Sandbox) -> None:
    first = call(fresh_sandbox, "GET", "/companies/scroll").json()
    assert len(first["data"]) == 25
    second = call(fresh_sandbox, "GET", "/companies/scroll")
    assert (second.status_code, second.json()["errors"][0]["code"]) == (400, "scroll_exists")
    scroll = {"scroll_param": first["scroll_param"]}
    assert call(fresh_sandbox, "GET", "/companies/scroll", params=scroll).json()["data"] == []
    assert call(fresh_sandbox, "GET", "/companies/scroll").ok


def test_conversations_have_parts_when_asked_for_alone(sandbox: Sandbox) -> None:
    rows = list(search(sandbox, "conversations", {"field": "updated_at", "operator": ">", "value": 0}))
    assert len(rows) > 20
    assert all("conversation_parts" not in row for row in rows)
    whole = call(sandbox, "GET", f"/conversations/{rows[0]['id']}").json()
    assert whole["conversation_parts"]["total_count"] == 2


def test_events_of_one_contact_are_paged_by_url(sandbox: Sandbox) -> None:
    counts = []
    for contact in everybody(sandbox)[:20]:
        params = {"type": "user", "intercom_user_id": contact["id"], "per_page": 1}
        body, rows = call(sandbox, "GET", "/events", params=params).json(), []
        rows += body["events"]
        while "next" in body["pages"]:
            body = call(sandbox, "GET", body["pages"]["next"]).json()
            rows += body["events"]
        assert len({row["id"] for row in rows}) == len(rows)
        counts.append(len(rows))
    assert max(counts) == 3
    assert call(sandbox, "GET", "/events", params={"type": "user"}).status_code == 400


def test_life_goes_on(fresh_sandbox: Sandbox) -> None:
    before = {row["id"]: row["updated_at"] for row in everybody(fresh_sandbox)}
    requests.post(f"{fresh_sandbox.url}/_sandbox/advance", json={"share": 0.5}, timeout=10).raise_for_status()
    assert any(row["updated_at"] > before[row["id"]] for row in everybody(fresh_sandbox))


def test_the_limit_by_ten_seconds() -> None:
    with Sandbox(people=10) as sandbox:
        answers = [call(sandbox, "GET", "/tags") for _ in range(168)]
        assert [answer.status_code for answer in answers] == [200] * 167 + [429]
        assert answers[0].headers["X-RateLimit-Limit"] == "167"
