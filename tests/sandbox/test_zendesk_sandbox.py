"""The Zendesk stand-in, over HTTP."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from millstream.sandbox import Sandbox

BEARER = "sandbox-zendesk-oauth"
TILL = "+12025550100"


def get(sandbox: Sandbox, path: str, token: str = BEARER, **params: Any) -> requests.Response:
    url = path if path.startswith("http") else f"{sandbox.system_url('zendesk')}/api/v2{path}"
    return requests.get(url, headers={"Authorization": f"Bearer {token}"}, params=params, timeout=10)


def by_cursor(sandbox: Sandbox, name: str, size: int = 1000, start: int = 0) -> Iterator[dict[str, Any]]:
    """All rows of a cursor export."""
    path = f"/incremental/{name}/cursor.json"
    body = get(sandbox, path, start_time=start, per_page=size).json()
    yield from body[name]
    while not body["end_of_stream"]:
        body = get(sandbox, path, cursor=body["after_cursor"], per_page=size).json()
        yield from body[name]


def by_time(sandbox: Sandbox, name: str, size: int = 1000, **params: Any) -> Iterator[dict[str, Any]]:
    """All rows of a time export, repeats at the page boundaries included."""
    start, body = 0, {"end_of_stream": False}
    while not body["end_of_stream"]:
        body = get(sandbox, f"/incremental/{name}.json", start_time=start, per_page=size, **params).json()
        yield from body[name]
        start = int(body["end_time"])


def listed(sandbox: Sandbox, name: str, size: int = 100, **params: Any) -> Iterator[dict[str, Any]]:
    """All rows of a list paged by cursor."""
    body = get(sandbox, f"/{name}.json", BEARER, **{"page[size]": size}, **params).json()
    yield from body[name]
    while body["meta"]["has_more"]:
        body = get(sandbox, body["links"]["next"], **params).json()
        yield from body[name]


def test_credentials_are_checked(sandbox: Sandbox) -> None:
    assert get(sandbox, "/users/me.json").json()["user"]["role"] == "admin"
    assert get(sandbox, "/users/me", "nonsense").json() == {"error": "Couldn't authenticate you"}
    url = f"{sandbox.system_url('zendesk')}/api/v2/users/me"
    good = ("robin@support.shop.box.example/token", "sandbox-zendesk")
    assert requests.get(url, auth=good, timeout=10).ok
    assert requests.get(url, auth=(good[0], "wrong"), timeout=10).status_code == 401


def test_exports_need_an_admin(sandbox: Sandbox) -> None:
    answer = get(sandbox, "/incremental/tickets/cursor.json", "sandbox-zendesk-agent", start_time=0)
    assert (answer.status_code, answer.json()["error"]["title"]) == (403, "Forbidden")


@pytest.mark.parametrize("name", ["users", "tickets"])
def test_a_cursor_export_gives_every_row_once_in_order_of_change(sandbox: Sandbox, name: str) -> None:
    rows = list(by_cursor(sandbox, name, size=13))
    assert len(rows) > 40
    assert len({row["id"] for row in rows}) == len(rows)
    key = "generated_timestamp" if name == "tickets" else "updated_at"
    assert [row[key] for row in rows] == sorted(row[key] for row in rows)
    assert rows == list(by_cursor(sandbox, name))


def test_the_cursor_at_the_end_goes_on_with_what_comes_later(fresh_sandbox: Sandbox) -> None:
    body = get(fresh_sandbox, "/incremental/tickets/cursor.json", start_time=0).json()
    assert body["end_of_stream"]
    again = get(fresh_sandbox, "/incremental/tickets/cursor.json", cursor=body["after_cursor"]).json()
    assert (again["tickets"], again["after_cursor"]) == ([], body["after_cursor"])
    requests.post(f"{fresh_sandbox.url}/_sandbox/advance", json={"share": 0.5}, timeout=10).raise_for_status()
    later = get(fresh_sandbox, "/incremental/tickets/cursor.json", cursor=body["after_cursor"]).json()["tickets"]
    known = {ticket["id"] for ticket in body["tickets"]}
    assert {ticket["id"] in known for ticket in later} == {True, False}


def test_start_time_is_inclusive(sandbox: Sandbox) -> None:
    rows = list(by_cursor(sandbox, "tickets"))
    at = rows[len(rows) // 2]["generated_timestamp"]
    assert [row["id"] for row in by_cursor(sandbox, "tickets", start=at)] == [
        row["id"] for row in rows if row["generated_timestamp"] >= at
    ]


def test_a_time_export_repeats_its_boundaries_and_ends(sandbox: Sandbox) -> None:
    small = Counter(row["id"] for row in by_time(sandbox, "ticket_events", size=9, include="comment_events"))
    whole = Counter(row["id"] for row in by_time(sandbox, "ticket_events", include="comment_events"))
    assert small.keys() == whole.keys()
    assert max(small.values()) == 2
    assert max(whole.values()) == 1
    assert len({row["id"] for row in by_time(sandbox, "organizations", size=7)}) == 40


def test_comments_come_only_when_asked_for(sandbox: Sandbox) -> None:
    kinds = [child["event_type"] for row in by_time(sandbox, "ticket_events") for child in row["child_events"]]
    asked = [
        child["event_type"]
        for row in by_time(sandbox, "ticket_events", include="comment_events")
        for child in row["child_events"]
    ]
    assert set(kinds) == {"Create", "Change"}
    assert set(asked) == {"Create", "Change", "Comment"}


def test_ratings_are_listed_and_filtered(sandbox: Sandbox) -> None:
    rows = list(listed(sandbox, "satisfaction_ratings", size=5))
    assert {row["score"] for row in rows} == {"good", "bad", "offered"}
    good = list(listed(sandbox, "satisfaction_ratings", score="good"))
    assert [row["id"] for row in good] == [row["id"] for row in rows if row["score"] == "good"]


def test_deleted_users_are_inactive_and_listed() -> None:
    with Sandbox(people=600, limits=False) as sandbox:
        inactive = {row["id"] for row in by_cursor(sandbox, "users") if not row["active"]}
        assert inactive
        assert {row["id"] for row in listed(sandbox, "deleted_users")} == inactive


def test_users_are_who_the_truth_says(sandbox: Sandbox) -> None:
    owner = {
        user: index
        for index in range(sandbox.company.people)
        for user in sandbox.truth(index)["zendesk_users"]  # type: ignore[attr-defined]
    }
    users = [row for row in by_cursor(sandbox, "users") if row["role"] == "end-user"]
    assert {row["id"] for row in users} == owner.keys()
    for row in users:
        person = sandbox.company.person(owner[row["id"]])
        assert row["email"] in (None, *person.emails)
        assert row["phone"] in (None, TILL, person.phone)
        assert row["external_id"] in (None, person.customer_id)
        identities = get(sandbox, f"/users/{row['id']}/identities.json").json()["identities"]
        assert row["email"] in [None, *(identity["value"] for identity in identities)]


@pytest.mark.parametrize(
    ("path", "params", "status"),
    [
        ("/incremental/tickets/cursor.json", {}, 400),
        ("/incremental/tickets/cursor.json", {"start_time": 9_999_999_999}, 400),
        ("/incremental/tickets/cursor.json", {"cursor": "nonsense!"}, 400),
        ("/incremental/users/cursor.json", {"start_time": 0, "per_page": 1001}, 400),
        ("/satisfaction_ratings.json", {"score": "great"}, 400),
        ("/users/5/identities.json", {}, 404),
        ("/nothing.json", {}, 404),
    ],
)
def test_what_cannot_be_asked_is_refused(sandbox: Sandbox, path: str, params: dict[str, Any], status: int) -> None:
    assert get(sandbox, path, **params).status_code == status


def test_ten_exports_a_minute() -> None:
    with Sandbox(people=10) as sandbox:
        answers = [get(sandbox, "/incremental/tickets/cursor.json", start_time=0) for _ in range(11)]
        assert [answer.status_code for answer in answers] == [200] * 10 + [429]
        assert int(answers[-1].headers["Retry-After"]) > 30
        assert answers[0].headers["ratelimit-limit"] == "700"


def test_a_refresh_token_is_good_for_one_use(fresh_sandbox: Sandbox) -> None:
    given = requests.get(f"{fresh_sandbox.url}/_sandbox/credentials/zendesk", timeout=10).json()
    form = {"grant_type": "refresh_token"} | {
        name: given[name] for name in ("client_id", "client_secret", "refresh_token")
    }
    url = f"{fresh_sandbox.system_url('zendesk')}/oauth/tokens"
    first = requests.post(url, json=form, timeout=10).json()
    assert get(fresh_sandbox, "/users/me", first["access_token"]).ok
    assert requests.post(url, json=form, timeout=10).status_code == 400
