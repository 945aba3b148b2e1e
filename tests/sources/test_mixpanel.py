"""Mixpanel: odd answers by themselves, and whole pulls against the sandbox."""

from __future__ import annotations

import gzip
import json
import re
import threading
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
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
from millstream.sources.mixpanel import Mixpanel, MixpanelSettings, export, whole_files
from millstream.sources.pull import Pull
from millstream.sources.testing import Pulled
from millstream.state.errors import (
    AuthenticationError,
    ConfigurationError,
    IncompleteError,
    MalformedAnswerError,
    MillstreamError,
    PermissionDeniedError,
    QuotaExhaustedError,
    RefusedError,
    SchemaError,
    UnavailableError,
)
from millstream.state.http import Pacer
from tests.sources.loading import QUICK, pull_of, read

EXPORT = "https://data.mixpanel.com/api/2.0/export"
ENGAGE = "https://mixpanel.com/api/query/engage"
COHORTS = "https://mixpanel.com/api/query/cohorts/list"
NOON = datetime(2026, 1, 10, 12, tzinfo=UTC)
TODAY = NOON.date()


def mixpanel(**settings: Any) -> Mixpanel:
    account = {"project_id": 1, "username": "me.mp-service-account", "secret": SecretStr("hush")}
    return Mixpanel(MixpanelSettings(**{**account, "requests_per_second": 1000, "initial_days": 1, **settings}))


def an_event(name: str = "Signed up", **properties: Any) -> dict[str, Any]:
    known = {"time": NOON.timestamp() * 1000, "distinct_id": "u-42", "$insert_id": "a1"}
    return {"event": name, "properties": {**known, **properties}}


