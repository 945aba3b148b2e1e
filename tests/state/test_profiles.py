"""One row a person, where each value comes from, and whose consent there is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millstream.state.consent import ConsentRequirement, consented_profiles
from millstream.state.identity import IdentityRules, KindRule
from millstream.state.profiles import SurvivorshipRules, TraitRule, build_profiles
from tests.state.describing import contents, describe, row

if TYPE_CHECKING:
    from tests.state.conftest import Customers

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
ANA = ("email", "ana@box.example")
EMAIL = ConsentRequirement(channel="email")


def test_a_row_says_since_when_from_where_and_how_to_reach(customers: Customers) -> None:
    crm = customers.record("crm.contacts:1", ANA, ("phone", "+491510000001"), observed_at=LONG_AGO)
    shop = customers.record("shop.orders:1", ANA, ("email", "ana@new.example"))
    customers.event(shop, "Order Completed", LONG_AGO - timedelta(days=9))
    customers.event(shop, "Order Completed", datetime(2099, 1, 1, tzinfo=UTC))
    describe(customers)
    seen = row(customers, crm)
    assert seen["first_seen"] == LONG_AGO - timedelta(days=9)
    assert isinstance(seen["last_seen"], datetime)
    assert LONG_AGO < seen["last_seen"] < customers.now
    assert (seen["records"], seen["sources"]) == (2, ["crm", "shop"])
    assert (seen["email"], seen["phone"]) == ("ana@box.example", "+491510000001")


def test_the_most_recent_own_address_counts(customers: Customers) -> None:
    customers.rules = IdentityRules(kinds={"email": KindRule(max_records=1, blocked=())})
    customers.record("a.contacts:1", ("user_id", "1"), ("email", "old@box.example"), observed_at=LONG_AGO)
    customers.record("a.contacts:2", ("user_id", "1"), ("email", "hot@box.example"))
    customers.record("a.contacts:3", ("user_id", "3"), ("email", "hot@box.example"))
    describe(customers)
    assert row(customers, "a.contacts:1")["email"] == "old@box.example"
    assert row(customers, "a.contacts:3")["email"] is None, "an address on too many records is nobody's own"


def test_a_shared_mailbox_is_used_where_there_is_no_other_address(customers: Customers) -> None:
    customers.record("a.contacts:1", ("email", "info@box.example"))
    customers.record("a.contacts:2", ("email", "info@box.example"), ("email", "own@box.example"), observed_at=LONG_AGO)
    describe(customers)
    assert row(customers, "a.contacts:1")["email"] == "info@box.example"
    assert row(customers, "a.contacts:2")["email"] == "own@box.example"


@pytest.mark.parametrize(
    ("rule", "expected", "origin"),
    [
        (TraitRule(), "Rome", "c.s:3"),
        (TraitRule(strategy="first"), "Oslo", "a.s:1"),
        (TraitRule(strategy="most_frequent"), "Oslo", "b.s:2"),
        (TraitRule(strategy="source_priority"), "Oslo", "b.s:2"),
        (TraitRule(strategy="source_priority", sources=("c.s", "b")), "Rome", "c.s:3"),
    ],
)
def test_strategies_choose_whose_word_counts(customers: Customers, rule: TraitRule, expected: str, origin: str) -> None:
    for number, (record_id, city) in enumerate([("a.s:1", "Oslo"), ("b.s:2", "Oslo"), ("c.s:3", "Rome")]):
        customers.record(record_id, ANA)
        customers.trait(record_id, "City", city, observed_at=LONG_AGO + timedelta(days=number))
    describe(customers, SurvivorshipRules(sources=("b", "a"), traits={"city": rule}))
    assert row(customers, "a.s:1")["city"] == expected
    assert customers.rows("SELECT name, record_id FROM customers.profile_traits_origin WHERE name = 'city'") == [
        ("city", origin)
    ]


def test_traits_have_their_types_and_unreadable_values_are_passed_over(customers: Customers) -> None:
    record_id = customers.record("a.contacts:1", ANA)
    other = customers.record("a.contacts:2", ANA)
    customers.trait(record_id, "visits", 3, "number")
    customers.trait(other, "visits", "many", "number")
    customers.trait(record_id, "vip", True, "boolean")
    customers.trait(record_id, "born", "1990-02-03", "date")
    customers.trait(record_id, "trial_ends", "2026-02-03T10:00:00+02:00", "timestamp")
    customers.trait(record_id, 'odd "name"; --', "x")
    customers.trait(record_id, "email", "typed@box.example")
    describe(customers)
    seen = row(customers, record_id)
    assert (seen["visits"], seen["vip"], str(seen["born"])) == (3.0, True, "1990-02-03")
    assert seen["trial_ends"] == datetime(2026, 2, 3, 8, tzinfo=UTC)
    assert seen['odd "name"; --'] == "x"
    assert (seen["email"], seen["trait_email"]) == ("ana@box.example", "typed@box.example")


def test_only_changed_profiles_are_described_and_columns_are_added(customers: Customers) -> None:
    for number in range(3):
        customers.record(f"a.contacts:{number}", ("user_id", f"u{number}"))
    assert describe(customers).full
    customers.trait("a.contacts:1", "city", "Oslo")
    report = describe(customers)
    assert (report.full, report.described, report.traits) == (False, 1, 1)
    assert row(customers, "a.contacts:1")["city"] == "Oslo"
    assert row(customers, "a.contacts:2")["city"] is None
    assert describe(customers).described == 0


def test_an_event_that_lay_ahead_is_seen_once_it_has_happened(customers: Customers) -> None:
    for number in range(2):
        customers.record(f"a.contacts:{number}", ("user_id", f"u{number}"))
    soon, later = (customers.now + timedelta(days=days) for days in (3, 5))
    customers.event("a.contacts:1", "Appointment", soon)
    customers.event("a.contacts:1", "Appointment", later)
    describe(customers)
    assert row(customers, "a.contacts:1")["last_seen"] < soon
    for due in (soon, later):
        assert describe(customers).described == 0
        customers.now = due
        assert describe(customers).described == 1
        assert row(customers, "a.contacts:1")["last_seen"] == due
    customers.event("a.contacts:1", "Appointment", customers.now + timedelta(days=1))
    describe(customers)
    customers.delete("a.contacts:1")
    describe(customers)
    assert customers.rows("SELECT * FROM customers.awaited_profiles") == []


def test_merged_and_removed_profiles_leave_the_table(customers: Customers) -> None:
    for number in range(3):
        customers.record(f"a.contacts:{number}", ("user_id", f"u{number}"))
    describe(customers)
    customers.record("a.contacts:1", ("user_id", "u0"))
    customers.delete("a.contacts:2")
    report = describe(customers)
    assert (report.profiles, report.removed, report.full) == (1, 2, False)
    assert row(customers, "a.contacts:1")["records"] == 2


def test_a_trait_whose_type_changes_becomes_text_for_all(customers: Customers) -> None:
    customers.record("a.contacts:1", ANA)
    customers.record("a.contacts:2", ("user_id", "2"))
    customers.trait("a.contacts:1", "size", "42", "number")
    describe(customers)
    customers.trait("a.contacts:2", "size", "XL", "text")
    assert describe(customers).full
    assert row(customers, "a.contacts:1")["size"] == "42"
    assert row(customers, "a.contacts:2")["size"] == "XL"
    customers.trait("a.contacts:1", "size", "43", "number")
    assert not describe(customers).full


def test_other_rules_describe_everybody_anew(customers: Customers) -> None:
    customers.record("a.contacts:1", ANA)
    describe(customers)
    assert describe(customers, SurvivorshipRules(sources=("a",))).full


traits = st.lists(
    st.tuples(
        st.integers(0, 5), st.sampled_from(["city", "visits"]), st.sampled_from(["1", "2", "x"]), st.integers(0, 3)
    ),
    max_size=6,
)
strategies = st.sampled_from(["most_recent", "first", "most_frequent", "source_priority"])


@settings(max_examples=12, deadline=None)
@given(batches=st.lists(traits, min_size=1, max_size=3), strategy=strategies)
def test_describing_in_steps_equals_describing_at_once(
    new_customers: Callable[[], Customers], batches: list[list[tuple[int, str, str, int]]], strategy: str
) -> None:
    customers = new_customers()
    rules = SurvivorshipRules(sources=("b",), traits={"city": TraitRule(strategy=strategy)})
    for number in range(6):
        customers.record(f"{'ab'[number % 2]}.s:{number}", ("user_id", f"u{number // 2}"))
    for batch in batches:
        for number, name, value, days in batch:
            at = LONG_AGO + timedelta(days=days)
            type_ = "number" if name == "visits" else "text"
            customers.trait(f"{'ab'[number % 2]}.s:{number}", name, value, type_, observed_at=at)
        describe(customers, rules)
    stepwise = contents(customers)
    build_profiles(customers.connection, rules, now=customers.now, full=True)
    assert contents(customers) == stepwise
    customers.connection.close()


def test_consent_needs_a_grant_and_no_denial(customers: Customers) -> None:
    given_ = {"yes": ["granted"], "both": ["granted", "denied"], "vague": ["unknown"], "odd": ["perhaps"], "none": []}
    for user, statuses in given_.items():
        customers.record(f"a.contacts:{user}", ("user_id", user))
        customers.record(f"b.contacts:{user}", ("user_id", user))
        for status, source in zip(statuses, "ab", strict=False):
            customers.consent(f"{source}.contacts:{user}", "email", status)
    customers.consent("a.contacts:none", "email", "granted", topic="billing")
    customers.consent("a.contacts:none", "sms", "granted")
    describe(customers)
    assert consented_profiles(customers.connection, EMAIL) == {customers.profile("a.contacts:yes")}


def test_an_opt_out_outlives_its_deleted_record(customers: Customers) -> None:
    customers.record("a.contacts:1", ("user_id", "1"))
    customers.record("b.contacts:1", ("user_id", "1"))
    customers.consent("a.contacts:1", "email", "denied")
    customers.consent("b.contacts:1", "email", "granted")
    customers.delete("a.contacts:1")
    describe(customers)
    assert consented_profiles(customers.connection, EMAIL) == set()


def test_a_denial_holds_for_the_address_wherever_it_stands(customers: Customers) -> None:
    shared = ("email", "info@box.example")
    for record_id in ("a.contacts:1", "a.contacts:2"):
        customers.record(record_id, shared)
    customers.consent("a.contacts:1", "email", "denied")
    customers.consent("a.contacts:2", "email", "granted")
    customers.consent("a.contacts:2", "sms", "granted")
    describe(customers)
    assert consented_profiles(customers.connection, EMAIL) == set()
    assert consented_profiles(customers.connection, ConsentRequirement(channel="sms")) == {
        customers.profile("a.contacts:2")
    }
