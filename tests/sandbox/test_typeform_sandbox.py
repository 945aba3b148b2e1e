"""The Typeform stand-in, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from millstream.sandbox import Sandbox

TOKEN = "tfp_sandbox"
NPS, CALL_BACK, IDEAS = "nps00001", "callback1", "ideas001"


def get(sandbox: Sandbox, path: str, token: str = TOKEN, **params: Any) -> requests.Response:
    url = f"{sandbox.system_url('typeform')}{path}"
    return requests.get(url, headers={"Authorization": f"Bearer {token}"}, params=params, timeout=10)


def walk(sandbox: Sandbox, form: str, size: int, **params: Any) -> Iterator[dict[str, Any]]:
    """All responses, newest first, as the vendor says to page: by the last token."""
    items = get(sandbox, f"/forms/{form}/responses", page_size=size, **params).json()["items"]
    while items:
        yield from items
        before = items[-1]["token"]
        items = get(sandbox, f"/forms/{form}/responses", page_size=size, before=before, **params).json()["items"]


@pytest.mark.parametrize("token", ["", "nonsense"])
def test_a_wrong_token_is_refused(sandbox: Sandbox, token: str) -> None:
    answer = get(sandbox, "/me", token)
    assert (answer.status_code, answer.json()["code"]) == (401, "AUTHENTICATION_FAILED")


def test_answers_need_their_scope(sandbox: Sandbox) -> None:
    token = "tfp_sandbox_no_responses"
    assert get(sandbox, f"/forms/{NPS}", token).ok
    assert get(sandbox, f"/forms/{NPS}/responses", token).status_code == 403


def test_forms_are_paged_and_have_definitions(sandbox: Sandbox) -> None:
    first = get(sandbox, "/forms", page_size=2).json()
    assert (first["total_items"], first["page_count"], len(first["items"])) == (3, 2, 2)
    second = get(sandbox, "/forms", page=2, page_size=2).json()
    assert [form["id"] for form in first["items"] + second["items"]] == [NPS, CALL_BACK, IDEAS]
    fields = get(sandbox, f"/forms/{CALL_BACK}").json()["fields"]
    assert [field["type"] for field in fields][2:4] == ["phone_number", "multiple_choice"]
    assert get(sandbox, "/forms/none").json()["code"] == "FORM_NOT_FOUND"


def test_walking_back_by_token_gives_every_response_once(sandbox: Sandbox) -> None:
    rows = list(walk(sandbox, NPS, 7))
    times = [row["submitted_at"] for row in rows]
    assert len(rows) == get(sandbox, f"/forms/{NPS}/responses").json()["total_items"] > 15
    assert len({row["token"] for row in rows}) == len(rows)
    assert times == sorted(times, reverse=True)
    assert rows == list(walk(sandbox, NPS, 1000))


def test_since_and_until_include_their_second(sandbox: Sandbox) -> None:
    rows = list(walk(sandbox, NPS, 1000))
    edge = rows[len(rows) // 2]["submitted_at"]
    late = list(walk(sandbox, NPS, 1000, since=edge.removesuffix("Z")))
    early = list(walk(sandbox, NPS, 1000, until=edge))
    both = [row["token"] for row in rows if row["submitted_at"] == edge]
    assert {row["token"] for row in late} & {row["token"] for row in early} == set(both)
    assert len(late) + len(early) == len(rows) + len(both)


def test_a_response_left_half_way_has_no_answers_and_no_time(sandbox: Sandbox) -> None:
    partial = list(walk(sandbox, NPS, 1000, response_type="partial"))
    assert partial
    assert all("answers" not in row and row["submitted_at"].startswith("0001-") for row in partial)


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"page_size": 1001}, "page_size"),
        ({"since": "yesterday"}, "since"),
        ({"sort": "landed_at,asc"}, "sort"),
        ({"sinse": "2026-01-01"}, "sinse"),
        ({"response_type": "done"}, "response_type"),
    ],
)
def test_what_cannot_be_asked_is_refused(sandbox: Sandbox, params: dict[str, Any], field: str) -> None:
    answer = get(sandbox, f"/forms/{NPS}/responses", **params)
    assert (answer.status_code, answer.json()["details"][0]["field"]) == (400, field)


def test_answers_name_the_person_the_truth_names(sandbox: Sandbox) -> None:
    owner = {
        token: index
        for index in range(sandbox.company.people)
        for token in sandbox.truth(index)["typeform_responses"]  # type: ignore[attr-defined]
    }
    named = 0
    for row in [*walk(sandbox, NPS, 1000), *walk(sandbox, CALL_BACK, 1000)]:
        person = sandbox.company.person(owner[row["token"]])
        said = {answer["type"]: answer for answer in row.get("answers", [])}
        if "email" in said:
            assert said["email"]["email"].lower() in person.emails
        if "phone_number" in said:
            assert said["phone_number"]["phone_number"] == person.phone
        assert row["hidden"].get("customer_id") in ("", None, person.customer_id)
        named += "email" in said or "phone_number" in said
    assert named > 10


def test_a_refresh_token_is_good_for_one_use(fresh_sandbox: Sandbox) -> None:
    form = {
        "grant_type": "refresh_token",
        "client_id": "sandbox-client",
        "client_secret": "sandbox-secret",
        "refresh_token": requests.get(f"{fresh_sandbox.url}/_sandbox/credentials/typeform", timeout=10).json()[
            "refresh_token"
        ],
    }
    url = f"{fresh_sandbox.system_url('typeform')}/oauth/token"
    first = requests.post(url, data=form, timeout=10).json()
    assert get(fresh_sandbox, "/me", first["access_token"]).ok
    assert requests.post(url, data=form, timeout=10).json()["error"] == "invalid_grant"
    assert requests.post(url, data={**form, "refresh_token": first["refresh_token"]}, timeout=10).ok


def test_erased_responses_are_gone(fresh_sandbox: Sandbox) -> None:
    token = next(walk(fresh_sandbox, CALL_BACK, 1))["token"]
    url = f"{fresh_sandbox.system_url('typeform')}/forms/{CALL_BACK}/responses"
    header = {"Authorization": f"Bearer {TOKEN}"}
    assert requests.delete(url, headers=header, params={"included_tokens": token}, timeout=10).status_code == 202
    assert token not in [row["token"] for row in walk(fresh_sandbox, CALL_BACK, 1000)]


def test_new_responses_come_when_life_goes_on(fresh_sandbox: Sandbox) -> None:
    before = [row["token"] for row in walk(fresh_sandbox, NPS, 1000)]
    requests.post(f"{fresh_sandbox.url}/_sandbox/advance", json={"share": 0.3}, timeout=10).raise_for_status()
    after = [row["token"] for row in walk(fresh_sandbox, NPS, 1000)]
    assert len(after) > len(before)
    assert after[-len(before) :] == before


def test_more_than_two_requests_a_second_are_refused() -> None:
    with Sandbox(people=10) as sandbox:
        answers = [get(sandbox, "/me") for _ in range(4)]
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert refused.headers["Retry-After"] == "1"
        assert refused.json()["code"] == "TOO_MANY_REQUESTS"
