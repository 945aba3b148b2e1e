"""Zendesk: odd answers by themselves, and whole pulls against the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import responses
from pydantic import SecretStr, ValidationError

from millstream.sandbox import Sandbox
from millstream.sources.check import check_source
from millstream.sources.dlt_source import SourcePull
from millstream.sources.ingest import ingest
from millstream.sources.pull import Window
from millstream.sources.testing import Pulled
from millstream.sources.zendesk import Zendesk, ZendeskSettings, exports
from millstream.state.errors import (
    AuthenticationError,
    IncompleteError,
    MalformedAnswerError,
    PermissionDeniedError,
    RefusedError,
    SchemaError,
)
from tests.sources.loading import QUICK, pull_of, read

ROOT = "https://shop.zendesk.test"
NOON = 1_767_438_000
"""Epoch seconds of 2026-01-03 11:00 UTC."""


def zendesk(base_url: str = ROOT, **settings: Any) -> Zendesk:
    credential = {"email": "robin@box.example", "api_token": SecretStr("a-token")}
    if {"access_token", "client_id"} & settings.keys():
        credential = {}
    return Zendesk(ZendeskSettings(base_url=base_url, **{"exports_per_minute": 1000, **credential, **settings}))


def a_ticket(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "subject": "Late order",
        "description": "Where is it?",
        "status": "open",
        "requester_id": 900 + number,
        "via": {"channel": "email"},
        "satisfaction_rating": {"score": "offered"},
        "created_at": "2026-01-02T10:00:00Z",
        "updated_at": "2026-01-02T11:00:00Z",
        "generated_timestamp": NOON + number,
    } | more


def a_user(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "name": "Ada Example",
        "email": "ada@box.example",
        "phone": "+12025550111",
        "shared_phone_number": False,
        "external_id": "C-1",
        "organization_id": None,
        "role": "end-user",
        "active": True,
        "suspended": False,
        "user_fields": {"city": "Paris"},
        "created_at": "2026-01-02T10:00:00Z",
        "updated_at": "2026-01-02T11:00:00Z",
    } | more


def an_audit(number: int, ticket: int, *children: dict[str, Any], by: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "ticket_id": ticket,
        "timestamp": NOON + number,
        "created_at": "2026-01-03T11:00:00Z",
        "updater_id": by,
        "via": "Web",
        "event_type": "Audit",
        "child_events": [{"id": number * 10 + place, **child} for place, child in enumerate(children)],
    } | more


def export_of(records: str, rows: list[Any], *, after: str | None = "end", ended: bool = True, **more: Any) -> Any:
    return {records: rows, "after_cursor": after, "end_of_stream": ended, **more}


def events_of(*audits: dict[str, Any], end: int | None = NOON, ended: bool = True) -> Any:
    return {"ticket_events": list(audits), "count": len(audits), "end_time": end, "end_of_stream": ended}


def asked(vendor: responses.RequestsMock) -> list[dict[str, str]]:
    """The parameters of each request so far."""
    queries = (urlsplit(str(call.request.url)).query for call in vendor.calls)
    return [{name: values[-1] for name, values in parse_qs(query).items()} for query in queries]


@pytest.fixture
def vendor() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


TICKETS = f"{ROOT}/api/v2/incremental/tickets/cursor.json"
USERS = f"{ROOT}/api/v2/incremental/users/cursor.json"
EVENTS = f"{ROOT}/api/v2/incremental/ticket_events.json"
ORGANIZATIONS = f"{ROOT}/api/v2/incremental/organizations.json"
RATINGS = f"{ROOT}/api/v2/satisfaction_ratings.json"
MANY = f"{ROOT}/api/v2/tickets/show_many.json"


class TestCursorExports:
    def test_it_goes_on_to_the_end_of_the_stream_and_keeps_the_cursor(self, vendor: Any) -> None:
        vendor.get(TICKETS, json=export_of("tickets", [a_ticket(1)], after="one", ended=False))
        vendor.get(TICKETS, json=export_of("tickets", [a_ticket(2)], after="two"))
        state: dict[str, Any] = {}
        rows = read(pull_of(zendesk(), "tickets", state=state))
        assert [row["id"] for row in rows] == [1, 2]
        assert state["after_cursor"] == "two"
        first, second = asked(vendor)
        assert (first["start_time"], first["per_page"]) == ("1", "1000")
        assert second["cursor"] == "one"
        assert "start_time" not in second

    def test_the_next_pull_goes_on_from_the_cursor_not_from_a_time(self, vendor: Any) -> None:
        vendor.get(TICKETS, json=export_of("tickets", [], after=None))
        state = {"after_cursor": "two", "reached": "2026-01-03T11:00:02+00:00"}
        read(pull_of(zendesk(), "tickets", state=state))
        assert [one["cursor"] for one in asked(vendor)] == ["two"]
        assert state["after_cursor"] == "two"

    def test_a_cursor_that_is_no_longer_known_gives_way_to_the_time_reached(self, vendor: Any) -> None:
        vendor.get(TICKETS, status=400, json={"error": "InvalidPaginationParameter", "description": "Invalid cursor"})
        vendor.get(TICKETS, json=export_of("tickets", [a_ticket(3)]))
        pull = pull_of(zendesk(), "tickets", state={"after_cursor": "old", "reached": "2026-01-03T11:00:02+00:00"})
        assert len(read(pull)) == 1
        assert asked(vendor)[1]["start_time"] == str(NOON + 2)
        assert "cursor" in pull.warnings[0]

    def test_more_without_a_place_is_no_end(self, vendor: Any) -> None:
        vendor.get(TICKETS, json=export_of("tickets", [a_ticket(1)], after=None, ended=False))
        with pytest.raises(IncompleteError, match="not where"):
            read(pull_of(zendesk(), "tickets"))

    def test_an_answer_that_says_nothing_of_its_end_is_malformed(self, vendor: Any) -> None:
        vendor.get(TICKETS, json={"tickets": [], "after_cursor": "x"})
        with pytest.raises(MalformedAnswerError, match="come to an end"):
            read(pull_of(zendesk(), "tickets"))

    def test_a_backfill_ends_at_its_window_and_gives_nothing_beyond(self, vendor: Any) -> None:
        rows = [a_ticket(number) for number in range(10)]
        vendor.get(TICKETS, json=export_of("tickets", rows, after="more", ended=False))
        since, until = (datetime.fromtimestamp(NOON + second, UTC) for second in (2, 5))
        found = read(pull_of(zendesk(), "tickets", since=since, until=until))
        assert [row["id"] for row in found] == [2, 3, 4]
        assert [one["start_time"] for one in asked(vendor)] == [str(NOON + 2)]

    def test_no_export_starts_within_the_last_minute(self, vendor: Any) -> None:
        vendor.get(TICKETS, json=export_of("tickets", []))
        now = datetime.now(UTC)
        read(pull_of(zendesk(), "tickets", since=now, until=now + timedelta(hours=1), pulled_at=now))
        assert int(asked(vendor)[0]["start_time"]) <= now.timestamp() - 60

    def test_it_begins_with_the_start_date(self, vendor: Any) -> None:
        vendor.get(TICKETS, json=export_of("tickets", []))
        read(pull_of(zendesk(start_date="2026-01-03"), "tickets"))
        assert asked(vendor)[0]["start_time"] == str(NOON - 11 * 3600)


class TestTimeExports:
    def test_each_page_starts_where_the_last_one_ended(self, vendor: Any) -> None:
        vendor.get(EVENTS, json=events_of(an_audit(1, 7, {"event_type": "Change"}), end=NOON + 1, ended=False))
        vendor.get(EVENTS, json=events_of(an_audit(1, 7, {"event_type": "Change"}), end=NOON + 9))
        vendor.get(MANY, json={"tickets": []})
        state: dict[str, Any] = {}
        read(pull_of(zendesk(), "ticket_events", state=state))
        starts = [one["start_time"] for one in asked(vendor) if "start_time" in one]
        assert starts == ["1", str(NOON + 1)]
        assert state["end_time"] == NOON + 9

    def test_a_second_that_holds_more_than_a_page_is_named_not_asked_for_ever(self, vendor: Any) -> None:
        vendor.get(ORGANIZATIONS, json={"organizations": [], "end_time": NOON, "end_of_stream": False})
        with pytest.raises(IncompleteError, match="ends where it began"):
            read(pull_of(zendesk(), "organizations", state={"end_time": NOON}))

    def test_an_empty_page_without_a_time_keeps_the_place(self, vendor: Any) -> None:
        vendor.get(ORGANIZATIONS, json={"organizations": [], "end_time": None, "end_of_stream": True})
        state = {"end_time": NOON}
        assert read(pull_of(zendesk(), "organizations", state=state)) == []
        assert state == {"end_time": NOON}


class TestUsers:
    def user(self, vendor: Any, user: dict[str, Any], identities: Any = (), **settings: Any) -> dict[str, Any]:
        vendor.get(USERS, json=export_of("users", [user], identities=list(identities)))
        (row,) = read(pull_of(zendesk(**settings), "users"))
        return row

    def test_a_shared_number_identifies_nobody(self, vendor: Any) -> None:
        listed = {"user_id": 5, "type": "phone_number", "value": "+12025550100", "verified": True}
        row = self.user(vendor, a_user(5, phone="+12025550100", shared_phone_number=True), [listed])
        assert (row["phone"], row["own_phone"], row["other_phones"]) == ("+12025550100", None, None)

    def test_only_verified_secondary_addresses_join(self, vendor: Any) -> None:
        said = [("ada@box.example", True), ("ada@web.example", True), ("eve@net.example", False)]
        identities = [{"user_id": 5, "type": "email", "value": value, "verified": sure} for value, sure in said]
        row = self.user(vendor, a_user(5), identities)
        assert (row["other_emails"], row["unverified_emails"]) == ("ada@web.example", "eve@net.example")
        people = zendesk().streams()[0].people
        assert people is not None
        assert [one.column for one in people.identifiers if not one.merges] == ["unverified_emails"]

    def test_identities_of_another_user_stay_with_them(self, vendor: Any) -> None:
        row = self.user(
            vendor, a_user(5), [{"user_id": 6, "type": "email", "value": "x@box.example", "verified": True}]
        )
        assert row["other_emails"] is None

    def test_identities_that_do_not_come_along_are_missed_aloud(self, vendor: Any) -> None:
        vendor.get(USERS, json=export_of("users", [a_user(5)]))
        pull = pull_of(zendesk(), "users")
        assert len(read(pull)) == 1
        assert "identities: asked" in pull.warnings[0]

    def test_identities_can_be_asked_for_one_user_at_a_time(self, vendor: Any) -> None:
        vendor.get(USERS, json=export_of("users", [a_user(5), a_user(6, active=False), a_user(7, role="agent")]))
        page = {"identities": [{"user_id": 5, "type": "email", "value": "ada@web.example", "verified": True}]}
        path = f"{ROOT}/api/v2/users/5/identities.json"
        vendor.get(path, json={"identities": [], "meta": {"has_more": True, "after_cursor": "a"}})
        vendor.get(path, json={**page, "meta": {"has_more": False}})
        rows = read(pull_of(zendesk(identities="asked"), "users"))
        assert [row["other_emails"] for row in rows] == ["ada@web.example", None, None]
        assert "include" not in asked(vendor)[0]

    @pytest.mark.parametrize(
        ("facts", "staff", "expected"),
        [
            ({}, False, False),
            ({"active": False}, False, True),
            ({"role": "agent"}, False, True),
            ({"role": "admin"}, True, False),
            ({"role": "admin", "active": False}, True, True),
        ],
    )
    def test_deleted_users_and_staff_are_no_customers(
        self, vendor: Any, facts: dict[str, Any], staff: bool, expected: bool
    ) -> None:
        assert self.user(vendor, a_user(5, **facts), staff=staff)["is_no_customer"] is expected

    def test_an_external_id_names_somebody_only_by_setting(self) -> None:
        def kinds(**settings: Any) -> set[str]:
            people = zendesk(**settings).streams()[0].people
            assert people is not None
            return {one.kind for one in people.identifiers}

        assert kinds() == {"email", "phone", "zendesk_user_id"}
        assert kinds(external_id="user_id", identifiers={"Loyalty-No": "loyalty_id"}) - kinds() == {
            "user_id",
            "loyalty_id",
        }

    def test_user_fields_become_traits(self, vendor: Any) -> None:
        row = self.user(vendor, a_user(5), traits={"city": "city"})
        assert row["field_city"] == "Paris"


class TestEvents:
    def rows(self, vendor: Any, *audits: dict[str, Any], **settings: Any) -> list[dict[str, Any]]:
        vendor.get(EVENTS, json=events_of(*audits))
        vendor.get(MANY, json={"tickets": [{"id": 7, "requester_id": 907}]})
        return read(pull_of(zendesk(**settings), "ticket_events"))

    @pytest.mark.parametrize(
        ("child", "by", "expected"),
        [
            ({"event_type": "Change", "status": "solved", "previous_value": "open"}, 1, "solved"),
            ({"event_type": "Change", "status": "closed", "previous_value": "solved"}, 1, "closed"),
            ({"event_type": "Change", "status": "open", "previous_value": "solved"}, 1, "reopened"),
            ({"event_type": "Change", "status": "pending", "previous_value": "open"}, 1, None),
            ({"event_type": "Change", "priority": "high", "previous_value": "low"}, 1, None),
            ({"event_type": "Comment", "comment_public": True}, 1, "answered"),
            ({"event_type": "Comment", "comment_public": True}, 907, "commented"),
            ({"event_type": "Comment", "public": True, "author_id": 907}, 1, "commented"),
            ({"event_type": "Comment", "comment_public": False}, 1, None),
            ({"event_type": "Notification", "body": "Hello"}, 1, None),
        ],
    )
    def test_what_a_change_is_to_the_requester(
        self, vendor: Any, child: dict[str, Any], by: int, expected: str | None
    ) -> None:
        (row,) = self.rows(vendor, an_audit(1, 7, child, by=by))
        assert (row["requester_id"], row["interaction"]) == ("907", expected)

    def test_the_first_message_is_the_opening_and_no_comment(self, vendor: Any) -> None:
        children = ({"event_type": "Create", "status": "new"}, {"event_type": "Comment", "comment_public": True})
        rows = self.rows(vendor, an_audit(1, 7, *children, by=907))
        assert [row["interaction"] for row in rows] == [None, None]

    def test_texts_are_kept_only_by_setting(self, vendor: Any) -> None:
        child = {"event_type": "Comment", "comment_public": True, "body": "My card number is"}
        (row,) = self.rows(vendor, an_audit(1, 7, child))
        assert "My card" not in str(row)
        (row,) = self.rows(vendor, an_audit(1, 7, child), texts=True)
        assert row["text"] == "My card number is"

    def test_a_change_without_an_id_still_has_a_key(self, vendor: Any) -> None:
        audit = an_audit(4, 7) | {"child_events": [{"event_type": "Change"}, {"event_type": "Change"}]}
        assert [row["id"] for row in self.rows(vendor, audit)] == ["4.0", "4.1"]

    def test_a_ticket_that_nobody_knows_leaves_its_events_without_a_person(self, vendor: Any) -> None:
        (row,) = self.rows(vendor, an_audit(1, 8, {"event_type": "Change", "status": "solved"}))
        assert row["requester_id"] is None

    def test_requesters_of_tickets_just_read_are_not_asked_for(self, vendor: Any) -> None:
        source = zendesk()
        vendor.get(TICKETS, json=export_of("tickets", [a_ticket(7)]))
        read(pull_of(source, "tickets"))
        vendor.get(EVENTS, json=events_of(an_audit(1, 7, {"event_type": "Change"})))
        (row,) = read(pull_of(source, "ticket_events"))
        assert row["requester_id"] == "907"

    def test_an_event_without_its_changes_is_a_changed_api(self, vendor: Any) -> None:
        with pytest.raises(SchemaError, match="child_events"):
            self.rows(vendor, an_audit(1, 7) | {"child_events": None})


class TestRatings:
    def test_an_offered_rating_is_no_event_until_it_is_given(self, vendor: Any) -> None:
        scores = ["offered", "good", "bad", "unoffered"]
        rows = [{"id": number, "score": score, "comment": "Hm"} for number, score in enumerate(scores)]
        vendor.get(RATINGS, json={"satisfaction_ratings": rows, "meta": {"has_more": False}})
        found = read(pull_of(zendesk(), "satisfaction_ratings"))
        assert [row["satisfaction"] for row in found] == [None, 1, 0, None]
        assert all("comment" not in row for row in found)

    def test_a_window_is_asked_for_in_seconds(self, vendor: Any) -> None:
        vendor.get(RATINGS, json={"satisfaction_ratings": [], "meta": {"has_more": False}})
        since = datetime.fromtimestamp(NOON, UTC)
        read(pull_of(zendesk(), "satisfaction_ratings", since=since, until=since + timedelta(seconds=9)))
        (query,) = asked(vendor)
        assert (query["start_time"], query["end_time"]) == (str(NOON), str(NOON + 9))

    def test_a_pull_that_broke_off_goes_on_with_its_page(self, vendor: Any) -> None:
        def page(number: int, after: str | None) -> dict[str, Any]:
            rows = [{"id": number, "score": "good"}]
            return {"satisfaction_ratings": rows, "meta": {"has_more": after is not None, "after_cursor": after}}

        vendor.get(RATINGS, json=page(1, "one"))
        vendor.get(RATINGS, status=422, json={})
        state: dict[str, Any] = {}
        with pytest.raises(RefusedError):
            read(pull_of(zendesk(), "satisfaction_ratings", state=state))
        assert state == {"after": "one"}
        vendor.get(RATINGS, json=page(2, None))
        assert [row["id"] for row in read(pull_of(zendesk(), "satisfaction_ratings", state=state))] == [2]
        assert asked(vendor)[-1]["page[after]"] == "one"
        assert state == {}

    def test_a_place_that_is_no_longer_known_begins_anew(self, vendor: Any) -> None:
        vendor.get(RATINGS, status=400, json={"error": "InvalidPaginationParameter"})
        vendor.get(RATINGS, json={"satisfaction_ratings": [{"id": 1, "score": "good"}], "meta": {"has_more": False}})
        state = {"after": "gone"}
        assert len(read(pull_of(zendesk(), "satisfaction_ratings", state=state))) == 1
        assert "page[after]" not in asked(vendor)[-1]
        assert state == {}

    def test_the_highest_change_of_all_parts_is_the_next_place(
        self, vendor: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(exports, "PAGES_A_PART", 1)
        for number, (day, after) in enumerate(((9, "one"), (2, None))):
            at = f"2026-01-0{day}T10:00:00Z"
            named = {"ticket_id": 1, "requester_id": 2, "score": "good", "created_at": at, "updated_at": at}
            meta = {"has_more": after is not None, "after_cursor": after}
            vendor.get(RATINGS, json={"satisfaction_ratings": [{"id": number, **named}], "meta": meta})
        report = Pulled(tmp_path).pull(zendesk(streams=("satisfaction_ratings",)))
        assert report.errors == []
        assert report.streams[0].cursor == "2026-01-09T10:00:00+00:00"
        assert report.streams[0].rows == 2

    @pytest.mark.parametrize("status", [403, 404])
    def test_an_account_without_them_says_to_leave_the_stream_out(self, vendor: Any, status: int) -> None:
        vendor.get(RATINGS, status=status, json={"error": {"title": "Forbidden", "message": "No access"}})
        with pytest.raises(PermissionDeniedError, match="Leave the stream out") as caught:
            read(pull_of(zendesk(), "satisfaction_ratings"))
        assert "Forbidden - No access" in str(caught.value)


class TestErrors:
    def test_an_agent_is_told_that_exports_are_for_admins(self, vendor: Any) -> None:
        vendor.get(TICKETS, status=403, json={"error": {"title": "Forbidden", "message": "No access to this page."}})
        with pytest.raises(PermissionDeniedError, match="an admin"):
            read(pull_of(zendesk(), "tickets"))

    def test_a_credential_is_refused_in_the_vendors_words(self, vendor: Any) -> None:
        vendor.get(TICKETS, status=401, json={"error": "Couldn't authenticate you"})
        with pytest.raises(AuthenticationError, match=r"Couldn't authenticate you.*token access"):
            read(pull_of(zendesk(), "tickets"))

    def test_a_conflict_that_says_when_is_tried_again(self, vendor: Any) -> None:
        vendor.get(TICKETS, status=409, headers={"Retry-After": "0"}, json={"error": "Conflict"})
        vendor.get(TICKETS, json=export_of("tickets", [a_ticket(1)]))
        assert len(read(pull_of(zendesk(), "tickets"))) == 1

    def test_a_conflict_without_a_time_is_a_refusal(self, vendor: Any) -> None:
        vendor.get(TICKETS, status=409, body="<html>", content_type="text/html")
        with pytest.raises(RefusedError):
            read(pull_of(zendesk(), "tickets"))

    def test_a_credential_that_is_nobodys_does_not_check_out(self, vendor: Any) -> None:
        vendor.get(f"{ROOT}/api/v2/users/me.json", json={"user": {"id": None, "name": "Anonymous user"}})
        (result,) = check_source(zendesk(), name="zendesk")
        assert (result.ok, result.problem) == (False, "credentials")


class TestCredentials:
    def test_an_api_token_goes_with_its_users_address(self, vendor: Any) -> None:
        vendor.get(TICKETS, json=export_of("tickets", []))
        read(pull_of(zendesk(), "tickets"))
        prepared = requests.Request("GET", ROOT, auth=("robin@box.example/token", "a-token")).prepare()
        assert vendor.calls[0].request.headers["Authorization"] == prepared.headers["Authorization"]

    def test_a_client_without_a_refresh_token_signs_in_for_itself(self, vendor: Any) -> None:
        vendor.post(f"{ROOT}/oauth/tokens", json={"access_token": "fresh", "expires_in": 1800})
        vendor.get(TICKETS, json=export_of("tickets", []))
        read(pull_of(zendesk(client_id="millstream", client_secret="hush"), "tickets"))
        form = parse_qs(str(vendor.calls[0].request.body))
        assert (form["grant_type"], form["scope"]) == (["client_credentials"], ["read"])
        assert vendor.calls[1].request.headers["Authorization"] == "Bearer fresh"

    @pytest.mark.parametrize(
        "facts",
        [
            {},
            {"email": "robin@box.example"},
            {"api_token": "x", "access_token": "y"},
            {"email": "robin@box.example", "api_token": "x", "client_id": "y", "client_secret": "z"},
            {"client_id": "y"},
            {"client_id": "y", "client_secret": "z", "refresh_token_file": "tokens.json"},
        ],
    )
    def test_there_is_one_credential_and_it_is_whole(self, facts: dict[str, Any]) -> None:
        with pytest.raises(ValidationError, match="give"):
            ZendeskSettings(base_url=ROOT, **facts)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=120, limits=False) as sandbox:
        yield sandbox


class TestSandbox:
    OAUTH = {"client_id": "sandbox-client", "client_secret": "sandbox-secret", "refresh_token": "sandbox-refresh"}

    def source(self, sandbox: Sandbox, **settings: Any) -> Zendesk:
        facts = {"email": "robin@support.shop.box.example", "api_token": "sandbox-zendesk"}
        if {"access_token", "client_id"} & settings.keys():
            facts = {}
        return zendesk(sandbox.system_url("zendesk"), **facts, **settings)

    def test_a_refresh_token_that_is_replaced_works_from_run_to_run(self, sandbox: Sandbox, tmp_path: Path) -> None:
        file = tmp_path / "tokens" / "zendesk.json"
        for _ in range(3):
            source = self.source(sandbox, **self.OAUTH, refresh_token_file=str(file))
            assert [result.detail for result in check_source(source, name="zendesk") if not result.ok] == []
        assert file.stat().st_mode & 0o077 == 0
        assert file.read_text() != "sandbox-refresh"
        requests.post(f"{sandbox.url}/_sandbox/reset")

    def test_an_agent_may_not_export(self, sandbox: Sandbox) -> None:
        results = check_source(self.source(sandbox, access_token="sandbox-zendesk-agent"), name="zendesk")
        problems = {result.name: result for result in results if not result.ok}
        assert "zendesk.tickets" in problems
        assert "admin" in str(problems["zendesk.tickets"].remedy)

    def test_a_pull_that_is_killed_goes_on_where_it_was_stored(
        self, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(exports, "PAGES_A_PART", 2)
        whole, broken = Pulled(tmp_path / "whole"), Pulled(tmp_path / "broken")
        source = self.source(sandbox, streams=("tickets",))
        whole.pull(source)

        class Killed(BaseException):
            pass

        def kill(stream: str, rows: int) -> None:
            if rows >= 50:
                raise Killed

        pull = SourcePull(self.source(sandbox, page_size=10, streams=("tickets",)), retries=QUICK, progress=kill)
        with pytest.raises(Killed):
            ingest(pull, broken.store, name="zendesk", pipelines=tmp_path / "broken" / "dlt")
        kept = len(broken.rows(source, "tickets"))
        assert kept >= 20
        report = broken.pull(self.source(sandbox, page_size=10, streams=("tickets",)))
        assert [str(error) for error in report.errors] == []
        tickets = next(stream for stream in report.streams if stream.stream == "tickets")
        assert tickets.rows <= len(whole.rows(source, "tickets")) - kept
        assert broken.everything(source) == whole.everything(source)

    def test_what_changed_arrives_and_nothing_else_is_read(self, sandbox: Sandbox, tmp_path: Path) -> None:
        pulled = Pulled(tmp_path)
        first = pulled.pull(self.source(sandbox))
        requests.post(f"{sandbox.url}/_sandbox/advance", json={"share": 0.1, "seed": 3})
        second = pulled.pull(self.source(sandbox))
        rows = {stream.stream: stream.rows for stream in second.streams}
        before = {stream.stream: stream.rows for stream in first.streams}
        assert 0 < rows["users"] < before["users"]
        anew = Pulled(tmp_path / "anew")
        anew.pull(self.source(sandbox))
        for stream in ("organizations", "tickets", "ticket_events"):
            assert pulled.rows(self.source(sandbox), stream) == anew.rows(self.source(sandbox), stream)
        assert _changes(pulled) == _changes(anew)
        requests.post(f"{sandbox.url}/_sandbox/reset")

    def test_a_backfill_of_days_reads_those_days(self, sandbox: Sandbox, tmp_path: Path) -> None:
        pulled = Pulled(tmp_path)
        end = datetime.now(UTC) - timedelta(days=40)
        pulled.pull(self.source(sandbox), window=Window(end - timedelta(days=60), end))
        with pulled.store.open() as connection:
            found = connection.execute(
                "SELECT min(generated_timestamp), max(generated_timestamp) FROM raw_zendesk.tickets"
            ).fetchone()
        assert found is not None
        assert end - timedelta(days=60) <= found[0] <= found[1] < end

    def test_every_event_has_the_person_it_is_about(self, sandbox: Sandbox, tmp_path: Path) -> None:
        pulled = Pulled(tmp_path)
        pulled.pull(self.source(sandbox))
        with pulled.store.open() as connection:
            named = connection.execute(
                "SELECT count(*), count(requester_id), count(*) FILTER (interaction = 'solved') "
                "FROM raw_zendesk.ticket_events"
            ).fetchone()
        assert named is not None
        assert named[0] == named[1] > 0
        assert named[2] > 0


def _changes(pulled: Pulled) -> list[tuple[Any, ...]]:
    with pulled.store.open() as connection:
        return connection.execute("SELECT id, updated_at, deleted FROM raw_zendesk.users ORDER BY id").fetchall()


def test_no_export_is_asked_for_more_often_than_the_account_may(
    vendor: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    now = [0.0]

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        now[0] += seconds

    source = zendesk(exports_per_minute=2)
    pace = source._exports._pace
    pace.sleep = sleep
    pace._clock = lambda: now[0]
    for number in range(3):
        vendor.get(TICKETS, json=export_of("tickets", [a_ticket(number)], after=str(number), ended=number == 2))
    vendor.get(USERS, json=export_of("users", [], identities=[]))
    read(pull_of(source, "tickets"))
    read(pull_of(source, "users"))
    assert waited == [60.0]
