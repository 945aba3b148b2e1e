"""Segment's Profile API: which profiles are asked for, when again, and what odd answers mean."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import responses
from pydantic import ValidationError
from responses import matchers

from millstream.sandbox import Sandbox
from millstream.sandbox.person import Person
from millstream.sources.check import check_source
from millstream.sources.contract import Row
from millstream.sources.ingest import IngestReport
from millstream.sources.testing import SandboxStandIn
from millstream.state.errors import AuthenticationError, MillstreamError, PermissionDeniedError
from tests.sources.loading import pull_of, read
from tests.sources.receiving import Place

ROOT = "https://profiles.segment.com/v1/spaces/spa_1/collections/users/profiles"
LAST = {"has_more": False, "next": ""}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=120, limits=False) as sandbox:
        yield sandbox


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "spool").mkdir()
    return Place(tmp_path, profile_token="tok-1", profile_space="spa_1", streams=["users", "profiles"])


@pytest.fixture
def api() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as api:
        yield api


def profile(api: responses.RequestsMock, who: str, traits: dict[str, Any], *ids: tuple[str, str]) -> None:
    api.get(f"{ROOT}/{who}/traits", json={"traits": traits, "cursor": LAST})
    api.get(f"{ROOT}/{who}/external_ids", json={"data": [{"type": kind, "id": value} for kind, value in ids],
                                                "cursor": LAST})  # fmt: skip


def nobody(api: responses.RequestsMock, who: str) -> None:
    error = {"error": {"code": "not_found", "message": "The resource was not found."}}
    api.get(f"{ROOT}/{who}/traits", json=error, status=404)


def pull(place: Place, **settings: Any) -> IngestReport:
    return place.pull(place.source(**settings))


def light(place: Place, *ids: str) -> list[Row]:
    """The rows of profiles, without dlt and a store."""
    return read(pull_of(place.source(profile_ids=ids), "profiles"))


def error(place: Place, **settings: Any) -> MillstreamError:
    [found] = pull(place, **settings).errors
    return found


def profiles(place: Place, columns: str) -> list[tuple[Any, ...]]:
    return place.rows(f"SELECT {columns} FROM raw_segment.profiles ORDER BY profile_id")


def test_users_who_were_heard_of_are_asked_for(place: Place, api: responses.RequestsMock) -> None:
    place.call("identify", {"userId": "U+1", "traits": {"a": 1}}, {"anonymousId": "a-1", "traits": {"a": 1}})
    ids = (("user_id", "u+1"), ("anonymous_id", "a-1"), ("anonymous_id", "a-2"), ("email", "ana@box.example"))
    profile(api, "user_id:u%2B1", {"plan": "pro", "vip": True}, *ids, ("ios.idfa", "x"))
    place.settings["traits"] = {"plan": "plan"}
    assert [str(found) for found in pull(place).errors] == []
    columns = "profile_id, found, user_ids, anonymous_ids, emails, trait_plan"
    assert profiles(place, columns) == [("user_id:U+1", True, "U+1\nu+1", "a-1\na-2", "ana@box.example", "pro")]
    place.people()
    assert place.rows("SELECT count(DISTINCT profile_id) FROM customers.members") == [(1,)]
    sent = api.calls[0].request.headers["Authorization"]
    assert base64.b64decode(sent.removeprefix("Basic ")) == b"tok-1:"


def test_pages_are_followed(place: Place, api: responses.RequestsMock) -> None:
    for given, name, cursor in ((None, "a", {"has_more": True, "next": "b"}), ("b", "b", LAST)):
        params = {"limit": "200"} | ({"next": given} if given else {})
        body = {"traits": {name: 1}, "cursor": cursor}
        api.get(f"{ROOT}/user_id:u/traits", json=body, match=[matchers.query_param_matcher(params)])
    api.get(f"{ROOT}/user_id:u/external_ids", json={"data": [], "cursor": {**LAST, "has_more": True}})
    [row] = light(place, "user_id:u")
    assert (row["traits"], row["external_ids"]) == ({"a": 1, "b": 1}, [])


def test_pages_in_a_circle_are_an_error(place: Place, api: responses.RequestsMock) -> None:
    api.get(f"{ROOT}/user_id:u/traits", json={"traits": {}, "cursor": {"has_more": True, "next": "b"}})
    with pytest.raises(MillstreamError, match="circle"):
        light(place, "user_id:u")


def test_a_profile_is_asked_for_again_when_it_is_old(place: Place, api: responses.RequestsMock) -> None:
    ids = ["user_id:u-1", "user_id:u-2", "user_id:u-3"]
    for who in ids[:2]:
        profile(api, who, {})
    nobody(api, ids[2])
    report = pull(place, profile_ids=ids, profiles_a_pull=2)
    assert [one.warnings for one in report.streams if one.warnings] == [
        ["1 profiles are left to the next pulls (profiles_a_pull)."]
    ]
    assert {one.stream: one.rows for one in pull(place, profile_ids=ids).streams}["profiles"] == 1
    assert profiles(place, "found") == [(True,), (True,), (False,)]
    asked = len(api.calls)
    pull(place, profile_ids=ids, profile_refresh_days=0, profiles_a_pull=1)
    assert len(api.calls) == asked + 2
    place.pull(place.source(profile_ids=ids), full=True)
    assert len(api.calls) == asked + 2 + 5


def test_a_pull_that_ends_early_goes_on(
    place: Place, api: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("millstream.sources.segment.profiles.A_PART", 1)
    profile(api, "user_id:u-1", {})
    api.get(f"{ROOT}/user_id:u-2/traits", json={"error": {"code": "authentication_error"}}, status=401)
    assert isinstance(error(place, profile_ids=["user_id:u-1", "user_id:u-2"]), AuthenticationError)
    assert profiles(place, "profile_id") == [("user_id:u-1",)]


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (401, {"error": {"code": "authentication_error", "message": "no"}}, AuthenticationError, "new access token"),
        (403, {"error": {"code": "forbidden", "message": "no"}}, PermissionDeniedError, "another space"),
        (400, {"error": {"code": "validation_error", "message": "odd `!`"}}, MillstreamError, "odd `!`"),
        (200, {"data": []}, MillstreamError, "without `traits`"),
        (200, [], MillstreamError, "something else than an object"),
    ],
)
def test_odd_answers_are_named(
    place: Place, api: responses.RequestsMock, *, status: int, body: Any, kind: type[MillstreamError], said: str
) -> None:
    api.get(f"{ROOT}/user_id:u/traits", json=body, status=status)
    with pytest.raises(kind) as found:
        light(place, "user_id:u")
    assert said in str(found.value)


@pytest.mark.parametrize(("status", "problem"), [(404, None), (401, "credentials")])
def test_a_token_is_checked_by_somebody_who_is_not_there(
    place: Place, api: responses.RequestsMock, status: int, problem: str | None
) -> None:
    code = {404: "not_found", 401: "authentication_error"}[status]
    api.get(f"{ROOT}/user_id:millstream-check/metadata", json={"error": {"code": code}}, status=status)
    [result] = check_source(place.source(), name="it")
    assert (result.ok, result.problem) == (problem is None, problem)


def event(key: str, **facts: Any) -> dict[str, Any]:
    ids = [{"type": "anonymous_id", "id": "a-1"}, {"type": "user_id", "id": "u-1"}]
    said = {"type": "track", "event": "Bought", "message_id": key, "timestamp": "2026-03-01T10:00:00Z"}
    return {**said, "external_ids": ids, "properties": {"revenue": 5}, **facts}


class TestEvents:
    @pytest.fixture
    def place(self, place: Place) -> Place:
        place.settings |= {"profile_events": True, "streams": ["profiles", "profile_events"]}
        place.settings |= {"profile_ids": ["user_id:u-1"]}
        return place

    def events(self, api: responses.RequestsMock, *found: Any, status: int = 200) -> None:
        body = {"data": list(found), "cursor": LAST} if status == 200 else {"error": {"code": "invalid_request_error"}}
        api.get(f"{ROOT}/user_id:u-1/events", json=body, status=status)

    def starts(self, api: responses.RequestsMock) -> list[datetime]:
        asked = [str(call.request.url) for call in api.calls if "/events" in str(call.request.url)]
        return [datetime.fromisoformat(parse_qs(urlsplit(url).query)["start"][0]) for url in asked]

    def test_they_are_read_since_the_profile_was_last_asked_for(
        self, place: Place, api: responses.RequestsMock
    ) -> None:
        self.events(api, event("m-1"), event("m-2", type="page", event=None), event("m-3", timestamp="?"), 7, {})
        profile(api, "user_id:u-1", {})
        place.people()
        events = place.rows("SELECT original_name, value FROM customers.events ORDER BY 1")
        assert events == [("Bought", 5.0), ("Page Viewed", 5.0)]
        assert place.rows("SELECT count(DISTINCT profile_id) FROM customers.members") == [(1,)]
        pull(place, profile_refresh_days=0)
        now = datetime.now(UTC)
        ages = [round((now - start) / timedelta(hours=1)) for start in self.starts(api)]
        assert ages == [14 * 24, 1]

    def test_a_profile_counts_as_asked_for_only_with_its_events(
        self, place: Place, api: responses.RequestsMock
    ) -> None:
        self.events(api, status=400)
        assert "invalid_request_error" in str(error(place))
        assert [one.rows for one in place.pull().streams] == [0, 0]

    def test_profiles_without_events_are_profiles(self, place: Place, api: responses.RequestsMock) -> None:
        api.get(f"{ROOT}/user_id:u-1/events", json={"error": {"code": "not_found"}}, status=404)
        assert read(pull_of(place.source(), "profile_events")) == []

    def test_they_are_not_older_than_the_vendor_has_them(self, place: Place) -> None:
        with pytest.raises(ValidationError, match="events are there for 14 days"):
            place.source(profile_refresh_days=14)


class TestAgainstTheSandbox:
    @pytest.fixture
    def stand_in(self, sandbox: Sandbox) -> Iterator[SandboxStandIn]:
        stand_in = SandboxStandIn(sandbox.url, "segment")
        stand_in.clear()
        yield stand_in
        stand_in.clear()

    @pytest.fixture
    def people(self, sandbox: Sandbox) -> list[Person]:
        everybody = (sandbox.company.person(index) for index in range(120))
        return [person for person in everybody if person.customer_id][:20]

    @pytest.fixture
    def place(self, sandbox: Sandbox, people: list[Person], tmp_path: Path) -> Place:
        (tmp_path / "spool").mkdir()
        account: dict[str, Any] = {"profile_token": "sandbox-segment-profile", "profile_space": "spa_sandbox"}
        ids = [f"user_id:{person.customer_id}" for person in people] + ["user_id:nobody", "email:no+body@box.example"]
        return Place(tmp_path, base_url=f"{sandbox.url}/segment", streams=["profiles"], profile_ids=ids, **account)

    def test_profiles_come_whole_and_only_once(
        self, place: Place, people: list[Person], stand_in: SandboxStandIn
    ) -> None:
        assert check_source(place.source(), name="it")[0].ok
        assert [str(found) for found in pull(place).errors] == []
        found = profiles(place, "profile_id, found, user_ids, emails")
        assert [row[0] for row in found if row[1]] == sorted(f"user_id:{person.customer_id}" for person in people)
        assert all(str(row[0]).partition(":")[2] in str(row[2]).split("\n") for row in found if row[1])
        assert any(emails for *_, emails in found)
        stand_in.clear()
        assert (pull(place).rows, stand_in.requests_seen()) == (0, 0)

    def test_their_events_come_too(self, place: Place) -> None:
        found = read(pull_of(place.source(profile_events=True, streams=["profile_events"]), "profile_events"))
        assert found
        assert all(row["event"] and row["user_id"] and row["timestamp"] for row in found)

    def test_faults_on_the_way_change_nothing_in_the_end(self, place: Place, stand_in: SandboxStandIn) -> None:
        ids = ("user_ids", "anonymous_ids", "emails", "traits", "external_ids")
        calm = [{name: row.get(name) for name in ids} for row in light(place, *place.settings["profile_ids"])]
        stand_in.throttle(times=1, seconds=1)
        stand_in.stumble(every=11)
        rough = [{name: row.get(name) for name in ids} for row in light(place, *place.settings["profile_ids"])]
        assert rough == calm

    def test_a_wrong_token_is_told_from_no_network(self, place: Place) -> None:
        for change, problem in (
            ({"profile_token": "wrong"}, "credentials"),
            ({"base_url": "http://127.0.0.1:9"}, "network"),
        ):
            [result] = check_source(place.source(**change), name="it")
            assert (result.ok, result.problem) == (False, problem)

    def test_a_web_page_is_no_profile(self, place: Place, stand_in: SandboxStandIn) -> None:
        stand_in.speak_html()
        with pytest.raises(MillstreamError, match="JSON"):
            light(place, "user_id:c-000001")
