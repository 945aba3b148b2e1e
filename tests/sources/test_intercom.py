"""Intercom: odd answers by themselves, and whole pulls of a workspace."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import orjson
import pytest
import requests
import responses

from millstream.sources.check import check_source
from millstream.sources.ingest import IngestReport
from millstream.sources.intercom import contacts, search, walk
from millstream.sources.pull import Window
from millstream.sources.testing import Pulled
from millstream.state.errors import (
    AuthenticationError,
    IncompleteError,
    PermissionDeniedError,
    RateLimitedError,
    RefusedError,
    SchemaError,
)
from millstream.state.http import Answer
from tests.sources.intercom_workspace import (
    ROOT,
    Workspace,
    a_contact,
    a_conversation,
    days_before,
    intercom,
    refusal,
)
from tests.sources.loading import pull_of, read

NOW = datetime(2026, 3, 5, 10, 30, tzinfo=UTC)


@pytest.fixture
def vendor() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


@pytest.fixture
def workspace(vendor: responses.RequestsMock) -> Workspace:
    return Workspace(vendor)


def ids(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(str(row["id"]) for row in rows)


class TestSearch:
    @pytest.mark.parametrize("zone", ["UTC", "America/Los_Angeles", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
    @pytest.mark.parametrize("hours", [1, 13, 30])
    def test_days_of_any_time_zone_give_the_exact_moments(self, workspace: Workspace, zone: str, hours: int) -> None:
        workspace.zone = ZoneInfo(zone)
        workspace.contacts = [a_contact(number, at) for number, at in enumerate(days_before(NOW))]
        since, until = NOW - timedelta(days=9, hours=hours), NOW - timedelta(hours=hours)
        rows = read(pull_of(intercom(), "contacts", since=since, until=until))
        expected = [c for c in workspace.contacts if since.timestamp() <= c["updated_at"] < until.timestamp()]
        assert ids(rows) == ids(expected)
        assert len(workspace.asked) == 1

    @pytest.mark.parametrize("zone", ["UTC", "America/Los_Angeles", "Pacific/Kiritimati"])
    def test_everything_is_read_once_in_parts_by_creation(
        self, workspace: Workspace, zone: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(walk, "ROWS_AT_ONCE", 12)
        monkeypatch.setattr(search, "ROWS_A_PAGE", 5)
        workspace.zone = ZoneInfo(zone)
        workspace.contacts = [a_contact(number, at) for number, at in enumerate(days_before(NOW))]
        crowd = NOW - timedelta(days=40)
        workspace.contacts += [a_contact(number, crowd) for number in range(100, 140)]
        state: dict[str, Any] = {}
        rows = read(pull_of(intercom(), "contacts", state=state, pulled_at=NOW))
        assert ids(rows) == ids(workspace.contacts)
        assert state == {"since": NOW.isoformat(), "swept": NOW.isoformat()}

    def test_a_load_that_was_ended_goes_on_where_it_was(self, workspace: Workspace) -> None:
        workspace.contacts = [a_contact(number, at) for number, at in enumerate(days_before(NOW))]
        to = NOW - timedelta(days=20)
        began = NOW - timedelta(hours=3)
        state: dict[str, Any] = {"load": {"began": began.isoformat(), "to": to.isoformat()}}
        rows = read(pull_of(intercom(), "contacts", state=state, pulled_at=NOW))
        assert ids(rows) == ids([one for one in workspace.contacts if one["created_at"] >= to.timestamp()])
        assert state == {"since": began.isoformat(), "swept": began.isoformat()}

    def test_the_place_moves_with_each_page_and_the_next_pull_looks_back_an_hour(
        self, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(search, "ROWS_A_PAGE", 2)
        workspace.contacts = [a_contact(number, NOW - timedelta(minutes=20 * number)) for number in range(9)]
        state: dict[str, Any] = {"since": (NOW - timedelta(minutes=40)).isoformat(), "swept": NOW.isoformat()}
        pull = pull_of(intercom(), "contacts", state=state, pulled_at=NOW)
        assert pull.stream.read is not None
        seen = [(len(page), NOW - datetime.fromisoformat(state["since"])) for page in pull.stream.read(pull) if page]
        minutes = [timedelta(minutes=number) for number in (40, 40, 20, 0)]
        assert seen == list(zip((1, 2, 2, 1), minutes, strict=True))

    def test_answers_out_of_order_leave_the_place_until_the_end(self, vendor: Any) -> None:
        for hours, following in ((5, {"starting_after": "x"}), (8, {"starting_after": "y"}), (1, None)):
            rows = [a_contact(hours, NOW - timedelta(hours=hours))]
            page = {"data": rows, "total_count": 3, "pages": {"next": following}}
            vendor.post(f"{ROOT}/contacts/search", json=page)
        state: dict[str, Any] = {"since": (NOW - timedelta(hours=9)).isoformat(), "swept": NOW.isoformat()}
        pull = pull_of(intercom(), "contacts", state=state, pulled_at=NOW)
        assert pull.stream.read is not None
        assert {state["since"] for page in pull.stream.read(pull) if page} == {(NOW - timedelta(hours=5)).isoformat()}
        assert state["since"] == (NOW - timedelta(hours=1)).isoformat()

    def test_fewer_rows_than_announced_are_missed(self, vendor: Any) -> None:
        vendor.post(f"{ROOT}/contacts/search", json={"data": [a_contact(1, NOW)], "total_count": 2, "pages": {}})
        with pytest.raises(IncompleteError, match="announced 2"):
            read(pull_of(intercom(), "contacts"))

    def test_a_page_that_leads_to_itself_is_no_end(self, vendor: Any) -> None:
        page = {"data": [a_contact(1, NOW)], "total_count": 99, "pages": {"next": {"starting_after": "same"}}}
        vendor.post(f"{ROOT}/contacts/search", json=page)
        with pytest.raises(IncompleteError, match="twice"):
            read(pull_of(intercom(), "contacts"))

    def test_a_row_without_its_time_is_a_changed_api(self, vendor: Any) -> None:
        vendor.post(f"{ROOT}/contacts/search", json={"data": [{"type": "contact", "id": "c1"}], "total_count": 1})
        with pytest.raises(SchemaError, match="A contact has no 'created_at'"):
            read(pull_of(intercom(), "contacts"))


class Kept:
    """Pulls of a workspace into one store."""

    def __init__(self, folder: Path) -> None:
        self.pulled = Pulled(folder)

    def pull(self, *streams: str, settings: Any = None, **options: Any) -> IngestReport:
        return self.pulled.pull(intercom(streams=streams, **(settings or {})), **options)

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        with self.pulled.store.open() as connection:
            connection.execute("USE raw_intercom")
            return connection.execute(query).fetchall()


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


class TestContacts:
    def row(self, workspace: Workspace, contact: dict[str, Any], **settings: Any) -> dict[str, Any]:
        workspace.contacts = [contact]
        (row,) = read(pull_of(intercom(**settings), "contacts"))
        return row

    def test_only_a_users_external_id_names_somebody(self, workspace: Workspace) -> None:
        assert self.row(workspace, a_contact(1, NOW))["user_id"] == "C-1"
        lead = self.row(workspace, a_contact(1, NOW, role="lead", external_id="made-up"))
        assert (lead["external_id"], lead["user_id"]) == ("made-up", None)

    def test_what_the_settings_name_identifies_and_describes(self, workspace: Workspace) -> None:
        settings: dict[str, Any] = {"identifiers": {"Browser id": "cookie_id"}, "traits": {"plan": "plan"}}
        contact = a_contact(1, NOW, custom_attributes={"Browser id": "b-1", "plan": "pro"})
        row = self.row(workspace, contact, **settings)
        assert (row["attribute_browser_id"], row["attribute_plan"]) == ("b-1", "pro")
        people = intercom(**settings).streams()[0].people
        assert people is not None
        assert "cookie_id" in {one.kind for one in people.identifiers}
        assert "plan" in {one.name for one in people.traits}

    def test_an_external_id_may_name_nobody(self) -> None:
        people = intercom(external_id=None).streams()[0].people
        assert people is not None
        assert {one.kind for one in people.identifiers} == {"email", "phone", "intercom_contact_id"}

    def test_subscriptions_are_asked_for_by_setting(self, workspace: Workspace, vendor: Any) -> None:
        chosen = [{"id": "91", "consent_type": "opt_out"}, {"id": "93", "consent_type": "opt_in"}]
        vendor.get(f"{ROOT}/contacts/c1/subscriptions", json={"data": chosen})
        settings: dict[str, Any] = {"91": "newsletter", "93": {"topic": "offers", "channel": "sms"}, "94": "tips"}
        row = self.row(workspace, a_contact(1, NOW), subscriptions=settings)
        told = [row[f"subscription_{one}"] for one in settings]
        assert told == ["opt_out", "opt_in", None]
        people = intercom(subscriptions=settings).streams()[0].people
        assert people is not None
        said = {(one.channel, one.topic) for one in people.consents}
        assert said == {("email", "marketing"), ("email", "newsletter"), ("email", "tips"), ("sms", "offers")}

    def test_more_tags_than_a_row_holds_are_asked_for(self, workspace: Workspace, vendor: Any) -> None:
        vendor.get(f"{ROOT}/tags", json={"data": [{"id": "1", "name": "vip"}, {"id": "2", "name": "beta"}]})
        vendor.get(f"{ROOT}/contacts/c1/tags", json={"data": [{"id": "1"}, {"id": "2"}, {"id": "3"}]})
        row = self.row(workspace, a_contact(1, NOW, tags={"data": [{"id": "1"}], "has_more": True}))
        assert row["tags"] == "3;beta;vip"

    def test_tags_have_ids_where_their_names_may_not_be_read(self, workspace: Workspace, vendor: Any) -> None:
        vendor.get(f"{ROOT}/tags", status=403, json=refusal("api_plan_restricted"))
        workspace.contacts = [a_contact(1, NOW, tags={"data": [{"id": "7"}], "has_more": False})]
        pull = pull_of(intercom(), "contacts")
        (row,) = read(pull)
        assert row["tags"] == "7"
        assert "names" in pull.warnings[0]

    def test_a_lead_that_was_merged_is_marked_and_its_id_goes_on_naming_the_user(
        self, workspace: Workspace, kept: Kept
    ) -> None:
        now = datetime.now(UTC)
        workspace.contacts = [
            a_contact(1, now - timedelta(days=2)),
            a_contact(2, now - timedelta(days=2), role="lead"),
        ]
        kept.pull("contacts")
        history = [{"type": "merge_history", "source_contact_id": "c2", "merged_at": int(now.timestamp())}]
        workspace.contacts = [a_contact(1, now, merge_history=history)]
        report = kept.pull("contacts")
        assert report.errors == []
        found = kept.sql("SELECT id, merged_ids, merged_into, deleted FROM contacts ORDER BY id")
        assert found == [("c1", "c2", None, False), ("c2", None, "c1", True)]

    def test_a_sweep_finds_who_is_gone_and_who_came_back(self, workspace: Workspace, kept: Kept) -> None:
        now = datetime.now(UTC)
        everybody = [a_contact(number, now - timedelta(days=number)) for number in range(1, 5)]
        workspace.contacts = list(everybody)
        kept.pull("contacts")
        workspace.contacts = [one for one in everybody if one["id"] != "c3"]
        later = now + timedelta(days=8)
        kept.pull("contacts", pulled_at=later)
        assert kept.sql("SELECT id FROM contacts WHERE deleted") == [("c3",)]
        workspace.contacts = everybody
        kept.pull("contacts", pulled_at=later + timedelta(days=8))
        assert kept.sql("SELECT id FROM contacts WHERE deleted") == []

    def test_a_sweep_finds_who_is_gone_of_a_crowded_day(
        self, workspace: Workspace, kept: Kept, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(walk, "ROWS_AT_ONCE", 12)
        now = datetime.now(UTC)
        workspace.contacts = [a_contact(number, now - timedelta(days=5)) for number in range(40)]
        kept.pull("contacts")
        workspace.contacts = workspace.contacts[1:]
        kept.pull("contacts", pulled_at=now + timedelta(days=8))
        assert kept.sql("SELECT id FROM contacts WHERE deleted") == [("c0",)]

    def test_a_merge_that_a_sweep_meets_is_told_from_a_deletion(self, workspace: Workspace, kept: Kept) -> None:
        now = datetime.now(UTC)
        old, young = now - timedelta(days=400), now - timedelta(days=2)
        workspace.contacts = [a_contact(1, old), a_contact(2, young), a_contact(3, young), a_contact(4, now)]
        kept.pull("contacts")
        history = [{"source_contact_id": one} for one in ("c1", "c3")]
        workspace.contacts = [a_contact(2, young, merge_history=history)]
        kept.pull("contacts", pulled_at=now + timedelta(days=8))
        found = kept.sql("SELECT id, merged_into FROM contacts WHERE deleted ORDER BY id")
        assert found == [("c1", "c2"), ("c3", "c2"), ("c4", None)]

    def test_a_workspace_that_seems_empty_loses_nobody(self, workspace: Workspace, kept: Kept) -> None:
        workspace.contacts = [a_contact(1, NOW)]
        kept.pull("contacts")
        workspace.contacts = []
        report = kept.pull("contacts", full=True)
        assert "--accept-empty" in str(report.errors[0])

    def test_a_pull_that_is_killed_goes_on_where_it_was_stored(
        self, workspace: Workspace, kept: Kept, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(walk, "ROWS_AT_ONCE", 15)
        monkeypatch.setattr(contacts, "ROWS_A_PART", 25)
        workspace.contacts = [a_contact(number, at) for number, at in enumerate(days_before(NOW))]

        class Killed(BaseException):
            pass

        def kill(stream: str, rows: int) -> None:
            if rows >= 40:
                raise Killed

        with pytest.raises(Killed):
            kept.pull("contacts", progress=kill)
        stored = len(kept.sql("SELECT id FROM contacts"))
        assert stored >= 25
        report = kept.pull("contacts")
        assert report.streams[0].rows <= 60 - stored
        assert len(kept.sql("SELECT id FROM contacts")) == 60


class TestConversations:
    def row(self, workspace: Workspace, conversation: dict[str, Any], **settings: Any) -> dict[str, Any]:
        workspace.conversations = [conversation]
        (row,) = read(pull_of(intercom(**settings), "conversations"))
        return row

    def test_texts_and_what_pages_are_asked_with_are_left_out(self, workspace: Workspace) -> None:
        row = self.row(workspace, a_conversation(1, NOW, conversation_rating={"rating": 2, "remark": "My name is Ada"}))
        assert row["url"] == "https://shop.example.com/cart"
        assert not {"subject", "text", "remark"} & row.keys()
        row = self.row(workspace, a_conversation(1, NOW), texts=True)
        assert row["text"] == "<p>Where is my order?</p>"

    def test_a_rating_that_was_only_asked_for_is_none(self, workspace: Workspace) -> None:
        asked = {"rating": None, "created_at": 1_767_438_000}
        row = self.row(workspace, a_conversation(1, NOW, conversation_rating=asked))
        assert (row["rating"], row["rated_at"]) == (None, None)
        given = {"rating": 4, "created_at": 1_767_438_000, "updated_at": 1_767_439_000}
        row = self.row(workspace, a_conversation(1, NOW, conversation_rating=given))
        assert (row["rating"], row["rated_at"]) == (4, 1_767_439_000)

    def test_who_began_it_names_the_event(self, workspace: Workspace) -> None:
        assert self.row(workspace, a_conversation(1, NOW))["began_by"] == "contact"
        source = {"type": "email", "delivered_as": "campaigns_initiated", "author": {"type": "admin", "id": "9"}}
        assert self.row(workspace, a_conversation(1, NOW, source=source))["began_by"] == "team"

    def test_deleted_ones_are_marked(self, workspace: Workspace, kept: Kept) -> None:
        now = datetime.now(UTC)
        workspace.conversations = [a_conversation(number, now - timedelta(days=number)) for number in (1, 2, 3)]
        kept.pull("conversations")
        workspace.conversations = workspace.conversations[1:]
        workspace.deleted = [{"id": str(number), "deleted_at": int(now.timestamp())} for number in range(500, 580)]
        workspace.deleted += [{"id": "1", "deleted_at": int(now.timestamp()) - 1}]
        assert kept.pull("conversations").errors == []
        assert kept.sql("SELECT id FROM conversations WHERE deleted") == [("1",)]

    def test_what_was_deleted_before_a_pull_that_broke_off_is_marked_by_the_next(
        self, workspace: Workspace, vendor: Any, kept: Kept
    ) -> None:
        now = datetime.now(UTC)
        workspace.conversations = [a_conversation(number, now - timedelta(days=9)) for number in (1, 2)]
        kept.pull("conversations")
        workspace.conversations = [a_conversation(2, now + timedelta(hours=5))]
        workspace.deleted = [{"id": "1", "deleted_at": int((now + timedelta(minutes=5)).timestamp())}]
        vendor.remove(responses.GET, f"{ROOT}/conversations/deleted")
        vendor.get(f"{ROOT}/conversations/deleted", status=403, json=refusal("forbidden"))
        later = now + timedelta(hours=6)
        assert kept.pull("conversations", pulled_at=later).errors
        vendor.remove(responses.GET, f"{ROOT}/conversations/deleted")
        vendor.add_callback(responses.GET, f"{ROOT}/conversations/deleted", workspace._deleted)
        assert kept.pull("conversations", pulled_at=later + timedelta(hours=1)).errors == []
        assert kept.sql("SELECT id FROM conversations WHERE deleted") == [("1",)]

    def test_a_full_pull_learns_of_all_that_was_deleted(self, workspace: Workspace, kept: Kept) -> None:
        now = datetime.now(UTC)
        workspace.conversations = [a_conversation(number, now - timedelta(days=9)) for number in (1, 2)]
        kept.pull("conversations")
        workspace.conversations = workspace.conversations[1:]
        workspace.deleted = [{"id": "1", "deleted_at": int((now - timedelta(days=3)).timestamp())}]
        assert kept.pull("conversations", full=True).errors == []
        assert kept.sql("SELECT id FROM conversations WHERE deleted") == [("1",)]

    def test_a_version_without_a_list_of_deleted_ones_is_told(self, workspace: Workspace, vendor: Any) -> None:
        workspace.conversations = [a_conversation(1, NOW)]
        vendor.remove(responses.GET, f"{ROOT}/conversations/deleted")
        body = refusal("intercom_version_invalid", "Requested resource is not available")
        vendor.get(f"{ROOT}/conversations/deleted", status=400, json=body)
        pull = pull_of(intercom(version="2.14"), "conversations", state={"since": NOW.isoformat()})
        read(pull)
        assert "not available" in pull.warnings[0]


class TestParts:
    def rows(self, workspace: Workspace, vendor: Any, *parts: dict[str, Any], total: int = 0, **settings: Any) -> Any:
        workspace.conversations = [a_conversation(1, NOW)]
        numbered = [{"id": str(number), "created_at": 1_767_438_000, **part} for number, part in enumerate(parts)]
        whole = {"conversation_parts": {"conversation_parts": numbered, "total_count": total or len(parts)}}
        vendor.get(f"{ROOT}/conversations/1", json=a_conversation(1, NOW) | whole)
        self.pull = pull_of(intercom(**settings), "conversation_parts")
        return read(self.pull)

    @pytest.mark.parametrize(
        ("part", "author", "expected"),
        [
            ({"part_type": "comment", "body": "Hello"}, "admin", "received"),
            ({"part_type": "comment", "body": "Hello"}, "bot", "received"),
            ({"part_type": "comment", "body": "Hello"}, "user", "sent"),
            ({"part_type": "comment", "body": "Hello"}, "lead", "sent"),
            ({"part_type": "assignment", "body": "Hello"}, "admin", "received"),
            ({"part_type": "assignment", "body": None}, "admin", None),
            ({"part_type": "note", "body": "He is angry"}, "admin", None),
            ({"part_type": "close", "body": None}, "admin", "ended"),
        ],
    )
    def test_what_a_part_is_to_the_contact(
        self, workspace: Workspace, vendor: Any, part: dict[str, Any], author: str, expected: str | None
    ) -> None:
        (row,) = self.rows(workspace, vendor, part | {"author": {"type": author, "id": "x9"}})
        assert row["interaction"] == expected
        assert row["contact_id"] == ("x9" if author in ("user", "lead") else "c1")
        assert "text" not in row

    def test_texts_are_kept_by_setting(self, workspace: Workspace, vendor: Any) -> None:
        (row,) = self.rows(workspace, vendor, {"part_type": "comment", "body": "Hello"}, texts=True)
        assert row["text"] == "Hello"

    def test_more_parts_than_the_vendor_gives_are_told(self, workspace: Workspace, vendor: Any) -> None:
        self.rows(workspace, vendor, {"part_type": "comment"}, total=620)
        assert "latest 500" in self.pull.warnings[0]

    def test_a_conversation_that_was_deleted_meanwhile_is_left_out(self, workspace: Workspace, vendor: Any) -> None:
        workspace.conversations = [a_conversation(1, NOW)]
        vendor.get(f"{ROOT}/conversations/1", status=404, json=refusal("not_found"))
        assert read(pull_of(intercom(), "conversation_parts")) == []

    def test_a_load_that_takes_long_says_when_it_ends(self, vendor: Any) -> None:
        vendor.post(
            f"{ROOT}/conversations/search", json={"conversations": [], "total_count": 60_000, "pages": {"next": None}}
        )
        pull = pull_of(intercom(requests_per_minute=600), "conversation_parts")
        assert pull.stream.read is not None
        with pytest.raises(IncompleteError):
            list(pull.stream.read(pull))
        assert "60000 requests at 600 a minute" in pull.warnings[0]


class TestCompanies:
    def company(self, number: int, **more: Any) -> dict[str, Any]:
        at = int(NOW.timestamp())
        facts = {"id": str(number), "company_id": f"K-{number}", "name": "Roastery", "plan": {"name": "pro"}}
        return {"type": "company", **facts, "created_at": at, "updated_at": at, **more}

    def test_a_scroll_that_was_lost_begins_again(self, vendor: Any) -> None:
        page = {"data": [self.company(1)], "scroll_param": "s"}
        lost = refusal("server_error", "Request failed due to an internal network error. Please restart the scroll.")
        vendor.get(f"{ROOT}/companies/scroll", json=page)
        vendor.get(f"{ROOT}/companies/scroll", status=500, json=lost)
        vendor.get(f"{ROOT}/companies/scroll", json=page)
        vendor.get(f"{ROOT}/companies/scroll", json={"data": [], "scroll_param": "s"})
        rows = read(pull_of(intercom(), "companies"))
        assert {row["id"] for row in rows} == {"1"}
        assert rows[0]["plan"] == "pro"
        assert ["scroll_param" in str(call.request.url) for call in vendor.calls] == [False, True, False, True]

    def test_a_scroll_that_is_lost_each_time_is_given_up(self, vendor: Any) -> None:
        for _ in range(3):
            vendor.get(f"{ROOT}/companies/scroll", json={"data": [self.company(1)], "scroll_param": "s"})
            vendor.get(f"{ROOT}/companies/scroll", status=404, json=refusal("not_found"))
        with pytest.raises(IncompleteError, match="3 times"):
            read(pull_of(intercom(), "companies"))

    def test_a_scroll_that_may_not_begin_is_refused_at_once(self, vendor: Any) -> None:
        vendor.get(f"{ROOT}/companies/scroll", status=400, json=refusal("parameter_invalid"))
        with pytest.raises(RefusedError, match="parameter_invalid"):
            read(pull_of(intercom(), "companies"))
        assert len(vendor.calls) == 1

    def test_a_scroll_of_somebody_else_is_waited_for(self, vendor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("millstream.sources.intercom.errors.SCROLL_WAIT", 0.01)
        vendor.get(f"{ROOT}/companies/scroll", status=400, json=refusal("scroll_exists"))
        vendor.get(f"{ROOT}/companies/scroll", json={"data": []})
        assert read(pull_of(intercom(), "companies")) == []

    def test_more_companies_without_a_place_are_missed(self, vendor: Any) -> None:
        vendor.get(f"{ROOT}/companies/scroll", json={"data": [self.company(1)]})
        with pytest.raises(IncompleteError, match="not where"):
            read(pull_of(intercom(), "companies"))

    def test_one_that_is_no_longer_listed_is_marked(self, vendor: Any, kept: Kept) -> None:
        def lists(*companies: dict[str, Any]) -> None:
            vendor.reset()
            vendor.get(f"{ROOT}/companies/scroll", json={"data": list(companies), "scroll_param": "s"})
            vendor.get(f"{ROOT}/companies/scroll", json={"data": []})

        lists(self.company(1), self.company(2))
        kept.pull("companies")
        lists(self.company(2))
        assert kept.pull("companies").errors == []
        assert kept.sql("SELECT id FROM companies WHERE deleted") == [("1",)]
        lists()
        assert "--accept-empty" in str(kept.pull("companies").errors[0])


class TestEvents:
    PAGE = f"{ROOT}/events"

    def event(self, at: datetime, name: str = "placed-order", **metadata: Any) -> dict[str, Any]:
        return {"type": "event", "event_name": name, "created_at": int(at.timestamp()), "metadata": metadata}

    def test_an_amount_is_in_hundredths_of_its_currency(self, workspace: Workspace, vendor: Any) -> None:
        workspace.contacts = [a_contact(1, NOW)]
        event = self.event(NOW, order="A-1", price={"amount": 34999, "currency": "eur"})
        vendor.get(self.PAGE, json={"events": [event], "pages": {}})
        (row,) = read(pull_of(intercom(), "data_events", pulled_at=NOW))
        assert (row["value"], row["currency"], row["contact_id"]) == (349.99, "EUR", "c1")

    def test_pages_are_followed_on_the_connections_own_host_until_the_last_pull(
        self, workspace: Workspace, vendor: Any
    ) -> None:
        workspace.contacts = [a_contact(1, NOW)]
        days = (1, 3, 5, 20)
        for place, days_ago in enumerate(days):
            following = {"next": f"https://elsewhere.test/events?type=user&intercom_user_id=c1&before={place}"}
            event = self.event(NOW - timedelta(days=days_ago))
            vendor.get(self.PAGE, json={"events": [event], "pages": following})
        state = {"since": (NOW - timedelta(days=2)).isoformat()}
        rows = read(pull_of(intercom(events_lookback_days=7), "data_events", state=state, pulled_at=NOW))
        assert len(rows) == 3
        asked = [str(call.request.url) for call in vendor.calls if "events" in str(call.request.url)]
        assert len(asked) == len(days)
        assert all(url.startswith(ROOT) for url in asked)
        assert "before=0" in asked[1]

    def test_a_page_that_leads_to_itself_is_no_end(self, workspace: Workspace, vendor: Any) -> None:
        workspace.contacts = [a_contact(1, NOW)]
        following = {"next": f"{ROOT}/events?type=user&intercom_user_id=c1&before=1"}
        vendor.get(self.PAGE, json={"events": [self.event(NOW)], "pages": following})
        with pytest.raises(IncompleteError, match="itself"):
            read(pull_of(intercom(), "data_events", pulled_at=NOW))

    def test_one_event_of_a_name_and_a_second_is_one_row(self, workspace: Workspace, vendor: Any) -> None:
        workspace.contacts = [a_contact(1, NOW)]
        events = [self.event(NOW), self.event(NOW), self.event(NOW, "viewed-page")]
        vendor.get(self.PAGE, json={"events": events, "pages": {}})
        rows = read(pull_of(intercom(), "data_events", pulled_at=NOW))
        assert len({row["id"] for row in rows}) == 2

    def test_a_contact_that_was_merged_meanwhile_is_left_out(self, workspace: Workspace, vendor: Any) -> None:
        workspace.contacts = [a_contact(1, NOW)]
        vendor.get(self.PAGE, status=404, json=refusal("not_found"))
        assert read(pull_of(intercom(), "data_events", pulled_at=NOW)) == []

    def test_events_from_before_a_pull_that_broke_off_are_read_by_the_next(
        self, workspace: Workspace, vendor: Any
    ) -> None:
        since, lately = NOW - timedelta(days=40), NOW - timedelta(hours=2)
        workspace.contacts = [a_contact(1, lately), a_contact(2, NOW - timedelta(hours=1))]
        events = {"c1": [], "c2": [self.event(NOW - timedelta(days=30))]}
        refuses = {"c2"}

        def answer(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
            contact = parse_qs(urlsplit(str(request.url)).query)["intercom_user_id"][0]
            if contact in refuses:
                return 403, {}, json.dumps(refusal("forbidden"))
            return 200, {}, json.dumps({"events": events[contact], "pages": {}})

        vendor.add_callback(responses.GET, self.PAGE, answer)
        state = {"since": since.isoformat()}
        pull = pull_of(intercom(), "data_events", state=state, pulled_at=NOW)
        with pytest.raises(PermissionDeniedError):
            read(pull)
        refuses.clear()
        # What an ended pull keeps: its notes, which say that the contacts of the pages before were asked.
        kept = {**pull.state, "since": lately.isoformat()}
        rows = read(pull_of(intercom(), "data_events", state=kept, pulled_at=NOW + timedelta(hours=1)))
        assert [row["contact_id"] for row in rows] == ["c2"]
        assert set(kept) == {"since"}

    @pytest.mark.parametrize(("of", "contacts"), [("changed", 1), ("all", 3)])
    def test_later_pulls_ask_for_those_who_changed_or_for_all(
        self, workspace: Workspace, vendor: Any, of: str, contacts: int
    ) -> None:
        workspace.contacts = [a_contact(number, NOW - timedelta(days=5 * number)) for number in range(3)]
        vendor.get(self.PAGE, json={"events": [], "pages": {}})
        state = {"since": (NOW - timedelta(days=1)).isoformat()}
        read(pull_of(intercom(events_of=of), "data_events", state=state, pulled_at=NOW))
        assert len([call for call in vendor.calls if "/events?" in str(call.request.url)]) == contacts


class TestErrors:
    def test_a_wrong_token_may_be_one_of_another_region(self, vendor: Any) -> None:
        vendor.get(f"{ROOT}/me", status=401, json=refusal("unauthorized", "Access Token Invalid"))
        (result,) = check_source(intercom(), name="intercom")
        assert (result.ok, result.problem) == (False, "credentials")
        assert "region" in str(result.remedy)

    def test_the_version_and_the_token_go_with_each_request(self, workspace: Workspace, vendor: Any) -> None:
        read(pull_of(intercom(version="2.15"), "contacts"))
        headers = vendor.calls[0].request.headers
        assert (headers["Intercom-Version"], headers["Authorization"]) == ("2.15", "Bearer a-token")
        assert "include_merge_history=true" in str(vendor.calls[0].request.url)

    @pytest.mark.parametrize(
        ("status", "code", "error"),
        [
            (401, "token_unauthorized", AuthenticationError),
            (403, "api_plan_restricted", PermissionDeniedError),
            (400, "parameter_invalid", RefusedError),
        ],
    )
    def test_a_refusal_comes_in_the_vendors_words(self, vendor: Any, status: int, code: str, error: Any) -> None:
        vendor.post(f"{ROOT}/contacts/search", status=status, json=refusal(code, "You may not"))
        with pytest.raises(error, match=f"{code} - You may not"):
            read(pull_of(intercom(), "contacts"))

    @pytest.mark.parametrize(
        ("headers", "seconds"),
        [
            ({"Retry-After": "3", "X-RateLimit-Reset": "99"}, 3.0),
            ({"X-RateLimit-Reset": "0"}, 1.0),
            ({"X-RateLimit-Reset": "99999999999"}, 60.0),
            ({}, None),
        ],
    )
    def test_a_limit_says_when_its_window_renews(self, headers: dict[str, str], seconds: float | None) -> None:
        answer = Answer()
        answer.status_code = 429
        answer.headers.update(headers)
        answer._content = orjson.dumps(refusal("rate_limit_exceeded"))
        found = intercom().classify(answer)
        assert isinstance(found, RateLimitedError)
        assert found.retry_after == seconds


def test_a_backfill_reads_its_days_and_leaves_the_notes(workspace: Workspace, kept: Kept) -> None:
    workspace.contacts = [a_contact(number, at) for number, at in enumerate(days_before(NOW))]
    window = Window(NOW - timedelta(days=6), NOW - timedelta(days=3))
    kept.pull("contacts", window=window)
    moments = [row[0] for row in kept.sql("SELECT updated_at FROM contacts")]
    assert len(moments) == 10
    assert all(window.since <= moment < window.until for moment in moments)