def lines(*events: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


@pytest.fixture
def vendor() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as vendor:
        yield vendor


def asked(vendor: Any) -> list[dict[str, str]]:
    queries = (parse_qs(urlsplit(call.request.url).query) for call in vendor.calls)
    return [{name: values[0] for name, values in query.items()} for query in queries]


def forms(vendor: Any) -> list[dict[str, str]]:
    bodies = (parse_qs(str(call.request.body or "")) for call in vendor.calls)
    return [{name: values[0] for name, values in body.items()} for body in bodies]


def days(rows_of: dict[date, bytes], seen: list[date] | None = None) -> Any:
    """An export that has these days, and nothing on others."""

    def answer(request: requests.PreparedRequest) -> tuple[int, dict[str, str], bytes]:
        query = parse_qs(urlsplit(str(request.url)).query)
        first, last = (date.fromisoformat(query[name][0]) for name in ("from_date", "to_date"))
        if seen is not None:
            seen.append(first)
        found = b"".join(body for day, body in rows_of.items() if first <= day <= last)
        return 200, {"Content-Encoding": "gzip"}, gzip.compress(found)

    return answer


class TestEvents:
    def row(self, vendor: Any, *events: dict[str, Any], **settings: Any) -> dict[str, Any]:
        vendor.get(EXPORT, body=lines(*events))
        return dict(read(pull_of(mixpanel(**settings), "events", pulled_at=NOON))[0])

    def test_an_event_is_read_with_its_own_properties_beside(self, vendor: Any) -> None:
        event = an_event(
            "Order Completed",
            **{"$city": "Lyon", "revenue": 9.5, "currency": "EUR", "mp_processing_time_ms": 1_767_430_950_123},
            **{"plan": "pro", "$screen_height": 800, "utm_source": "undefined", "color": "<null>"},
        )
        row = self.row(vendor, event)
        assert (row["name"], row["city"], row["utm_source"]) == ("Order Completed", "Lyon", None)
        assert row["time"] == NOON.timestamp() * 1000, "as it came: the engine reads milliseconds"
        assert (row["value"], row["currency"], row["insert_id"]) == (9.5, "EUR", "a1")
        assert row["properties"] == {"plan": "pro", "screen_height": 800, "revenue": 9.5, "currency": "EUR"}
        (query,) = asked(vendor)
        assert query == {
            "project_id": "1", "from_date": "2026-01-10", "to_date": "2026-01-10", "time_in_ms": "true",
        }  # fmt: skip
        assert vendor.calls[0].request.headers["Accept-Encoding"] == "gzip"

    def test_names_become_those_of_the_project(self, vendor: Any) -> None:
        vendor.get(EXPORT, body=lines(an_event("SIGN UP"), an_event("$ae_first_open"), an_event("Odd")))
        source = mixpanel(event_names={"Sign up": "Signed Up"})
        found = read(pull_of(source, "events", pulled_at=NOON))
        assert [row["name"] for row in found] == ["Signed Up", "Application Installed", "Odd"]

    def test_an_event_is_the_same_whomever_it_is_taken_for_and_whenever_it_arrived(self, vendor: Any) -> None:
        before = an_event(distinct_id="$device:d-9", mp_processing_time_ms=1, **{"$device_id": "d-9"})
        after = an_event(distinct_id="u-42", mp_processing_time_ms=2, **{"$device_id": "d-9"})
        unnamed = [an_event(distinct_id=who) for who in ("a", "b")]
        for event in unnamed:
            del event["properties"]["$insert_id"]
        others = [an_event(**{"$insert_id": "a2"}), an_event("Other"), an_event(time=NOON.timestamp() + 1)]
        vendor.get(EXPORT, body=lines(before, after, *unnamed, *others))
        ids = [row["event_id"] for row in read(pull_of(mixpanel(), "events", pulled_at=NOON))]
        assert ids[0] == ids[1]
        assert ids[2] == ids[3]
        assert len(set(ids)) == 5

    def test_seconds_and_an_older_projects_clock_are_read(self, vendor: Any) -> None:
        written = datetime(2026, 1, 10, 13, tzinfo=UTC).timestamp()
        row = self.row(vendor, an_event(time=int(written)), timezone="Europe/Berlin")
        assert row["time"] == NOON

    def test_days_are_those_of_the_project(self, vendor: Any) -> None:
        vendor.get(EXPORT, body=b"")
        late = datetime(2026, 1, 10, 23, 30, tzinfo=UTC)
        read(pull_of(mixpanel(timezone="Asia/Tokyo"), "events", pulled_at=late))
        assert asked(vendor)[0]["to_date"] == "2026-01-11"

    def test_only_the_events_asked_for_are_exported(self, vendor: Any) -> None:
        vendor.get(EXPORT, body=b"")
        read(pull_of(mixpanel(events=("Signed up",), workspace_id=5), "events", pulled_at=NOON))
        assert asked(vendor)[0]["event"] == '["Signed up"]'
        assert asked(vendor)[0]["workspace_id"] == "5"

    def test_an_event_without_a_time_is_named(self, vendor: Any) -> None:
        with pytest.raises(SchemaError, match="no time"):
            self.row(vendor, an_event(time="yesterday"))


class TestIdentity:
    def ids(
        self, vendor: Any, name: str = "Seen", /, *, id_merge: str = "simplified", **properties: Any
    ) -> tuple[Any, ...]:
        vendor.get(EXPORT, body=lines(an_event(name, **properties)))
        (row,) = read(pull_of(mixpanel(id_merge=id_merge), "events", pulled_at=NOON))
        names = ("distinct_id", "user_id", "device_id", "linked_device_id", "other_distinct_ids")
        return tuple(row[name] for name in names)

    def test_simplified_a_distinct_id_is_a_user(self, vendor: Any) -> None:
        found = self.ids(vendor, distinct_id="u-42", **{"$device_id": "d-9"})
        assert found == ("u-42", "u-42", "d-9", "d-9", None)

    def test_simplified_or_a_device(self, vendor: Any) -> None:
        assert self.ids(vendor, distinct_id="$device:d-9") == ("$device:d-9", None, "d-9", "d-9", None)

    def test_a_device_that_mixpanel_did_not_merge_joins_nobody(self, vendor: Any) -> None:
        why = {"$identity_failure_reason": "device belongs to another user"}
        found = self.ids(vendor, distinct_id="u-43", **{"$device_id": "d-9", "$user_id": "u-43", **why})
        assert found == ("u-43", "u-43", "d-9", None, None)

    def test_an_id_from_before_a_merge_belongs_to_the_person(self, vendor: Any) -> None:
        found = self.ids(vendor, distinct_id="u-42", **{"$distinct_id_before_identity": "$device:d-9"})
        assert found[-1] == "$device:d-9"

    def test_original_a_distinct_id_says_nothing_more(self, vendor: Any) -> None:
        found = self.ids(vendor, id_merge="original", distinct_id="6f0e", **{"$user_id": "u-42", "$device_id": "d-9"})
        assert found == ("6f0e", "u-42", "d-9", "d-9", None)

    @pytest.mark.parametrize(
        ("name", "properties", "others"),
        [
            ("$identify", {"$identified_id": "u-42", "$anon_id": "6f0e"}, "u-42"),
            ("$merge", {"$distinct_ids": ["u-1", "u-2"]}, "u-1\nu-2"),
            ("$create_alias", {"alias": "u-7"}, "u-7"),
            ("$identify", {"$identified_id": "u-42", "$failure_reason": "already merged"}, None),
            ("Seen", {"alias": "a spy's"}, None),
        ],
    )
    def test_original_links_are_read_where_they_were_made(
        self, vendor: Any, name: str, properties: dict[str, Any], others: str | None
    ) -> None:
        found = self.ids(vendor, name, id_merge="original", distinct_id="6f0e", **properties)
        assert found[-1] == others

    def test_a_link_is_nothing_that_somebody_did(self, vendor: Any) -> None:
        vendor.get(EXPORT, body=lines(an_event("$identify"), an_event("Seen")))
        found = read(pull_of(mixpanel(id_merge="original"), "events", pulled_at=NOON))
        assert [row["name"] for row in found] == [None, "Seen"]

    @pytest.mark.parametrize(
        "nobody", ["undefined", "NULL", "", "0", None, True, "00000000-0000-0000-0000-000000000000"]
    )
    def test_what_stands_for_a_missing_id_is_nobody(self, vendor: Any, nobody: Any) -> None:
        assert self.ids(vendor, distinct_id=nobody, **{"$user_id": nobody}) == (None,) * 5

    def test_events_of_an_id_that_is_shared_by_many_are_about_nobody(self, vendor: Any) -> None:
        was = {"mp_original_event_name": "Order Completed", "mp_original_distinct_id": "till"}
        vendor.get(EXPORT, body=lines(an_event("$hotshard_events", **was, **{"$user_id": "till"})))
        (row,) = read(pull_of(mixpanel(), "events", pulled_at=NOON))
        assert (row["name"], row["distinct_id"], row["user_id"]) == ("Order Completed", None, None)

    def test_kinds_are_those_of_the_settings(self) -> None:
        def kinds(stream: str, **settings: Any) -> list[str]:
            people = next(one.people for one in mixpanel(**settings).streams() if one.name == stream)
            assert people is not None
            return [identifier.kind for identifier in people.identifiers]

        assert kinds("events") == ["mixpanel_distinct_id", "user_id", "device_id", "mixpanel_distinct_id", "email"]
        assert kinds("events", user_id=None, devices=False, event_identifiers={}) == ["mixpanel_distinct_id"] * 2
        assert kinds("profiles", user_id="email")[:2] == ["mixpanel_distinct_id", "email"]
        assert kinds("profiles", identifiers={"Member No": "loyalty_id"})[-1] == "loyalty_id"


class TestDays:
    def test_a_first_pull_reads_the_days_in_order(self, vendor: Any) -> None:
        some = {TODAY - timedelta(days=back): lines(an_event(f"-{back}")) for back in (2, 1, 0)}
        vendor.add_callback("GET", EXPORT, callback=days(some))
        state: dict[str, Any] = {}
        found = read(pull_of(mixpanel(initial_days=4), "events", state=state, pulled_at=NOON))
        assert [row["event"] for row in found] == ["-2", "-1", "-0"]
        assert sorted(query["from_date"] for query in asked(vendor)) == [f"2026-01-{day:02}" for day in (7, 8, 9, 10)]
        assert state == {"next": "2026-01-05"}

    def test_a_later_pull_reads_the_last_days_again(self, vendor: Any) -> None:
        seen: list[date] = []
        vendor.add_callback("GET", EXPORT, callback=days({}, seen))
        pull = pull_of(mixpanel(), "events", state={"next": "2026-01-05"}, pulled_at=NOON + timedelta(days=1))
        assert read(pull) == []
        assert sorted(seen) == [date(2026, 1, day) for day in range(5, 12)]
        assert (pull.state["next"], pull.place) == ("2026-01-06", "2026-01-11")

    def test_some_days_may_be_exported_at_once(self, vendor: Any) -> None:
        vendor.add_callback("GET", EXPORT, callback=days({}))
        read(pull_of(mixpanel(start_date=date(2026, 1, 1), days_a_request=4), "events", pulled_at=NOON))
        spans = sorted((query["from_date"][-2:], query["to_date"][-2:]) for query in asked(vendor))
        assert spans == [("01", "04"), ("05", "08"), ("09", "10")]

    def test_days_are_exported_side_by_side(self, vendor: Any) -> None:
        together = threading.Barrier(3, timeout=10)

        def answer(request: requests.PreparedRequest) -> tuple[int, dict[str, str], bytes]:
            together.wait()
            return 200, {}, b""

        vendor.add_callback("GET", EXPORT, callback=answer)
        assert read(pull_of(mixpanel(initial_days=3, exports_at_once=3), "events", pulled_at=NOON)) == []

    def test_a_backfill_reads_its_window_alone(self, vendor: Any) -> None:
        since = datetime(2026, 1, 3, 6, tzinfo=UTC)
        at = [since - timedelta(seconds=1), since, since + timedelta(days=1)]
        vendor.add_callback(
            "GET", EXPORT, callback=days({since.date(): lines(*(an_event(time=one.timestamp()) for one in at))})
        )
        pull = pull_of(mixpanel(), "events", since=since, until=since + timedelta(days=1), pulled_at=NOON)
        assert [row["time"] for row in read(pull)] == [since.timestamp()]
        assert sorted(query["from_date"] for query in asked(vendor)) == ["2026-01-03", "2026-01-04"]

    def test_a_load_beyond_the_hours_exports_says_when_it_will_be_done(self, vendor: Any) -> None:
        vendor.add_callback("GET", EXPORT, callback=days({TODAY - timedelta(days=4): lines(an_event())}))
        source = mixpanel(initial_days=5, exports_per_hour=2, exports_at_once=1)
        pull = pull_of(source, "events", pulled_at=NOON)
        with pytest.raises(QuotaExhaustedError):
            read(pull)
        assert pull.state["next"] == "2026-01-05"
        (warning,) = pull.warnings
        assert "5 exports" in warning
        assert "2026-01-10 14:00 UTC" in warning


class TestBrokenExports:
    def rows(self, **settings: Any) -> list[dict[str, Any]]:
        return [dict(row) for row in read(pull_of(mixpanel(**settings), "events", pulled_at=NOON))]

    @pytest.mark.parametrize(
        "broken",
        [
            lines(an_event()) + b'{"event": "Sig',
            lines(an_event()) + b"export terminated early\n",
            lines(an_event()) + b'{"error": "internal"}\n',
            b"<html><body>Please sign in.</body></html>",
        ],
    )
    def test_an_export_that_did_not_come_whole_is_repeated(self, vendor: Any, broken: bytes) -> None:
        vendor.get(EXPORT, body=broken)
        vendor.get(EXPORT, body=lines(an_event(), an_event("Other")))
        assert [row["event"] for row in self.rows()] == ["Signed up", "Other"]

    def test_a_packed_export_that_breaks_off_is_repeated(self, vendor: Any) -> None:
        packed = gzip.compress(lines(*(an_event(f"{n}") for n in range(50))))
        vendor.get(EXPORT, body=packed[:-20], headers={"Content-Encoding": "gzip"})
        vendor.get(EXPORT, body=packed, headers={"Content-Encoding": "gzip"})
        assert len(self.rows()) == 50

    def test_a_connection_that_is_cut_is_tried_again(self, vendor: Any) -> None:
        vendor.get(EXPORT, body=requests.ConnectionError("cut"))
        vendor.get(EXPORT, body=lines(an_event()))
        assert len(self.rows()) == 1

    @pytest.mark.parametrize(
        ("broken", "error"), [(b"export terminated early", UnavailableError), (b"<html>", MalformedAnswerError)]
    )
    def test_one_that_stays_broken_is_named_and_the_days_before_are_kept(
        self, vendor: Any, broken: bytes, error: type[MillstreamError]
    ) -> None:
        bad = TODAY - timedelta(days=1)

        def answer(request: requests.PreparedRequest) -> tuple[int, dict[str, str], bytes]:
            return 200, {}, broken if bad.isoformat() in str(request.url) else lines(an_event())

        vendor.add_callback("GET", EXPORT, callback=answer)
        pull = pull_of(mixpanel(initial_days=9, lookback_days=0, exports_at_once=2), "events", pulled_at=NOON)
        with pytest.raises(error, match=r"days_a_request"):
            read(pull)
        assert pull.state["next"] == bad.isoformat()

    def test_a_large_export_is_not_held_in_memory(self, vendor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(whole_files, "_IN_MEMORY", 10_000)
        body = gzip.compress(lines(*(an_event(f"{n}", text="x" * 6000) for n in range(4_000))), 1)
        vendor.get(EXPORT, body=body, headers={"Content-Encoding": "gzip"})
        pull = pull_of(mixpanel(), "events", pulled_at=NOON)
        assert pull.stream.read is not None
        tracemalloc.start()
        rows = sum(len(page) for page in pull.stream.read(pull))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert rows == 4_000
        assert peak < 8_000_000 < 4_000 * 6_000


def a_profile(who: Any, seen: str = "2026-01-09T10:00:00", **properties: Any) -> dict[str, Any]:
    return {"$distinct_id": who, "$properties": {"$last_seen": seen, **properties}}


def a_page(rows: list[dict[str, Any]], page: int = 0, total: int | None = None, size: int = 2) -> dict[str, Any]:
    whole = len(rows) if total is None else total
    return {"page": page, "page_size": size, "session_id": "s-1", "status": "ok", "total": whole, "results": rows}


class TestProfiles:
    def test_a_profile_is_read_with_its_own_properties_beside(self, vendor: Any) -> None:
        vendor.post(ENGAGE, json=a_page([a_profile(42, plan="pro", **{"$email": "a@box.example", "Member No": "7"})]))
        source = mixpanel(traits={"Member No": "member_number"})
        (row,) = read(pull_of(source, "profiles", pulled_at=NOON))
        assert (row["distinct_id"], row["user_id"], row["property_email"]) == ("42", "42", "a@box.example")
        assert (row["property_member_no"], row["properties"]) == ("7", {"plan": "pro"})
        assert asked(vendor) == [{"project_id": "1"}]

    def test_what_an_application_wrote_oddly_breaks_nothing(self, vendor: Any) -> None:
        odd: dict[str, Any] = {
            "$created": "01/02/2026",
            "$city": ["Lyon"],
            "$email": ["a@box.example"],
            "$phone": 331234,
        }
        vendor.post(ENGAGE, json=a_page([a_profile("u-1", **odd)]))
        (row,) = read(pull_of(mixpanel(), "profiles", pulled_at=NOON))
        assert (row["created_at"], row["city"], row["property_email"], row["property_phone"]) == (
            None,
            None,
            None,
            "331234",
        )
        assert row["properties"] == {"created": "01/02/2026", "city": ["Lyon"]}

    def test_pages_go_on_with_the_session(self, vendor: Any) -> None:
        def answer(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
            page = int(parse_qs(str(request.body or "")).get("page", ["0"])[0])
            return 200, {}, json.dumps(a_page([a_profile(f"{page}-{n}") for n in range(2)], page, total=6))

        vendor.add_callback("POST", ENGAGE, callback=answer)
        found = read(pull_of(mixpanel(), "profiles", pulled_at=NOON))
        assert [row["distinct_id"] for row in found] == ["0-0", "0-1", "1-0", "1-1", "2-0", "2-1"]
        assert sorted(form.get("session_id", "") + form.get("page", "") for form in forms(vendor)) == [
            "",
            "s-11",
            "s-12",
        ]

    def test_a_later_pull_asks_for_those_seen_since(self, vendor: Any) -> None:
        vendor.post(
            ENGAGE, json=a_page([a_profile("u-1", "2026-01-09T10:00:00"), a_profile("u-2", "2026-01-02T00:00:00")])
        )
        state: dict[str, Any] = {}
        for after in (timedelta(0), timedelta(days=6), timedelta(days=7)):
            read(pull_of(mixpanel(), "profiles", state=state, pulled_at=NOON + after))
        since = 'properties["$last_seen"] >= "2026-01-08T10:00:00"'
        assert [form.get("where") for form in forms(vendor)] == [None, since, None]
        assert (state["reading"], state["seen"]) == (2, "2026-01-09T10:00:00")

    def test_fewer_than_announced_take_nobody_for_gone(self, vendor: Any) -> None:
        vendor.post(ENGAGE, json=a_page([a_profile("u-1"), a_profile("u-2")], total=3))
        vendor.post(ENGAGE, json=a_page([], 1, total=3))
        state: dict[str, Any] = {}
        with pytest.raises(IncompleteError, match="announced 3 profiles and 2 came"):
            read(pull_of(mixpanel(), "profiles", state=state, pulled_at=NOON))
        assert not {"walk", "seen", "whole"} & state.keys()

    def test_a_query_that_ends_half_read_leaves_the_place_where_it_was(self, vendor: Any) -> None:
        vendor.post(ENGAGE, json=a_page([a_profile("u-1", "2026-01-10T09:00:00"), a_profile("u-2")], total=3))
        vendor.post(ENGAGE, status=400, json={"error": "request for page in uncached query for params"})
        whole = (NOON - timedelta(days=1)).isoformat()
        state = {"whole": whole, "seen": "2026-01-05T10:00:00", "reading": 1}
        with pytest.raises(IncompleteError, match="forgotten"):
            read(pull_of(mixpanel(), "profiles", state=state, pulled_at=NOON))
        assert state["seen"] == "2026-01-05T10:00:00"

    def test_a_time_in_the_future_moves_no_place_beyond_now(self, vendor: Any) -> None:
        vendor.post(ENGAGE, json=a_page([a_profile("u-1", "2099-01-09T10:00:00"), a_profile("u-2")]))
        state: dict[str, Any] = {}
        read(pull_of(mixpanel(), "profiles", state=state, pulled_at=NOON))
        assert state["seen"] == "2026-01-10T12:00:00"

    def test_what_the_hour_does_not_allow_is_read_in_the_next(self, vendor: Any) -> None:
        def answer(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
            page = int(parse_qs(str(request.body or "")).get("page", ["0"])[0])
            return 200, {}, json.dumps(a_page([a_profile(f"{page}-{n}") for n in range(2)], page, total=8))

        vendor.add_callback("POST", ENGAGE, callback=answer)
        state: dict[str, Any] = {}
        pull = pull_of(mixpanel(queries_per_hour=2, queries_at_once=1), "profiles", state=state, pulled_at=NOON)
        with pytest.raises(QuotaExhaustedError):
            read(pull)
        assert state["walk"]["page"] == 2
        assert "run again until 2026-01-10 13:00 UTC" in pull.warnings[0]
        rest = read(pull_of(mixpanel(), "profiles", state=state, pulled_at=NOON + timedelta(hours=1)))
        assert [row["distinct_id"] for row in rest[:4]] == ["2-0", "2-1", "3-0", "3-1"]
        assert "walk" not in state

    def test_a_query_that_is_forgotten_is_begun_anew(self, vendor: Any) -> None:
        forgotten = {"error": "Tried to fetch a page of an uncached query", "status": "error"}
        vendor.post(ENGAGE, status=400, json=forgotten)
        vendor.post(ENGAGE, json=a_page([a_profile("u-1")]))
        walk = {"form": {}, "page": 1, "pages": 3, "session_id": "s-0", "begun": NOON.isoformat()}
        pull = pull_of(mixpanel(), "profiles", state={"reading": 3, "walk": walk}, pulled_at=NOON)
        assert [row["distinct_id"] for row in read(pull)] == ["u-1"]
        assert "anew" in pull.warnings[0]

    def test_one_that_is_forgotten_under_way_is_incomplete(self, vendor: Any) -> None:
        vendor.post(ENGAGE, json=a_page([a_profile("u-1"), a_profile("u-2")], total=4))
        vendor.post(ENGAGE, status=400, json={"error": "request for page in uncached query for params"})
        pull = pull_of(mixpanel(), "profiles", pulled_at=NOON)
        with pytest.raises(IncompleteError, match="forgotten"):
            read(pull)
        assert "walk" not in pull.state

    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            ([], MalformedAnswerError),
            (a_page([]) | {"results": None}, MalformedAnswerError),
            (a_page([]) | {"page_size": 0}, MalformedAnswerError),
            (a_page([{"$distinct_id": "u-1"}]), SchemaError),
        ],
    )
    def test_an_answer_in_another_shape_is_named(self, vendor: Any, answer: Any, error: type[MillstreamError]) -> None:
        vendor.post(ENGAGE, json=answer)
        with pytest.raises(error):
            read(pull_of(mixpanel(), "profiles", pulled_at=NOON))

    def test_consents_are_read_from_the_property_that_holds_them(self) -> None:
        statuses = {"Yes": "granted", "No": "denied"}
        source = mixpanel(consents={"Newsletter": {"channel": "email", "statuses": statuses}})
        people = source.streams()[1].people
        assert people is not None
        (consent,) = people.consents
        assert (consent.column, consent.statuses) == ("property_newsletter", {"yes": "granted", "no": "denied"})


class TestCohorts:
    LISTED = [
        {"id": 7, "name": "Payers", "count": 2, "is_visible": 1, "created": "2026-01-05 10:00:00", "project_id": 1}
    ]

    def test_members_are_read_of_the_cohorts_named(self, vendor: Any) -> None:
        vendor.post(COHORTS, json=self.LISTED)
        vendor.post(ENGAGE, json=a_page([a_profile("u-1"), a_profile("$device:d-1")]))
        found = read(pull_of(mixpanel(cohorts=("Payers",)), "cohort_members", pulled_at=NOON))
        assert [(row["cohort_id"], row["user_id"]) for row in found] == [(7, "u-1"), (7, None)]
        assert forms(vendor)[1] == {"filter_by_cohort": '{"id": 7}'}

    def test_a_cohort_that_is_not_there_is_named_with_those_that_are(self, vendor: Any) -> None:
        vendor.post(COHORTS, json=self.LISTED)
        with pytest.raises(ConfigurationError, match=r"Nobody[\s\S]*Payers"):
            read(pull_of(mixpanel(cohorts=("Nobody",)), "cohort_members", pulled_at=NOON))

    def test_without_names_there_is_no_stream_of_members(self) -> None:
        assert [stream.name for stream in mixpanel().streams()] == ["events", "profiles", "cohorts"]


class TestErrors:
    @pytest.mark.parametrize(
        ("status", "answer", "error", "words"),
        [
            (401, {"error": "Invalid service account credentials"}, AuthenticationError, "region"),
            (400, {"error": "Unable to authenticate request"}, AuthenticationError, "region"),
            (402, {"error": "Your plan does not allow API calls"}, PermissionDeniedError, "plan"),
            (403, {"error": "User is not a member of the project"}, PermissionDeniedError, "role"),
            (400, {"error": "to_date cannot be later than today"}, RefusedError, "timezone"),
            (400, {"error": "bad expression"}, RefusedError, "bad expression"),
        ],
    )
    def test_a_refusal_says_what_to_do(
        self, vendor: Any, status: int, answer: Any, error: type[MillstreamError], words: str
    ) -> None:
        vendor.get(EXPORT, status=status, json=answer)
        with pytest.raises(error, match=words):
            read(pull_of(mixpanel(), "events", pulled_at=NOON))

    def test_a_refusal_may_be_plain_text(self, vendor: Any) -> None:
        vendor.get(EXPORT, status=400, body="Unable to authenticate request")
        with pytest.raises(AuthenticationError):
            read(pull_of(mixpanel(), "events", pulled_at=NOON))

    def test_too_fast_is_waited_for(self, vendor: Any) -> None:
        vendor.get(EXPORT, status=429, headers={"Retry-After": "0"}, json={"error": "Query rate limit exceeded"})
        vendor.get(EXPORT, status=400, headers={"Retry-After": "0"}, json={"error": "Query rate limit exceeded"})
        vendor.get(EXPORT, body=lines(an_event()))
        assert len(read(pull_of(mixpanel(), "events", pulled_at=NOON))) == 1

    @pytest.mark.parametrize(
        ("headers", "words"),
        [
            ({"Retry-After": "3600"}, ""),
            ({}, "for project_id: 1. 1/5 queries running concurrently and 61/60 queries running in the last hour."),
        ],
    )
    def test_an_hour_that_is_used_up_ends_the_stream_with_what_it_has(
        self, vendor: Any, headers: dict[str, str], words: str
    ) -> None:
        vendor.get(EXPORT, status=429, headers=headers, json={"error": f"Query rate limit exceeded {words}"})
        vendor.post(COHORTS, json=TestCohorts.LISTED)
        source = mixpanel()
        pull = pull_of(source, "events", pulled_at=NOON)
        with pytest.raises(QuotaExhaustedError, match="run again in 60 min") as caught:
            read(pull)
        assert caught.value.resets_in == 3600
        # Queries have an hour of their own.
        cohorts = Pull(source.streams()[2], pull.client, pacer=Pacer(source.pace()))
        assert len(read(cohorts)) == 1


class TestSettings:
    @pytest.mark.parametrize(
        ("region", "hosts"),
        [
            ("us", ("data.mixpanel.com", "mixpanel.com")),
            ("eu", ("data-eu.mixpanel.com", "eu.mixpanel.com")),
            ("in", ("data-in.mixpanel.com", "in.mixpanel.com")),
        ],
    )
    def test_a_region_has_its_own_hosts(self, region: Any, hosts: tuple[str, str]) -> None:
        settings = mixpanel(region=region).settings
        assert (urlsplit(settings.export_url).netloc, urlsplit(settings.query_url("engage")).netloc) == hosts

    @pytest.mark.parametrize(
        ("facts", "words"),
        [
            ({"timezone": "Mars/Olympus"}, "no time zone"),
            ({"traits": {"Member No": "a", "member-no": "b"}}, "same column"),
            ({"queries_at_once": 6}, "less than or equal to 5"),
        ],
    )
    def test_what_cannot_be_is_refused(self, facts: dict[str, Any], words: str) -> None:
        with pytest.raises(ValidationError, match=re.escape(words)):
            mixpanel(**facts)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=400, limits=False) as sandbox:
        yield sandbox


class TestSandbox:
    def source(self, sandbox: Sandbox, **settings: Any) -> Mixpanel:
        facts = {
            "base_url": sandbox.system_url("mixpanel"),
            "project_id": 2195193,
            "username": "millstream.sandbox.mp-service-account",
            "secret": SecretStr("sandbox-mixpanel"),
        }
        return mixpanel(**{**facts, "initial_days": 90, "days_a_request": 10, **settings})

    def test_every_event_arrives_once_and_is_whose_the_truth_says(self, sandbox: Sandbox, tmp_path: Path) -> None:
        pulled = Pulled(tmp_path)
        source = self.source(sandbox)
        report = pulled.pull(source)
        assert [str(error) for error in report.errors] == []
        (events, *_) = report.streams
        assert events.distinct < events.rows
        owners = {sandbox.truth(index)["mixpanel_distinct_id"] for index in range(sandbox.company.people)}
        with pulled.store.open() as connection:
            found = connection.execute("SELECT DISTINCT distinct_id FROM raw_mixpanel.events").fetchall()
            known = connection.execute("SELECT distinct_id FROM raw_mixpanel.profiles").fetchall()
        assert {one for (one,) in found} == owners - {None}
        assert {one for (one,) in known} < owners

    def test_a_pull_that_is_killed_goes_on_with_the_day_it_was_at(
        self, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(export, "EVENTS_A_PART", 150)
        whole, broken = Pulled(tmp_path / "whole"), Pulled(tmp_path / "broken")
        source = self.source(sandbox, streams=("events",), initial_days=50)
        all_rows = whole.pull(source).rows

        class Killed(BaseException):
            pass

        def kill(stream: str, rows: int) -> None:
            if rows >= 300:
                raise Killed

        again = self.source(sandbox, streams=("events",), initial_days=50)
        pull = SourcePull(again, retries=QUICK, progress=kill)
        with pytest.raises(Killed):
            ingest(pull, broken.store, name="mixpanel", pipelines=tmp_path / "broken" / "dlt")
        kept = len(broken.rows(source, "events"))
        assert kept >= 100
        report = broken.pull(again)
        assert [str(error) for error in report.errors] == []
        assert report.rows <= all_rows - kept
        assert broken.everything(source) == whole.everything(source)

    def test_profiles_that_are_gone_are_marked_by_the_next_reading_of_all(
        self, sandbox: Sandbox, tmp_path: Path
    ) -> None:
        pulled = Pulled(tmp_path)
        source = self.source(sandbox, streams=("profiles",))
        pulled.pull(source)
        with pulled.store.exclusive(), pulled.store.open() as connection:
            connection.execute(
                "INSERT INTO raw_mixpanel.profiles BY NAME "
                "SELECT * REPLACE ('C-gone' AS distinct_id) FROM raw_mixpanel.profiles LIMIT 1"
            )
        pulled.pull(self.source(sandbox, streams=("profiles",)))
        gone = "SELECT distinct_id FROM raw_mixpanel.profiles WHERE deleted"
        with pulled.store.open() as connection:
            assert connection.execute(gone).fetchall() == []
        report = pulled.pull(self.source(sandbox, streams=("profiles",)), full=True)
        assert [str(error) for error in report.errors] == []
        with pulled.store.open() as connection:
            assert connection.execute(gone).fetchall() == [("C-gone",)]

    def test_members_of_a_cohort_are_read(self, sandbox: Sandbox, tmp_path: Path) -> None:
        pulled = Pulled(tmp_path)
        source = self.source(sandbox, cohorts=("Plus plan", "4002"), streams=("cohorts", "cohort_members"))
        report = pulled.pull(source)
        assert [str(error) for error in report.errors] == []
        counted = "SELECT id, count FROM raw_mixpanel.cohorts ORDER BY id"
        found = "SELECT cohort_id, count(*) FROM raw_mixpanel.cohort_members GROUP BY 1 ORDER BY 1"
        with pulled.store.open() as connection:
            assert connection.execute(counted).fetchall() == connection.execute(found).fetchall()

    def test_a_plan_without_the_query_api_keeps_its_events(self, sandbox: Sandbox, tmp_path: Path) -> None:
        source = self.source(sandbox, username="millstream.free.mp-service-account")
        report = Pulled(tmp_path).pull(source)
        assert {stream.stream: stream.status for stream in report.streams} == {
            "events": "complete",
            "profiles": "skipped",
            "cohorts": "skipped",
        }
        problems = [result for result in check_source(source, name="mixpanel") if not result.ok]
        assert {result.name for result in problems} == {"mixpanel.profiles", "mixpanel.cohorts"}
        assert all("plan" in str(result.remedy) for result in problems)

    def test_what_happened_since_arrives_and_little_else_is_read(self, tmp_path: Path) -> None:
        with Sandbox(people=400, limits=False) as sandbox:
            pulled = Pulled(tmp_path / "store")
            first = pulled.pull(self.source(sandbox, initial_days=30, streams=("events",)))
            requests.post(f"{sandbox.url}/_sandbox/advance", json={"share": 0.3, "seed": 3}, timeout=10)
            second = pulled.pull(self.source(sandbox, initial_days=30, streams=("events",)))
            assert [str(error) for error in second.errors] == []
            assert 0 < second.rows < first.rows / 2
            anew = Pulled(tmp_path / "anew")
            anew.pull(self.source(sandbox, initial_days=30, streams=("events",)))
            # A person who moves has their events in another city at the sandbox, also the older ones.
            events = "SELECT event_id, name, distinct_id FROM raw_mixpanel.events ORDER BY event_id"
            with pulled.store.open() as kept, anew.store.open() as whole:
                assert kept.execute(events).fetchall() == whole.execute(events).fetchall()
