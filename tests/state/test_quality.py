"""What audits find, against made-up people of whom it is known what is wrong with them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from millstream.state.identity.rules import IdentityRules
from millstream.state.model.declarations import Identifier, People, Trait
from millstream.state.profiles import SurvivorshipRules, build_profiles
from millstream.state.quality.audit import Audit, audit, judge
from millstream.state.quality.looking import Finding, Look, Stream
from millstream.state.quality.rules import AnomalyRules, QualityRules, Range, Threshold
from tests.state.conftest import Customers

NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
TODAY = NOW.date()
CONTACTS = Stream(
    "crm",
    "contacts",
    People(
        identifiers=(Identifier(kind="email", column="email"), Identifier(kind="phone", column="phone")),
        traits=(Trait(name="city", column="city"), Trait(name="age", column="age", type="number")),
        country="country",
    ),
    "crm",
)


def looked(customers: Customers, rules: QualityRules | None = None, *streams: Stream, run: str = "one") -> Audit:
    look = Look(customers.connection, streams or (CONTACTS,), IdentityRules(), rules or QualityRules(), NOW)
    return audit(look, run_id=run)


def described(customers: Customers) -> None:
    customers.resolve()
    build_profiles(customers.connection, SurvivorshipRules(), now=NOW)


def finding(found: Audit, dimension: str, source: str, subject: str) -> tuple[int, int]:
    [one] = [one for one in found.findings if (one.dimension, one.source, one.subject) == (dimension, source, subject)]
    return one.checked, one.failed


def subjects(found: Audit, dimension: str) -> set[tuple[str, str]]:
    return {(one.source, one.subject) for one in found.findings if one.dimension == dimension}


class TestCompleteness:
    def test_of_records_and_of_people(self, customers: Customers) -> None:
        customers.record("crm.contacts:1", ("email", "ann@box.example"), ("phone", "+4930111111"))
        customers.record("crm.contacts:2", ("email", "bob@box.example"))
        customers.record("crm.contacts:3", ("email", "cat@box.example"))
        customers.record("crm.contacts:4", ("email", "dan@box.example"))
        customers.delete("crm.contacts:4")
        customers.trait("crm.contacts:1", "city", "Genoa")
        customers.trait("crm.contacts:2", "age", 40, "number")
        described(customers)
        found = looked(customers)
        assert finding(found, "completeness", "crm", "contacts.email") == (3, 0)
        assert finding(found, "completeness", "crm", "contacts.phone") == (3, 2)
        assert finding(found, "completeness", "crm", "contacts.city") == (3, 2)
        assert finding(found, "completeness", "crm", "contacts.age") == (3, 2)
        assert finding(found, "completeness", "", "email") == (3, 0)
        assert finding(found, "completeness", "", "city") == (3, 2)

    def test_streams_that_only_name_people_are_not_held_to_it(self, customers: Customers) -> None:
        customers.record("crm.visits:1", ("email", "ann@box.example"))
        described(customers)
        named = People(identifiers=CONTACTS.people.identifiers, record="subject")
        found = looked(customers, None, Stream("crm", "visits", named, "crm"))
        assert ("crm", "visits.email") not in subjects(found, "completeness")

    def test_an_empty_store_is_no_fault(self, customers: Customers) -> None:
        described(customers)
        found = looked(customers)
        assert found.findings == ()
        assert found.odd_days == ()


class TestValidity:
    def test_identifiers_as_the_rows_have_them(self, customers: Customers) -> None:
        customers.connection.execute("CREATE SCHEMA IF NOT EXISTS raw_crm")
        customers.connection.execute("CREATE TABLE raw_crm.contacts (email TEXT, phone TEXT, country TEXT)")
        customers.connection.executemany(
            "INSERT INTO raw_crm.contacts VALUES (?, ?, ?)",
            [("ann@box.example", "030 1", "DE"), ("nonsense", None, None), ("", "+4930111111", "DE"),
             ("ann@box.example", "x", None)],
        )  # fmt: skip
        rules = IdentityRules()
        for kind, country, values in (
            ("email", "", {"ann@box.example": "ann@box.example", "nonsense": None}),
            ("phone", "DE", {"030 1": None, "+4930111111": "+4930111111"}),
            ("phone", "", {"x": None}),
        ):
            customers.connection.executemany(
                "INSERT INTO customers.normalised VALUES (?, ?, ?, ?, ?)",
                [(rules.spelling_key(kind), country, raw, value, value) for raw, value in values.items()],
            )
        described(customers)
        found = looked(customers)
        assert finding(found, "validity", "crm", "contacts.email") == (3, 1)
        assert finding(found, "validity", "crm", "contacts.phone") == (3, 2)

    def test_values_of_traits(self, customers: Customers) -> None:
        customers.record("crm.contacts:1", ("email", "ann@box.example"))
        for name, value, kind in (
            ("age", "forty", "number"), ("height", "170", "number"), ("vip", "perhaps", "boolean"),
            ("birth_date", (TODAY + timedelta(days=1)).isoformat(), "date"), ("ends_on", "2999-01-01", "date"),
            ("began_on", "0212-01-01", "date"), ("seen_at", "not yet", "timestamp"), ("city", "7", "text"),
        ):  # fmt: skip
            customers.trait("crm.contacts:1", name, value, kind)
        described(customers)
        rules = QualityRules(ranges={"height": Range(at_least=30, at_most=250), "city": Range(at_least=8)})
        found = looked(customers, rules)
        wrong = {one.subject for one in found.findings if one.dimension == "validity" and one.failed}
        assert wrong == {
            "contacts.age", "contacts.vip", "contacts.birth_date", "contacts.began_on", "contacts.seen_at",
            "contacts.city",
        }  # fmt: skip
        assert finding(found, "validity", "crm", "contacts.height") == (1, 0)
        assert finding(found, "validity", "crm", "contacts.ends_on") == (1, 0)

    def test_a_birthday_of_today_is_one(self, customers: Customers) -> None:
        customers.record("crm.contacts:1", ("email", "ann@box.example"))
        customers.trait("crm.contacts:1", "birth_date", TODAY, "date")
        customers.record("crm.contacts:2", ("email", "bob@box.example"))
        customers.trait("crm.contacts:2", "birth_date", "1899-12-31", "date")
        described(customers)
        assert finding(looked(customers), "validity", "crm", "contacts.birth_date") == (2, 1)

    def test_events_of_the_future(self, customers: Customers) -> None:
        customers.record("crm.contacts:1", ("email", "ann@box.example"))
        for ahead in (-100, 0, 23, 25):
            customers.event("crm.contacts:1", "Page Viewed", NOW + timedelta(hours=ahead))
        described(customers)
        assert finding(looked(customers), "validity", "crm", "contacts.happened_at") == (4, 1)


class TestUniqueness:
    def test_records_of_one_source_with_one_identifier(self, customers: Customers) -> None:
        for number, address in enumerate(("ann", "ann", "ann", "bob")):
            customers.record(f"crm.contacts:{number}", ("email", f"{address}@box.example"))
        customers.record("shop.buyers:1", ("email", "ann@box.example"))
        customers.record("crm.visits:1", ("email", "ann@box.example"))
        customers.record("crm.visits:2", ("email", "ann@box.example"))
        described(customers)
        people = CONTACTS.people
        visits = Stream("crm", "visits", People(identifiers=people.identifiers, record="subject"), "crm")
        found = looked(customers, None, CONTACTS, Stream("shop", "buyers", people, "shop"), visits)
        assert finding(found, "uniqueness", "crm", "contacts.email") == (4, 2)
        assert finding(found, "uniqueness", "shop", "buyers.email") == (1, 0)
        assert finding(found, "uniqueness", "", "email") == (2, 0), "they are joined: nobody shares an address"
        assert ("crm", "visits.email") not in subjects(found, "uniqueness"), "it only names people"

    def test_who_answers_twice_is_no_duplicate(self, customers: Customers) -> None:
        for number in range(2):
            customers.record(f"survey.responses:{number}", ("email", "ann@box.example"))
        described(customers)
        answers = People(identifiers=CONTACTS.people.identifiers, repeats=True)
        found = looked(customers, None, Stream("survey", "responses", answers, "survey"))
        assert ("survey", "responses.email") not in subjects(found, "uniqueness")

    def test_people_who_share_an_address(self, customers: Customers) -> None:
        for number in range(3):
            customers.record(f"crm.contacts:{number}", ("user_id", f"u{number}"))
            customers.connection.execute(
                "INSERT INTO customers.identifiers (record_id, kind, value, original, merges, contact) "
                "VALUES (?, 'email', 'team@box.example', 'team@box.example', FALSE, 'team@box.example')",
                [f"crm.contacts:{number}"],
            )
        described(customers)
        assert finding(looked(customers), "uniqueness", "", "email") == (1, 1)


class TestFreshness:
    def test_old_records(self, customers: Customers) -> None:
        for number, days in enumerate((1, 99, 101, 400)):
            customers.record(f"crm.contacts:{number}", ("email", f"p{number}@box.example"))
            customers.connection.execute(
                "UPDATE customers.records SET observed_at = ? WHERE source_key = ?",
                [NOW - timedelta(days=days), str(number)],
            )
        described(customers)
        assert finding(looked(customers, QualityRules(old_after_days=100)), "freshness", "crm", "contacts") == (4, 2)

    @pytest.mark.parametrize(("silent_days", "failed"), [(1, 0), (3, 0), (4, 1), (30, 1), (200, 1)])
    def test_a_stream_that_has_news_every_day_and_falls_silent(
        self, customers: Customers, silent_days: int, failed: int
    ) -> None:
        customers.record("crm.contacts:1", ("email", "ann@box.example"))
        for day in range(1 + silent_days, 45 + silent_days):
            customers.event("crm.contacts:1", "Page Viewed", NOW - timedelta(days=day))
        described(customers)
        assert finding(looked(customers), "freshness", "crm", "contacts.news") == (1, failed)
        elsewhere = looked(customers, None, Stream("shop", "buyers", CONTACTS.people, "shop"), run="two")
        assert ("crm", "contacts.news") not in subjects(elsewhere, "freshness"), "the project no longer has the stream"


class TestConsistency:
    def test_what_two_sources_say_of_one_person(self, customers: Customers) -> None:
        for number, (crm, shop) in enumerate((("Genoa", "genoa "), ("Genoa", "Rome"), ("Oslo", None))):
            customers.record(f"crm.contacts:{number}", ("email", f"p{number}@box.example"))
            customers.trait(f"crm.contacts:{number}", "city", crm)
            customers.record(f"shop.buyers:{number}", ("email", f"p{number}@box.example"))
            if shop:
                customers.trait(f"shop.buyers:{number}", "city", shop)
        described(customers)
        found = looked(customers)
        assert finding(found, "consistency", "crm / shop", "city") == (2, 1)
        assert subjects(found, "consistency") == {("crm / shop", "city")}

    def test_the_latest_word_of_a_source_counts(self, customers: Customers) -> None:
        for number, city in enumerate(("Rome", "Genoa")):
            customers.record(f"crm.contacts:{number}", ("email", "ann@box.example"))
            customers.trait(f"crm.contacts:{number}", "city", city)
            customers.connection.execute(
                "UPDATE customers.traits SET observed_at = ? WHERE value = ?", [NOW - timedelta(days=9 - number), city]
            )
        customers.record("shop.buyers:1", ("email", "ann@box.example"))
        customers.trait("shop.buyers:1", "city", "Genoa")
        described(customers)
        assert finding(looked(customers), "consistency", "crm / shop", "city") == (1, 0)


def test_findings_are_kept_for_so_many_days(customers: Customers) -> None:
    customers.record("crm.contacts:1", ("email", "ann@box.example"))
    described(customers)
    for days, run in ((0, "first"), (3, "second"), (5, "third")):
        look = Look(
            customers.connection, (CONTACTS,), IdentityRules(), QualityRules(keep_days=4), NOW + timedelta(days=days)
        )
        audit(look, run_id=run)
    assert customers.rows("SELECT DISTINCT run_id FROM customers.quality ORDER BY 1") == [("second",), ("third",)]


def test_events_against_the_plan(customers: Customers) -> None:
    customers.record("crm.contacts:1", ("email", "ann@box.example"))
    for status in ("planned", "planned", "violating", "unplanned"):
        customers.event("crm.contacts:1", f"As {status}", NOW - timedelta(days=1))
        customers.connection.execute(
            "UPDATE customers.events SET plan_status = ? WHERE name = ?", [status, f"As {status}"]
        )
    described(customers)
    found = looked(customers)
    assert finding(found, "conformance", "crm", "planned events") == (4, 1)
    assert finding(found, "conformance", "crm", "properties") == (3, 1)


def test_what_points_at_nothing(customers: Customers) -> None:
    customers.record("crm.contacts:1", ("email", "ann@box.example"))
    customers.record("crm.contacts:2", ("email", "bob@box.example"))
    customers.trait("crm.contacts:2", "city", "Genoa")
    customers.event("crm.contacts:1", "Page Viewed", NOW - timedelta(days=1))
    customers.event("crm.contacts:2", "Page Viewed", NOW - timedelta(days=1))
    described(customers)
    found = looked(customers)
    assert not [one for one in found.findings if one.dimension == "integrity" and one.failed]
    [(ann,)] = customers.rows("SELECT profile_id FROM customers.members WHERE record_id = 'crm.contacts:1'")
    customers.connection.executemany(
        "INSERT INTO customers.memberships VALUES (?, ?, ?, 'run', NULL, NULL, 'rule', 'meets the rule')",
        [("all", "gone", NOW), ("all", ann, NOW)],
    )
    customers.connection.execute("DELETE FROM customers.members WHERE record_id = 'crm.contacts:1'")
    customers.connection.execute("DELETE FROM customers.records WHERE record_id = 'crm.contacts:2'")
    found = looked(customers, run="two")
    assert {one.subject: (one.checked, one.failed) for one in found.findings if one.dimension == "integrity"} == {
        "events without a person": (2, 1),
        "records without a person": (1, 1),
        "identifiers without a record": (2, 1),
        "traits without a record": (1, 1),
        "memberships of people who are gone": (2, 1),
    }


class TestHistory:
    def test_every_run_is_kept(self, customers: Customers) -> None:
        customers.record("crm.contacts:1", ("email", "ann@box.example"))
        described(customers)
        for run in ("one", "two"):
            looked(customers, run=run)
        rows = customers.rows(
            "SELECT run_id, checked, failed, score FROM customers.quality "
            "WHERE dimension = 'completeness' AND subject = 'contacts.phone' ORDER BY run_id"
        )
        assert rows == [("one", 1, 1, 0.0), ("two", 1, 1, 0.0)]

    def test_days_are_counted_with_those_without_events(self, customers: Customers) -> None:
        customers.record("crm.contacts:1", ("email", "ann@box.example"))
        for days in (1, 1, 3, 0):
            customers.event("crm.contacts:1", "Page Viewed", NOW - timedelta(days=days))
        described(customers)
        looked(customers)
        looked(customers, run="two")
        assert counted(customers) == {
            TODAY - timedelta(days=3): 1, TODAY - timedelta(days=2): 0, TODAY - timedelta(days=1): 2,
        }  # fmt: skip

    def test_late_events_are_counted_and_days_of_long_ago_stay(self, customers: Customers) -> None:
        customers.record("crm.contacts:1", ("email", "ann@box.example"))
        for days in (300, 10):
            customers.event("crm.contacts:1", "Page Viewed", NOW - timedelta(days=days))
        described(customers)
        looked(customers)
        for days in (300, 10):
            customers.event("crm.contacts:1", "Page Viewed", NOW - timedelta(days=days))
        described(customers)
        looked(customers, run="two")
        kept = counted(customers)
        assert (kept[TODAY - timedelta(days=300)], kept[TODAY - timedelta(days=10)]) == (1, 2)
        assert len(kept) == 300

    def test_records_stay_on_the_day_on_which_they_were_seen(self, customers: Customers) -> None:
        customers.record("crm.contacts:1", ("email", "ann@box.example"))
        seen_at(customers, NOW - timedelta(days=1))
        described(customers)
        looked(customers)
        seen_at(customers, NOW)
        look = Look(customers.connection, (CONTACTS,), IdentityRules(), QualityRules(), NOW + timedelta(days=1))
        audit(look, run_id="next")
        rows = customers.rows("SELECT day, rows FROM customers.daily_counts WHERE kind = 'records' ORDER BY day")
        assert rows == [(TODAY - timedelta(days=1), 1), (TODAY, 1)]

    def test_an_odd_day_is_marked_and_told(self, customers: Customers) -> None:
        customers.record("crm.contacts:1", ("email", "ann@box.example"))
        for days in range(1, 71):
            for _ in range(2 if days == 1 else 30):
                customers.event("crm.contacts:1", "Page Viewed", NOW - timedelta(days=days))
        described(customers)
        found = looked(customers)
        assert [(one.day, one.rows, one.expected) for one in found.odd_yesterday] == [
            (TODAY - timedelta(days=1), 2, 30)
        ]
        assert found.odd_yesterday[0].told() == (
            "contacts: 2 'Page Viewed' events on 2026-06-14, where some 30 were to be expected"
        )
        calm = looked(customers, QualityRules(anomalies=AnomalyRules(limit=6)), run="two")
        assert calm.odd_days == ()
        assert customers.rows("SELECT count(*) FROM customers.daily_counts WHERE anomaly") == [(0,)]


class TestThresholds:
    RULES = QualityRules(
        owner="data team",
        thresholds={
            "phones": Threshold(dimension="completeness", source="crm", subject="contacts.phone", at_least=0.5),
            "emails": Threshold(dimension="completeness", subject="contacts.email", at_least=1, owner="crm team"),
            "nothing": Threshold(dimension="completeness", source="nobody", at_least=0),
        },
    )

    def test_who_reaches_them(self, customers: Customers) -> None:
        customers.record("crm.contacts:1", ("email", "ann@box.example"), ("phone", "+4930111111"))
        for number in (2, 3):
            customers.record(f"crm.contacts:{number}", ("email", f"p{number}@box.example"))
        described(customers)
        by_name = {one.name: one for one in looked(customers, self.RULES).judgements}
        assert {name: (one.ok, one.owner) for name, one in by_name.items()} == {
            "phones": (False, "data team"), "emails": (True, "crm team"), "nothing": (False, "data team"),
        }  # fmt: skip
        assert by_name["phones"].told() == ("The completeness of crm contacts.phone is 33.3%, less than 50.0%: 2 of 3.")
        assert by_name["nothing"].told().startswith("There is nothing that it is about")
        assert by_name["emails"].told() == "All of it reaches 100.0%."

    def test_two_sources_are_named_in_any_order(self) -> None:
        threshold = Threshold(dimension="consistency", source="shop / crm", at_least=0.5)
        assert judge("same", threshold, [Finding("consistency", "crm / shop", "city", 4, 1)], None).ok

    def test_exactly_the_share_is_enough(self) -> None:
        assert Finding("validity", "a", "b", 4, 1).score == 0.75


def counted(customers: Customers) -> dict[date, int]:
    rows = customers.rows("SELECT day, rows FROM customers.daily_counts WHERE kind = 'events'")
    return {day: count for day, count in rows if isinstance(day, date) and isinstance(count, int)}


def seen_at(customers: Customers, moment: datetime) -> None:
    customers.connection.execute("UPDATE customers.records SET observed_at = ?", [moment])
