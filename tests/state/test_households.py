"""Households: different people who share a number or an address."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millstream.state.identity import IdentityRules, KindRule
from millstream.state.identity.rules import HouseholdRule

if TYPE_CHECKING:
    from tests.state.conftest import Customers

HOME = ("address", "hauptstr 5 10115 berlin")
OTHER_HOME = ("address", "10 downing st sw1a 2aa")
PHONE = ("phone", "+442079460958")
RULES = IdentityRules(
    # No agreement on a trait: here a number that joins nobody is one that too many records bear.
    kinds={"phone": {"agree_on": None, "merges": False}},
    household=HouseholdRule(max_profiles=3),
)


@pytest.fixture
def people(customers: Customers) -> Customers:
    customers.rules = RULES
    return customers


def keep(customers: Customers, *, full: bool = False) -> int:
    """Resolve, which brings the households up to date too, and take the changed profiles as described."""
    found = customers.resolve(full=full).households
    customers.connection.execute("DELETE FROM customers.changed_profiles")
    return found


def households(customers: Customers) -> set[frozenset[str]]:
    """Each as the records of its profiles."""
    rows = customers.rows(
        """
        SELECT household.household_id, member.record_id
        FROM customers.household_members AS household
        JOIN customers.members AS member ON member.profile_id = household.profile_id
        """
    )
    found: dict[object, set[str]] = {}
    for household_id, record_id in rows:
        found.setdefault(household_id, set()).add(str(record_id))
    return {frozenset(records) for records in found.values()}


def ids(customers: Customers) -> set[str]:
    return {str(row[0]) for row in customers.rows("SELECT DISTINCT household_id FROM customers.household_members")}


def history(customers: Customers) -> list[tuple[object, ...]]:
    return customers.rows(
        "SELECT change, household_id, other_id FROM customers.household_history ORDER BY changed_at, change"
    )


def test_people_at_one_address_are_a_household_and_stay_different_people(people: Customers) -> None:
    people.record("a.contacts:1", ("email", "ana@box.example"), HOME)
    people.record("a.contacts:2", ("email", "ben@box.example"), HOME)
    people.record("a.contacts:3", ("email", "cy@box.example"), OTHER_HOME)
    assert keep(people) == 1
    assert households(people) == {frozenset({"a.contacts:1", "a.contacts:2"})}
    assert people.profile("a.contacts:1") != people.profile("a.contacts:2")
    (household,) = people.rows("SELECT household_id, profiles, kinds FROM customers.households")
    assert household[1:] == (2, "address")
    assert str(household[0]).startswith("h_")
    assert people.rows("SELECT kind, value, profiles FROM customers.household_values") == [(*HOME, 2)]


def test_one_person_alone_is_no_household(people: Customers) -> None:
    people.record("a.contacts:1", ("email", "ana@box.example"), HOME)
    people.record("b.contacts:1", ("email", "ana@box.example"), HOME)
    assert keep(people) == 0


def test_number_and_address_hold_together_by_turns(people: Customers) -> None:
    people.record("a.contacts:1", HOME)
    people.record("a.contacts:2", HOME, PHONE)
    people.record("a.contacts:3", PHONE)
    assert keep(people) == 1
    assert people.rows("SELECT profiles, kinds FROM customers.households") == [(3, "address, phone")]


@pytest.mark.parametrize("value", [("phone", "+4912345670000000"), ("address", "unknown")])
def test_values_that_name_nobody_make_no_household(people: Customers, value: tuple[str, str]) -> None:
    people.record("a.contacts:1", value)
    people.record("a.contacts:2", value)
    assert keep(people) == 0


def test_a_number_that_joins_nobody_because_it_is_blocked_makes_no_household(customers: Customers) -> None:
    customers.rules = IdentityRules(
        kinds={"phone": KindRule(max_records=2, agree_on=None, household=True)}, household=HouseholdRule(max_profiles=9)
    )
    for number in range(3):
        customers.record(f"a.contacts:{number}", PHONE)
    assert keep(customers) == 0
    customers.erase("a.contacts:0")
    assert keep(customers) == 0, "two records of one number are one person"
    assert len(customers.partition()) == 1


def test_what_is_only_kept_beside_a_record_makes_no_household(customers: Customers) -> None:
    for number in range(2):
        customers.record(f"a.contacts:{number}", PHONE, merges=False)
    assert keep(customers) == 0


def test_a_block_is_no_household_until_enough_have_moved_out(people: Customers) -> None:
    for number in range(4):
        people.record(f"a.contacts:{number}", HOME)
    assert keep(people) == 0
    people.record("a.contacts:0", OTHER_HOME)
    assert keep(people) == 1
    assert households(people) == {frozenset(f"a.contacts:{number}" for number in (1, 2, 3))}
    people.record("a.contacts:0", HOME)
    assert keep(people) == 0
    assert [change for change, *_ in history(people)] == ["new", "removed"]


def test_a_household_keeps_its_id_while_people_come_and_go(people: Customers) -> None:
    for number in range(2):
        people.record(f"a.contacts:{number}", HOME)
    keep(people)
    before = ids(people)
    people.record("a.contacts:2", HOME)
    keep(people)
    people.delete("a.contacts:0")
    keep(people)
    assert ids(people) == before
    assert households(people) == {frozenset({"a.contacts:1", "a.contacts:2"})}
    assert [change for change, *_ in history(people)] == ["new"]


def test_of_two_households_that_move_together_the_older_survives(people: Customers) -> None:
    for number in range(2):
        people.record(f"a.contacts:{number}", HOME)
    keep(people)
    (older,) = ids(people)
    for number in range(2):
        people.record(f"b.contacts:{number}", OTHER_HOME)
    keep(people)
    (younger,) = ids(people) - {older}
    people.record("c.contacts:1", HOME, OTHER_HOME)
    keep(people)
    assert ids(people) == {older}
    assert history(people)[-1] == ("merge", older, younger)
    people.delete("c.contacts:1")
    keep(people)
    assert ids(people) >= {older}
    assert history(people)[-1][0] == "split"


def test_a_household_follows_people_who_turn_out_to_be_known(people: Customers) -> None:
    people.record("a.contacts:1", ("email", "ana@box.example"))
    people.record("a.contacts:2", ("email", "ben@box.example"))
    keep(people)
    people.record("b.contacts:1", HOME)
    people.record("b.contacts:2", HOME)
    keep(people)
    before = ids(people)
    people.record("b.contacts:1", HOME, ("email", "ana@box.example"))
    people.record("b.contacts:2", HOME, ("email", "ben@box.example"))
    keep(people)
    assert ids(people) == before


def test_other_rules_look_at_everyone(people: Customers) -> None:
    for number in range(4):
        people.record(f"a.contacts:{number}", HOME)
    assert keep(people) == 0
    people.rules = IdentityRules(kinds=RULES.kinds)
    assert keep(people) == 1


# Step by step or all at once

VALUES = [
    HOME,
    OTHER_HOME,
    PHONE,
    ("phone", "+442079460959"),
    ("email", "ana@box.example"),
    ("email", "ben@box.example"),
]
RECORDS = [f"crm.contacts:{number}" for number in range(9)]
write = st.tuples(
    st.sampled_from(RECORDS),
    st.lists(st.sampled_from(VALUES), max_size=3, unique=True),
    st.sampled_from([False, False, False, True]),
)
FEW = IdentityRules(
    kinds={
        "email": KindRule(),
        "phone": KindRule(max_records=3, merges=False, household=True),
        "address": KindRule(max_records=5, merges=False, household=True),
    },
    household=HouseholdRule(max_profiles=3),
)


def expected(customers: Customers) -> set[frozenset[str]]:
    """The households by plain reasoning, each as the records of its profiles."""
    profile_of = {str(record): str(profile) for record, profile in customers.rows("SELECT * FROM customers.members")}
    bearers: dict[tuple[object, object], set[str]] = {}
    for record, kind, value in customers.rows("SELECT record_id, kind, value FROM customers.identifiers"):
        if str(record) in profile_of and FEW.rule(str(kind)).household:
            bearers.setdefault((kind, value), set()).add(str(record))
    groups: list[set[str]] = []
    for (kind, _), records in bearers.items():
        profiles = {profile_of[record] for record in records}
        if len(records) <= FEW.rule(str(kind)).max_records and 2 <= len(profiles) <= FEW.household.max_profiles:
            joined = [group for group in groups if group & profiles]
            groups = [group for group in groups if not group & profiles] + [profiles.union(*joined)]
    return {frozenset(record for record, profile in profile_of.items() if profile in group) for group in groups}


@settings(max_examples=15, deadline=None)
@given(batches=st.lists(st.lists(write, max_size=5), min_size=1, max_size=6))
def test_step_by_step_equals_plain_reasoning_and_a_full_run(
    new_customers: Callable[[], Customers], batches: list[list[tuple[str, list[tuple[str, str]], bool]]]
) -> None:
    customers = new_customers()
    customers.rules = FEW
    for batch in batches:
        for record_id, identifiers, deleted in batch:
            customers.record(record_id, *identifiers, deleted=deleted)
        count = keep(customers)
        assert households(customers) == expected(customers)
        assert count == len(ids(customers))
        living = "SELECT profile_id FROM customers.members"
        assert not customers.rows(
            f"SELECT profile_id FROM customers.household_members WHERE profile_id NOT IN ({living})"
        )
    before = {
        table: customers.rows(f"SELECT * FROM customers.{table} ORDER BY ALL")
        for table in ("household_members", "household_values", "crowded_values", "household_history")
    }
    keep(customers, full=True)
    for table, rows in before.items():
        assert customers.rows(f"SELECT * FROM customers.{table} ORDER BY ALL") == rows, table
    made = [household for change, household, _ in history(customers) if change == "new"]
    assert all(one != other for one, other in combinations(made, 2)), "no id is made twice"
    customers.connection.close()
