"""Mailchimp as a source: odd answers by themselves, and whole pulls against the sandbox."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest
import requests
import responses
from pydantic import SecretStr, ValidationError

from millstream.destinations.mailchimp import MailchimpSettings as DestinationSettings
from millstream.sandbox import Sandbox
from millstream.sources.dlt_source import SourcePull
from millstream.sources.ingest import ingest
from millstream.sources.mailchimp import Mailchimp, MailchimpSettings, changes
from millstream.sources.testing import Pulled
from millstream.state.errors import AuthenticationError, ConfigurationError, IncompleteError, MalformedAnswerError
from millstream.state.model.declarations import Consent
from tests.sources.loading import QUICK, pull_of, read

ROOT = "https://us1.mailchimp.test/3.0"
KEY = SecretStr("a-key-us1")
LIST = {"id": "l1", "name": "Customers", "date_created": "2024-01-01T00:00:00+00:00", "stats": {"member_count": 2}}
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def mailchimp(base_url: str = ROOT, **settings: Any) -> Mailchimp:
    return Mailchimp(MailchimpSettings(base_url=base_url, api_key=KEY, **settings))


def a_member(number: int, changed: datetime = NOON, **more: Any) -> dict[str, Any]:
    return {
        "id": f"hash{number}",
        "contact_id": f"ct-{number}",
        "unique_email_id": f"u{number}",
        "email_address": f"p{number}@web.example",
        "status": "subscribed",
        "merge_fields": {"FNAME": "Ana", "LNAME": "Li", "PHONE": "+15550100", "ADDRESS": ""},
        "last_changed": changed.isoformat(),
        "list_id": "l1",
    } | more


def a_report(number: int, sent: datetime = NOON, **more: Any) -> dict[str, Any]:
    return {
        "id": f"c{number}",
        "type": "regular",
        "list_id": "l1",
        "campaign_title": f"Newsletter {number}",
        "subject_line": "News",
        "emails_sent": 2,
        "send_time": sent.isoformat(),
        "opens": {"opens_total": 1, "unique_opens": 1},
        "clicks": {"clicks_total": 0},
        "unsubscribed": 0,
    } | more


class Vendor:
    """Lists that page as the vendor does; members are found by their last change and their status."""

    def __init__(self, mock: responses.RequestsMock) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.tables: dict[str, tuple[str, list[Any]]] = {"lists": ("lists", [LIST]), "reports": ("reports", [])}
        self.members: list[dict[str, Any]] = []
        mock.add_callback(responses.GET, re.compile(f"{ROOT}/.*"), self.answer, content_type="application/json")

    def answer(self, request: Any) -> tuple[int, dict[str, str], bytes]:
        parts = urlsplit(request.url)
        path = parts.path.removeprefix("/3.0/")
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        self.asked.append((path, query))
        if path == "lists/l1/members":
            records, rows = "members", self.found(query)
        elif path in self.tables:
            records, rows = self.tables[path]
        else:
            return 404, {}, orjson.dumps({"title": "Resource Not Found", "status": 404})
        offset, count = int(query.get("offset", 0)), int(query.get("count", 10))
        return 200, {}, orjson.dumps({records: rows[offset : offset + count], "total_items": len(rows)})

    def found(self, query: dict[str, str]) -> list[dict[str, Any]]:
        def wanted(member: dict[str, Any]) -> bool:
            if (member["status"] == "archived") != (query.get("status") == "archived"):
                return False
            changed = str(member["last_changed"])
            # Neither bound belongs to what is found.
            return query.get("since_last_changed", "") < changed < query.get("before_last_changed", "9")

        return sorted(filter(wanted, self.members), key=lambda member: str(member["last_changed"]))


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield Vendor(mock)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=300, limits=False) as sandbox:
        yield sandbox


class TestMembers:
    @pytest.mark.parametrize("number", [0, 1, 9, 10, 11, 40])
    def test_every_member_comes_also_where_many_changed_in_one_second(self, vendor: Vendor, number: int) -> None:
        vendor.members = [a_member(one, NOON + timedelta(seconds=one // 25)) for one in range(number)]
        found = read(pull_of(mailchimp(page_size=10), "members"))
        assert {row["contact_id"] for row in found} == {f"ct-{one}" for one in range(number)}

    def test_somebody_who_changes_meanwhile_shifts_nobody_out(self, vendor: Vendor) -> None:
        vendor.members = [a_member(one, NOON + timedelta(minutes=one)) for one in range(30)]
        window = changes.Window(list_id="l1", status=None, since=None, before=None)
        pull = pull_of(mailchimp(), "members")

        first, answer = True, vendor.found

        def found(query: dict[str, str]) -> list[dict[str, Any]]:
            nonlocal first
            rows = answer(query)
            if first:  # after the first page, who was first on it becomes the last
                first = False
                vendor.members[0] = a_member(0, NOON + timedelta(days=1))
            return rows

        vendor.found = found  # type: ignore[method-assign]
        members = changes.members_of(pull, window, size=10)
        assert {member["contact_id"] for member in members} == {f"ct-{one}" for one in range(30)}

    def test_a_large_list_is_cut_into_windows(self, vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(changes, "ROWS_A_WINDOW", 10)
        vendor.members = [a_member(one, NOON - timedelta(days=one * 3)) for one in range(60)]
        pull = pull_of(mailchimp(page_size=10), "members")
        assert {row["contact_id"] for row in read(pull)} == {f"ct-{one}" for one in range(60)}
        assert pull.expected == 60
        assert pull.state["places"]["l1"] == NOON.isoformat()

    def test_members_who_are_counted_and_never_come_stop_the_stream(self, vendor: Vendor) -> None:
        vendor.members = [a_member(1), a_member(2)]
        lost, answer = vendor.members[1], vendor.found

        def found(query: dict[str, str]) -> list[dict[str, Any]]:
            rows = answer(query)
            return rows if "fields" in query else [row for row in rows if row is not lost]

        vendor.found = found  # type: ignore[method-assign]
        pull = pull_of(mailchimp(), "members")
        with pytest.raises(IncompleteError, match="counts 2 members of list l1 in a window and gives 1"):
            read(pull)
        assert pull.state["places"] == {}

    def test_who_had_unsubscribed_stays_so_when_archived(self, vendor: Vendor, tmp_path: Path) -> None:
        pulled, source = Pulled(tmp_path), mailchimp(streams=("members",))
        vendor.members = [a_member(1, status="unsubscribed"), a_member(2), a_member(3, status="archived")]
        assert pulled.pull(source).ok
        later = datetime.now(UTC).replace(microsecond=0)
        for _ in range(2):
            later += timedelta(minutes=10)
            vendor.members = [a_member(number, later, status="archived") for number in (1, 2, 3)]
            assert pulled.pull(source, pulled_at=later + timedelta(minutes=5)).ok
        with pulled.store.open() as connection:
            query = "SELECT contact_id, status, status_marketing, deleted FROM raw_mailchimp.members ORDER BY ALL"
            found = connection.execute(query).fetchall()
        assert found == [
            ("ct-1", "archived", "unsubscribed", True),
            ("ct-2", "archived", "archived", True),
            ("ct-3", "archived", "archived", True),
        ]

    def test_archived_members_are_asked_for_apart_and_count_as_deleted(self, vendor: Vendor) -> None:
        vendor.members = [a_member(1), a_member(2, status="archived")]
        found = {row["contact_id"]: row["deleted"] for row in read(pull_of(mailchimp(), "members"))}
        assert found == {"ct-1": False, "ct-2": True}
        kept = {row["contact_id"]: row["deleted"] for row in read(pull_of(mailchimp(archived="kept"), "members"))}
        assert kept == {"ct-1": False, "ct-2": False}

    def test_the_next_pull_asks_for_changes_since_the_last_one_less_the_overlap(self, vendor: Vendor) -> None:
        vendor.members = [a_member(1)]
        state: dict[str, Any] = {}
        read(pull_of(mailchimp(), "members", state=state))
        vendor.asked.clear()
        vendor.members.append(a_member(2, NOON + timedelta(hours=1)))
        found = read(pull_of(mailchimp(overlap_minutes=10), "members", state=state))
        assert {row["contact_id"] for row in found} == {"ct-1", "ct-2"}
        since = {query["since_last_changed"] for _, query in vendor.asked if "since_last_changed" in query}
        assert min(since) == "2026-03-01T11:49:59+00:00"

    def test_merge_fields_are_traits_and_identifiers_by_setting(self, vendor: Vendor) -> None:
        address = {"addr1": "1 Main Street", "addr2": "", "city": "Boston"}
        vendor.members = [a_member(1, merge_fields={"PHONE": "", "ADDRESS": address, "POINTS": 7})]
        source = mailchimp(identifiers={"PHONE": "phone"}, traits={"ADDRESS": "street", "POINTS": "points"})
        (row,) = read(pull_of(source, "members"))
        assert (row["field_phone"], row["field_address"], row["field_points"]) == (None, "1 Main Street, Boston", "7")

    def test_a_list_may_stand_for_a_topic_of_its_own(self, vendor: Vendor) -> None:
        vendor.members = [a_member(1, status="unsubscribed")]
        source = mailchimp(topics={"l1": "product_news"})
        (row,) = read(pull_of(source, "members"))
        assert row["status_product_news"] == "unsubscribed"
        assert "status_marketing" not in row
        people = next(stream.people for stream in source.streams() if stream.name == "members")
        assert people
        consent = Consent(
            channel="email", column="status_product_news", topic="product_news", statuses=people.consents[0].statuses
        )
        assert consent in people.consents

    def test_who_changed_the_address_stays_one_row(self, vendor: Vendor, tmp_path: Path) -> None:
        pulled, source = Pulled(tmp_path), mailchimp(streams=("members",))
        vendor.members = [a_member(1)]
        pulled.pull(source)
        new = {"email_address": "new@web.example", "id": "other-hash", "unique_email_id": "u9"}
        vendor.members = [a_member(1, NOON + timedelta(hours=1), **new)]
        pulled.pull(mailchimp(streams=("members",)))
        (row,) = pulled.rows(source, "members")
        assert "new@web.example" in row

    def test_who_was_erased_for_good_is_noticed_by_a_sweep(self, vendor: Vendor, tmp_path: Path) -> None:
        pulled, now = Pulled(tmp_path), datetime.now(UTC)
        vendor.members = [a_member(1), a_member(2)]
        pulled.pull(mailchimp(streams=("members",)))
        del vendor.members[1]
        for days, expected in ((1, []), (31, ["ct-2"])):
            pulled.pull(mailchimp(streams=("members",)), pulled_at=now + timedelta(days=days))
            with pulled.store.open() as connection:
                gone = connection.execute("SELECT contact_id FROM raw_mailchimp.members WHERE deleted").fetchall()
            assert [key for (key,) in gone] == expected


class TestEngagement:
    def setup_report(self, vendor: Vendor, sent: datetime = NOON, **more: Any) -> None:
        vendor.tables["reports"] = ("reports", [a_report(1, sent, **more)])
        who = {"email_id": "hash1", "email_address": "p1@web.example", "list_id": "l1"}
        activity = [
            {"action": "open", "timestamp": "2026-03-01T12:05:00+00:00", "ip": "192.0.2.1"},
            {"action": "click", "timestamp": "2026-03-01T12:06:00+00:00", "url": "https://shop.example.com/"},
            {"action": "bounce", "timestamp": "2026-03-01T12:07:00+00:00", "type": "soft"},
        ]
        vendor.tables["reports/c1/email-activity"] = ("emails", [{**who, "activity": activity}])
        vendor.tables["reports/c1/sent-to"] = ("sent_to", [{**who, "status": "sent"}])
        left = {**who, "timestamp": "2026-03-01T13:00:00+00:00", "reason": "Too many"}
        vendor.tables["reports/c1/unsubscribed"] = ("unsubscribes", [left])

    def test_each_thing_that_was_done_is_a_row(self, vendor: Vendor) -> None:
        self.setup_report(vendor)
        opened, clicked, bounced = read(pull_of(mailchimp(), "email_activity"))
        assert (opened["action"], opened["url"], opened["campaign_title"]) == ("open", "", "Newsletter 1")
        assert clicked["url"] == "https://shop.example.com/"
        assert bounced["bounce_type"] == "soft"
        assert "192.0.2.1" not in str(opened)

    def test_a_delivery_happened_when_the_campaign_was_sent(self, vendor: Vendor) -> None:
        self.setup_report(vendor)
        (row,) = read(pull_of(mailchimp(), "deliveries"))
        assert (row["status"], row["at"], row["email"]) == ("sent", NOON.isoformat(), "p1@web.example")

    def test_an_unsubscribe_keeps_its_reason(self, vendor: Vendor) -> None:
        self.setup_report(vendor)
        (row,) = read(pull_of(mailchimp(), "unsubscribes"))
        assert (row["at"], row["reason"]) == ("2026-03-01T13:00:00+00:00", "Too many")

    @pytest.mark.parametrize(
        ("kind", "days", "asks"), [("regular", 89, True), ("regular", 91, False), ("automation-email", 400, True)]
    )
    def test_a_campaign_is_asked_again_while_something_may_happen(
        self, vendor: Vendor, kind: str, days: int, asks: bool
    ) -> None:
        self.setup_report(vendor, type=kind)
        state: dict[str, Any] = {}
        read(pull_of(mailchimp(), "email_activity", state=state, pulled_at=NOON + timedelta(days=days)))
        vendor.asked.clear()
        read(pull_of(mailchimp(), "email_activity", state=state, pulled_at=NOON + timedelta(days=days + 1)))
        queries = [query for path, query in vendor.asked if path.endswith("email-activity")]
        assert bool(queries) is asks
        if asks:
            expected = NOON + timedelta(days=days, minutes=-5)
            assert queries[0]["since"] == expected.isoformat()

    def test_the_pages_of_a_large_campaign_are_read_side_by_side(self, vendor: Vendor) -> None:
        self.setup_report(vendor, emails_sent=95)
        sent = [{"email_id": f"h{one}", "email_address": f"p{one}@x.org", "status": "sent"} for one in range(97)]
        vendor.tables["reports/c1/sent-to"] = ("sent_to", sent)
        found = read(pull_of(mailchimp(page_size=10), "deliveries"))
        assert len({row["email_id"] for row in found}) == 97

    def test_a_campaign_that_was_deleted_meanwhile_is_left_out_and_said(self, vendor: Vendor) -> None:
        self.setup_report(vendor)
        vendor.tables["reports"] = ("reports", [a_report(2), a_report(1)])
        pull = pull_of(mailchimp(), "email_activity")
        assert len(read(pull)) == 3
        assert pull.warnings == ["Campaign c2 was deleted while it was read."]

    def test_a_backfill_gives_its_window_alone(self, vendor: Vendor) -> None:
        self.setup_report(vendor)
        since = datetime(2026, 3, 1, 12, 6, tzinfo=UTC)
        found = read(pull_of(mailchimp(), "email_activity", since=since, until=since + timedelta(minutes=1)))
        assert [row["action"] for row in found] == ["click"]


class TestErrors:
    def test_a_forbidden_without_a_body_is_a_throttle(self) -> None:
        with responses.RequestsMock() as mock:
            mock.get(f"{ROOT}/campaigns", status=403, body="")
            mock.get(f"{ROOT}/campaigns", json={"campaigns": [], "total_items": 0})
            assert read(pull_of(mailchimp(), "campaigns")) == []

    def test_a_disabled_user_is_a_wrong_credential(self) -> None:
        with responses.RequestsMock() as mock:
            mock.get(f"{ROOT}/campaigns", status=403, json={"title": "User Disabled", "status": 403})
            with pytest.raises(AuthenticationError, match="User Disabled"):
                read(pull_of(mailchimp(), "campaigns"))

    def test_a_page_that_does_not_say_how_many_there_are_is_malformed(self) -> None:
        with responses.RequestsMock() as mock:
            mock.get(f"{ROOT}/campaigns", json={"campaigns": []})
            with pytest.raises(MalformedAnswerError, match="how many rows"):
                read(pull_of(mailchimp(), "campaigns"))

    def test_a_list_that_is_not_there_is_named(self, vendor: Vendor) -> None:
        with pytest.raises(ConfigurationError, match="no list 'l2'"):
            read(pull_of(mailchimp(list_ids=("l1", "l2")), "members"))


class TestSettings:
    def test_the_api_key_names_the_data_centre_for_source_and_destination_alike(self) -> None:
        key = SecretStr("0123-us21")
        expected = "https://us21.api.mailchimp.com/3.0"
        assert Mailchimp(MailchimpSettings(api_key=key)).settings.base_url == expected
        assert DestinationSettings(api_key=key, list_id="l1").root == expected
        with pytest.raises(ValidationError, match="data centre"):
            MailchimpSettings(api_key=SecretStr("0123"))

    def test_what_is_no_merge_tag_is_refused(self) -> None:
        with pytest.raises(ValidationError, match="merge tag"):
            mailchimp(traits={"first name": "first_name"})


class TestSandbox:
    def source(self, sandbox: Sandbox, **settings: Any) -> Mailchimp:
        url = f"{sandbox.system_url('mailchimp')}/3.0"
        return Mailchimp(MailchimpSettings(base_url=url, api_key=SecretStr("sandbox-mailchimp-us1"), **settings))

    def test_a_first_load_that_is_killed_goes_on_where_it_was_stored(
        self, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(changes, "ROWS_A_WINDOW", 40)
        settings: dict[str, Any] = {"streams": ("members",), "page_size": 10}
        whole, broken = Pulled(tmp_path / "whole"), Pulled(tmp_path / "broken")
        source = self.source(sandbox, **settings)
        whole.pull(source)

        class Killed(BaseException):
            pass

        def kill(_: str, rows: int) -> None:
            if rows >= 60:
                raise Killed

        pull = SourcePull(self.source(sandbox, **settings), retries=QUICK, progress=kill)
        with pytest.raises(Killed):
            ingest(pull, broken.store, name="mailchimp", pipelines=tmp_path / "broken" / "dlt")
        kept = len(broken.rows(source, "members"))
        assert kept >= 20
        report = broken.pull(self.source(sandbox, **settings))
        assert [str(error) for error in report.errors] == []
        assert report.rows <= len(whole.rows(source, "members")) - kept + 10
        assert broken.everything(source) == whole.everything(source)

    def test_what_changed_arrives_and_little_else_is_read(self, sandbox: Sandbox, tmp_path: Path) -> None:
        pulled, streams = Pulled(tmp_path), ("members", "unsubscribes")
        first = pulled.pull(self.source(sandbox, streams=streams))
        requests.post(f"{sandbox.url}/_sandbox/advance", json={"share": 0.1, "seed": 3})
        second = pulled.pull(self.source(sandbox, streams=streams))
        assert [str(error) for error in second.errors] == []
        rows = {stream.stream: stream.rows for stream in second.streams}
        before = {stream.stream: stream.rows for stream in first.streams}
        assert 0 < rows["members"] < before["members"] / 2
        anew = Pulled(tmp_path / "anew")
        anew.pull(self.source(sandbox, streams=streams))
        for stream in streams:
            assert pulled.rows(self.source(sandbox), stream) == anew.rows(self.source(sandbox), stream)
