"""Segment: what received messages become in the store, and what they say about people."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from millstream.sources.check import check_source
from millstream.sources.pull import Pull
from millstream.sources.receiving import spool
from millstream.sources.segment import SegmentSettings, rows
from millstream.sources.stored import StoredRows
from millstream.state.model.tracking_plan import TrackingPlan
from tests.engines import Engine
from tests.sources.loading import loads, pull_of, read
from tests.sources.receiving import Place, Post

MOMENT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def write(place: Place, *records: dict[str, Any], kind: str = "track", name: str = "a") -> Path:
    """A file of the spool that no process is writing to any more."""
    folder = place.folder / "spool"
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}{spool.SUFFIX}"
    path.write_bytes(b"".join(spool.line(kind, record) for record in records))
    return path


def track(key: str, **message: Any) -> dict[str, Any]:
    said = {"type": "track", "messageId": key, "userId": "u-1", "event": "Signed Up", **message}
    return {"received_at": MOMENT.isoformat(), "via": "web", "message": said}


def keys(place: Place, table: str = "tracks") -> list[str]:
    return [key for (key,) in place.rows(f"SELECT message_id FROM raw_segment.{table} ORDER BY 1")]


def light(place: Place, state: dict[str, Any], stream: str = "tracks", **settings: Any) -> tuple[list[Any], Pull]:
    """The rows that a pull of one stream reads, as if each page were loaded at once; without dlt and a store."""
    pull = pull_of(place.source(streams=[stream], **settings), stream, state=state)
    pull.stored = StoredRows(place.store, "segment")
    return read(pull), pull


def read_keys(place: Place, state: dict[str, Any], **settings: Any) -> list[str]:
    return [row["message_id"] for row in light(place, state, **settings)[0]]


class TestSpool:
    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        return Place(tmp_path, streams=["tracks"])

    def test_what_is_loaded_is_removed_and_read_once(self, place: Place) -> None:
        path = write(place, track("m-1"), track("m-2"))
        report = place.pull()
        assert [str(error) for error in report.errors] == []
        assert {one.stream: one.rows for one in report.streams if one.rows} == {"tracks": 2}
        assert not path.exists()
        assert place.pull().rows == 0
        assert keys(place) == ["m-1", "m-2"]

    def test_what_comes_again_replaces_itself_however_late(self, place: Place) -> None:
        write(place, track("m-1", event="First"), track("m-1", event="Second"))
        assert [one.distinct for one in place.pull().streams if one.rows] == [1]
        write(place, track("m-1", event="Third"), name="b")
        place.pull()
        assert place.rows("SELECT message_id, event FROM raw_segment.tracks") == [("m-1", "Third")]

    @pytest.mark.parametrize("torn", [1, 5, 40])
    def test_a_torn_last_line_is_passed_over(self, place: Place, torn: int) -> None:
        path = write(place, track("m-1"), track("m-2"))
        path.write_bytes(path.read_bytes()[:-torn])
        found, pull = light(place, {})
        assert ([row["message_id"] for row in found], pull.warnings) == (["m-1"], [])
        assert not path.exists()

    def test_a_damaged_line_is_passed_over_and_told(self, place: Place) -> None:
        path = write(place, track("m-1"), track("m-2"), track("m-3"))
        path.write_bytes(path.read_bytes().replace(b"m-2", b"m-9") + b"track 0 {}\ntrack\ntrack x y\n")
        found, pull = light(place, {})
        assert [row["message_id"] for row in found] == ["m-1", "m-3"]
        assert pull.warnings == ["3 lines of the spool are damaged and were passed over."]

    def test_an_open_file_is_read_as_far_as_it_goes_and_stays(self, place: Place) -> None:
        path, state = write(place, track("m-1"), track("m-2")), dict[str, Any]()
        whole = path.read_bytes()
        path.write_bytes(whole[:-5])
        with path.open("ab") as file:
            assert spool.take_lock(file.fileno())
            assert read_keys(place, state) == ["m-1"]
            file.write(whole[-5:] + spool.line("track", track("m-3")))
            file.flush()
            assert read_keys(place, state) == ["m-2", "m-3"]
            assert path.exists()
        assert read_keys(place, state) == []
        assert not path.exists()

    def test_blocks_end_anywhere(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(spool, "BLOCK", 37)
        write(place, *(track(f"m-{number}") for number in range(20)))
        assert read_keys(place, {}) == [f"m-{number}" for number in range(20)]

    def test_loaded_messages_are_kept_for_as_long_as_one_wants(self, place: Place) -> None:
        path, state = write(place, track("m-1")), dict[str, Any]()
        assert read_keys(place, state, keep_loaded_hours=1) == ["m-1"]
        assert read_keys(place, state, keep_loaded_hours=1) == []
        assert read_keys(place, {}, keep_loaded_hours=1) == ["m-1"], "as --full does"
        os.utime(path, (0, 0))
        read_keys(place, state, keep_loaded_hours=1)
        assert not path.exists()

    def test_what_a_stream_could_not_load_stays_until_it_can(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place.settings["streams"] = ["tracks", "pages"]
        path, shape = write(place, track("m-1")), rows.track_row
        monkeypatch.setattr(rows, "track_row", lambda _: [{"message_id": None}])
        assert [one.stream for one in place.pull().streams if one.error] == ["tracks"]
        assert path.exists()
        monkeypatch.setattr(rows, "track_row", shape)
        assert place.pull().rows == 1

    def test_a_spool_that_was_emptied_by_hand_is_read_on(self, place: Place) -> None:
        state: dict[str, Any] = {}
        write(place, track("m-1"), name="b").rename(place.folder / "away")
        assert read_keys(place, state) == []
        write(place, track("m-2"), name="a")
        assert read_keys(place, state) == ["m-2"]
        (place.folder / "away").rename(place.folder / "spool" / "b.spool")
        assert read_keys(place, state) == ["m-1"]

    def test_a_backfill_reads_what_came_in_its_days_and_removes_nothing(self, place: Place) -> None:
        early = {**track("m-1"), "received_at": (MOMENT - timedelta(days=9)).isoformat()}
        path = write(place, early, track("m-2"))
        day = timedelta(days=1)
        pull = pull_of(place.source(), "tracks", since=MOMENT - day, until=MOMENT + day)
        pull.stored = StoredRows(place.store, "segment")
        assert [row["message_id"] for row in read(pull)] == ["m-2"]
        assert path.exists()

    def test_it_is_an_ordinary_dlt_source(self, place: Place, tmp_path: Path) -> None:
        path = write(place, track("m-1"))
        plain = loads(tmp_path, "segment")
        plain.run(place.source())
        assert plain.sql("SELECT message_id FROM tracks") == [("m-1",)]
        assert path.exists()
        plain.run(place.source())
        assert not path.exists(), "what an earlier run has loaded"

    def test_without_a_spool_the_remedy_is_named(self, place: Place) -> None:
        [result] = check_source(place.source(), name="it")
        assert (result.ok, "millstream receive" in str(result.remedy)) == (False, True)
        assert any("There is no spool" in str(error) for error in place.pull().errors)


class TestTimes:
    @pytest.mark.parametrize(
        ("message", "expected"),
        [
            ({"sentAt": "2026-03-01T13:00:05Z", "originalTimestamp": "2026-03-01T13:00:00Z"}, "11:59:55"),
            ({"sentAt": "2026-03-01T13:00:05Z", "timestamp": "2026-03-01T13:00:00Z"}, "11:59:55"),
            ({"timestamp": "2026-03-01T10:00:00+01:00"}, "09:00:00"),
            ({"timestamp": 1772355600000}, "09:00:00"),
            ({"sentAt": "2026-03-01T13:00:05Z"}, "12:00:00"),
            ({"sentAt": "1970-01-01T00:00:00Z", "timestamp": "2026-03-01T09:00:00Z"}, "12:00:00"),
            ({"sentAt": "soon", "timestamp": "2026-03-01T09:00:00Z"}, "09:00:00"),
            ({"timestamp": {"a": 1}}, "12:00:00"),
            ({"timestamp": "9999-12-31T23:59:59-23:00"}, "12:00:00"),
            ({"timestamp": "2099-03-01T09:00:00Z"}, "12:00:00"),
        ],
    )
    def test_the_senders_clock_is_corrected_by_ours(self, message: dict[str, Any], expected: str) -> None:
        assert rows.happened_at(track("m", **message)).isoformat() == f"2026-03-01T{expected}+00:00"

    @given(
        waited=st.timedeltas(timedelta(0), timedelta(days=30)),
        wrong=st.timedeltas(-timedelta(days=900), timedelta(900)),
    )
    def test_a_clock_that_is_wrong_by_anything_changes_nothing(self, waited: timedelta, wrong: timedelta) -> None:
        sent, made = MOMENT + wrong, MOMENT + wrong - waited
        message = track("m", sentAt=sent.isoformat(), originalTimestamp=made.isoformat())
        assert rows.happened_at(message) == MOMENT - waited


class TestRows:
    def test_odd_values_never_stop_a_load(self, place: Place) -> None:
        odd: list[Any] = [
            None,
            True,
            0,
            -1.5,
            10**30,
            "",
            " ",
            "x\x00y",
            "2026-13-99",
            [],
            {},
            [{"a": None}],
            {"a": {"b": []}},
        ]
        names = ("timestamp", "sentAt", "originalTimestamp", "context", "properties", "traits", "anonymousId", "name")
        inner = ("email", "revenue", "currency", "device", "campaign", "consent", "address", "company", "createdAt")
        batch: list[dict[str, Any]] = []
        for number, value in enumerate(odd):
            for kind in ("identify", "track", "page", "screen", "group", "alias"):
                said: dict[str, Any] = {
                    "type": kind,
                    "messageId": f"{kind}-{number}",
                    "userId": "u",
                    "event": "E",
                    "groupId": "g",
                }
                said |= {"previousId": "p", **{name: value for name in names if name not in said}}
                batch.append(said)
                batch.append(
                    {**said, "messageId": f"{kind}-in-{number}"}
                    | {n: dict.fromkeys(inner, value) for n in ("context", "properties", "traits")}
                )
        place.settings["consents"] = {"Ads": {"channel": "ads"}}
        [answer] = place.send(Post("/v1/batch", json.dumps({"batch": batch}).encode()))
        assert answer.json() == {"success": True}
        report = place.pull()
        assert [str(error) for error in report.errors] == []
        calls = ("identifies", "tracks", "pages", "screens", "groups", "aliases")
        assert [one.loaded for one in report.streams if one.stream in calls] == [2 * len(odd)] * 6

    def test_a_call_has_its_columns(self) -> None:
        context = {
            "traits": {"email": "ana@box.example"}, "device": {"id": "d-1"}, "campaign": {"name": "spring"},
            "library": {"name": "analytics.js"}, "page": {"url": "https://shop.example.com/a", "title": "A"},
        }  # fmt: skip
        [row] = rows.page_row(track("m-1", userId=None, anonymousId="a-1", name="Home", context=context))
        said = {"anonymous_id": "a-1", "email": "ana@box.example", "device_id": "d-1", "campaign": "spring"}
        place = {"name": "Home", "url": "https://shop.example.com/a", "title": "A"}
        expected = {**said, **place, "user_id": None, "library": "analytics.js", "via": "web"}
        assert row | expected == row

    def test_wrong_messages_of_a_batch_are_rows_too(self, place: Place) -> None:
        place.call("batch", {"batch": [track("m-1")["message"], {"type": "track", "userId": "u-1"}]})
        [row], _ = light(place, {}, "rejected")
        assert (row["via"], row["reason"], "u-1" in row["text"]) == ("web", "`event` is missing.", True)

    @pytest.mark.parametrize(
        ("previous_ids", "previous", "anonymous"),
        [
            ("guess", "0B6F5C5E-58a1-4b5e-9c38-3d9a4d9d0001", True),
            ("guess", "a-1", True),
            ("guess", "u-0", False),
            ("anonymous_id", "u-0", True),
            ("user_id", "0b6f5c5e-58a1-4b5e-9c38-3d9a4d9d0001", False),
        ],
    )
    def test_what_a_previous_id_is(self, previous_ids: str, previous: str, anonymous: bool) -> None:
        [row] = rows.alias_row(track("m-1", anonymousId="a-1", previousId=previous), previous_ids)
        found = (row["previous_id"], row["previous_anonymous_id"], row["previous_user_id"])
        assert found == (previous, *((previous, None) if anonymous else (None, previous)))


class TestUsers:
    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        return Place(tmp_path, streams=["users"])

    def users(self, place: Place, columns: str) -> list[tuple[Any, ...]]:
        place.pull()
        return place.rows(f"SELECT {columns} FROM raw_segment.users ORDER BY user_key")

    def identify(self, place: Place, day: int, traits: dict[str, Any] | None = None, **message: Any) -> None:
        said = {"timestamp": f"2026-03-{day:02}T00:00:00Z", "userId": "u-1", "traits": traits or {}, **message}
        place.call("identify", said)

    def test_a_call_adds_to_what_is_known(self, place: Place) -> None:
        self.identify(place, 1, {"email": "ana@box.example", "firstName": "Ana", "plan": "free"})
        self.users(place, "1")
        self.identify(place, 2, {"plan": "pro", "address": {"city": "Ulm"}, "company": {"name": "Initech"}})
        self.identify(place, 3, {"firstName": None})
        place.settings["traits"] = {"plan": "plan", "seats": {"name": "seats", "type": "number"}}
        found = self.users(place, "user_key, email, first_name, city, company, trait_plan, trait_seats")
        assert found == [("user_id:u-1", "ana@box.example", None, "Ulm", "Initech", "pro", None)]

    def test_what_was_said_earlier_and_comes_later_does_not_count_more(self, place: Place) -> None:
        self.identify(place, 5, {"plan": "pro"})
        self.identify(place, 3, {"plan": "free", "city": "x", "address": {"city": "Ulm"}})
        place.settings["chunk_rows"] = 1
        row = light(place, {}, "users")[0][-1]
        assert (row["traits"]["plan"], row["city"], row["observed_at"]) == (
            "pro",
            "Ulm",
            datetime(2026, 3, 5, tzinfo=UTC),
        )

    def test_what_comes_late_counts_more_than_what_was_said_before_it(self, engine: Engine, tmp_path: Path) -> None:
        with engine.store(tmp_path) as store:
            self.check_late(Place(tmp_path, store, streams=["users"], consents={"News": {"channel": "email"}}))

    def check_late(self, place: Place) -> None:
        def said(news: bool) -> dict[str, Any]:
            return {"context": {"consent": {"categoryPreferences": {"News": news}}}}

        self.identify(place, 1, {"plan": "free", "seats": 1}, **said(True))
        self.identify(place, 9, {"seats": 9})
        self.users(place, "1")
        # Sent from a phone that was off: after what was first known, and before what is known last.
        self.identify(place, 5, {"plan": "pro", "seats": 5}, **said(False))
        self.identify(place, 4, {"plan": "trial"})
        place.settings["traits"] = {"plan": "plan", "seats": "seats"}
        assert self.users(place, "trait_plan, trait_seats, consent_news") == [("pro", "9", False)]
        self.identify(place, 6, {"plan": "team"}, **said(True))
        assert self.users(place, "trait_plan, trait_seats, consent_news") == [("team", "9", True)]

    def test_visitors_without_user_id_are_users_of_their_own(self, place: Place) -> None:
        self.identify(place, 1, {"email": "bo@box.example"}, userId=None, anonymousId="a-1")
        self.identify(place, 2, {}, anonymousId="a-1")
        found, _ = light(place, {}, "users")
        assert [(row["user_key"], row["user_id"], row["anonymous_id"], row["email"]) for row in found] == [
            ("anonymous_id:a-1", None, "a-1", "bo@box.example"),
            ("user_id:u-1", "u-1", "a-1", None),
        ]

    def test_many_users_are_loaded_in_parts(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("millstream.sources.segment.users.MOST_AT_HAND", 5)
        place.settings |= {"chunk_rows": 4, "streams": ["users", "rejected"]}
        for day in (1, 2):
            batch = [
                {"type": "identify", "userId": str(n), "timestamp": f"2026-03-0{day}", "traits": {f"t{day}": n}}
                for n in range(8)
            ]
            place.call("batch", {"batch": batch})
        report = place.pull()
        assert [str(error) for error in report.errors] == []
        found = place.rows("SELECT CAST(traits AS TEXT) FROM raw_segment.users")
        assert len(found) == 8
        assert all('"t1"' in text and '"t2"' in text for (text,) in found)
        assert place.files() == []

    def test_consents_come_with_every_call(self, place: Place) -> None:
        place.settings["consents"] = {"Advertising": {"channel": "ads"}, "News": {"channel": "email", "topic": "news"}}

        def said(**preferences: Any) -> dict[str, Any]:
            return {"context": {"consent": {"categoryPreferences": preferences}}}

        self.identify(place, 1, {"email": "ana@box.example"}, **said(Advertising=True, News=True, Other=True))
        place.call("track", {"userId": "u-1", "event": "X", "timestamp": "2026-03-02T00:00:00Z", **said(News=False)})
        place.call("page", {"userId": "u-2", "timestamp": "2026-03-02T00:00:00Z", **said(News="yes")})
        place.people()
        assert place.rows("SELECT record_id, channel, topic, status FROM customers.consents ORDER BY ALL") == [
            ("segment.users:user_id:u-1", "ads", "marketing", "granted"),
            ("segment.users:user_id:u-1", "email", "news", "denied"),
        ]


class TestPeople:
    def people(self, place: Place) -> int:
        return int(place.rows("SELECT count(DISTINCT profile_id) FROM customers.members")[0][0])

    def test_events_carry_their_properties_under_canonical_names(self, engine: Engine, tmp_path: Path) -> None:
        with engine.store(tmp_path) as store:
            self.check_events(Place(tmp_path, store, streams=["users", "tracks", "pages"]))

    def check_events(self, place: Place) -> None:
        order = {"order_id": "o-1", "revenue": "59.90", "currency": "EUR", "products": [{"sku": "a"}]}
        place.call("track", {**track("m-1")["message"], "event": "order completed", "properties": order})
        place.call("page", {"anonymousId": "a-1", "name": "Home", "properties": {"url": "/x", "name": "Start"}})
        plan = TrackingPlan.model_validate({"events": {"Order Completed": {"required": ["order_id"]}}})
        place.people(plan=plan)
        order_sql = "json_extract_string(properties, '$.\"order_id\"')"
        assert place.rows(
            f"SELECT name, value, currency, plan_status, {order_sql} FROM customers.events WHERE stream = 'tracks'"
        ) == [("Order Completed", 59.9, "EUR", "planned", "o-1")]
        names = "json_extract_string(properties, '$.\"url\"'), json_extract_string(properties, '$.\"name\"')"
        assert place.rows(
            f"SELECT original_name, plan_status, {names} FROM customers.events WHERE stream = 'pages'"
        ) == [("Page Viewed", "planned", "/x", "Start")]
        for day, traits in ((1, {"a": 1, "email": "ana@box.example"}), (2, {"b": [True, None]})):
            place.call("identify", {"userId": "u-1", "traits": traits, "timestamp": f"2026-03-0{day}"})
            place.pull()
        assert place.rows(
            "SELECT json_extract_string(traits, '$.\"a\"'), email, observed_at FROM raw_segment.users"
        ) == [("1", "ana@box.example", datetime(2026, 3, 2, tzinfo=UTC))]

    def test_events_tell_what_their_context_does_unless_they_know_better(self, place: Place) -> None:
        context = {
            "os": {"name": "iOS", "version": "17"},
            "device": {"type": "ios"},
            "campaign": {"name": "spring", "source": "letter", "medium": "email"},
            "location": {"country": "Germany", "city": "Berlin"},
        }
        call = {"userId": "u-1", "context": context, "properties": {"city": "Bonn"}}
        place.call("track", {**call, "event": "Viewed"})
        place.call("page", call)
        place.call("screen", call)
        place.people()
        wanted = ("os", "device_type", "utm_source", "utm_medium", "country", "region", "city")
        columns = ", ".join(f"json_extract_string(properties, '$.{name}')" for name in wanted)
        assert (
            place.rows(f"SELECT campaign, {columns} FROM customers.events")
            == [("spring", "iOS", "ios", "letter", "email", "Germany", None, "Bonn")] * 3
        )

    def test_identify_joins_a_visitor_and_a_user(self, place: Place) -> None:
        place.call("track", {"anonymousId": "a-1", "event": "Viewed"}, {"userId": "u-1", "event": "Bought"})
        place.people()
        assert self.people(place) == 2
        place.call("identify", {"anonymousId": "a-1", "userId": "u-1", "traits": {"email": "Ana@Box.example"}})
        place.people()
        assert self.people(place) == 1
        assert place.rows("SELECT DISTINCT value FROM customers.identifiers WHERE kind = 'email'") == [
            ("ana@box.example",)
        ]

    def test_alias_joins_an_anonymous_id_and_two_user_ids(self, place: Place) -> None:
        visitor = "0b6f5c5e-58a1-4b5e-9c38-3d9a4d9d0001"
        place.call("track", {"anonymousId": visitor, "event": "Viewed"}, {"userId": "u-1", "event": "Bought"})
        place.call("track", {"userId": "u-2", "event": "A"}, {"userId": "u-3", "event": "B"})
        place.call("alias", {"previousId": visitor, "userId": "u-1"}, {"previousId": "u-2", "userId": "u-3"})
        place.people()
        assert self.people(place) == 2

    def test_a_user_id_may_be_another_systems(self, place: Place) -> None:
        place.settings |= {"user_id_kind": "shop_customer_id", "identifiers": {"crmId": "hubspot_contact_id"}}
        place.call("identify", {"userId": "u-1", "traits": {"crmId": 77}})
        place.people()
        kinds = place.rows("SELECT DISTINCT kind, original FROM customers.identifiers ORDER BY 1")
        assert kinds == [("hubspot_contact_id", "77"), ("shop_customer_id", "u-1")]

    def test_a_user_who_does_much_is_one_record_a_stream(self, place: Place) -> None:
        messages = [{"type": "identify", "userId": "u-1", "traits": {"n": n}} for n in range(300)]
        place.call("batch", {"batch": messages})
        place.people()
        assert place.rows("SELECT record_id FROM customers.records ORDER BY 1") == [
            ("segment.identifies:user_id:u-1",),
            ("segment.users:user_id:u-1",),
        ]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"profile_token": "t"}, "needs both"),
        ({"profile_ids": ["u-1"]}, "write its id type before it"),
        ({"traits": {"a-b": "x", "a b": "y"}}, "each trait needs letters"),
        ({"consents": {"!": {"channel": "ads"}}}, "each category needs letters"),
        ({"webhooks": {"A B": {"secret": "s"}}}, "webhooks"),
    ],
)
def test_settings_that_do_not_fit_are_named(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        SegmentSettings.model_validate(settings)
