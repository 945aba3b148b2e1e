"""Shared values and limits: what joins within bounds, what is refused, and that no order of arrival matters."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream.state.identity import IdentityRules, KindRule
from millstream.state.identity.settling import Bond, Borne, Events, Limit, most_at_once, settle
from millstream.state.identity.shared import agreed_keys, fold
from tests.state.conftest import START

if TYPE_CHECKING:
    from tests.state.conftest import Customers

PHONE = ("phone", "+491510000001")
ANA, BOB = ("email", "ana@box.example"), ("email", "bob@box.example")
REFUSED = "SELECT record_id, kind, value, reason FROM customers.refused_joins ORDER BY record_id, kind"


def named(customers: Customers, record_id: str, name: str | None, *identifiers: tuple[str, str]) -> str:
    customers.record(record_id, *identifiers)
    if name:
        customers.trait(record_id, "First_Name", name)
    return record_id


# Values that several people share


@pytest.mark.parametrize(
    ("names", "groups"),
    [
        ("Ana ana ÁNA", [{0, 1, 2}]),
        ("Ana Bob", [{0}, {1}]),
        ("Ana - -", [{0, 1, 2}]),
        ("Ana Bob -", [{0}, {1}, {2}]),
        ("- -", [{0, 1}]),
        ("A Ana", [{0, 1}]),
        ("A Ana Bob", [{0, 1}, {2}]),
        ("A Ana Adam", [{0}, {1}, {2}]),
        ("A Bob", [{0}, {1}]),
        ("A A", [{0, 1}]),
        ("A Bob -", [{0}, {1}, {2}]),
        ("Anna-Maria anna_maria", [{0, 1}]),
    ],
)
def test_a_phone_joins_those_of_one_first_name(customers: Customers, names: str, groups: list[set[int]]) -> None:
    for number, name in enumerate(names.split()):
        named(customers, f"crm.contacts:{number}", None if name == "-" else name, PHONE)
    customers.resolve()
    assert customers.partition() == {frozenset(f"crm.contacts:{number}" for number in group) for group in groups}


def test_a_shared_value_is_listed_with_its_bearers(customers: Customers) -> None:
    for record_id, name in (("a.contacts:1", "Ana"), ("a.contacts:2", "Bob"), ("a.contacts:3", None)):
        named(customers, record_id, name, PHONE)
    report = customers.resolve()
    assert (report.shared_values, report.profiles, report.refused) == (1, 3, 0)
    assert customers.rows("SELECT kind, value, trait, records, groups FROM customers.shared_values") == [
        (*PHONE, "first_name", 3, 2)
    ]
    assert len(customers.rows("SELECT * FROM customers.shared_bearers")) == 3


def test_a_value_ceases_to_be_shared_when_the_other_person_leaves_it(customers: Customers) -> None:
    named(customers, "a.contacts:1", "Ana", PHONE)
    named(customers, "a.contacts:2", None, PHONE)
    named(customers, "a.contacts:3", "Bob", PHONE)
    assert customers.resolve().profiles == 3

    customers.record("a.contacts:3", BOB)
    report = customers.resolve()

    assert (report.profiles, report.shared_values) == (2, 0)
    assert customers.profile("a.contacts:1") == customers.profile("a.contacts:2")
    assert customers.rows("SELECT * FROM customers.shared_bearers") == []


@pytest.mark.parametrize("way", ["delete", "erase"])
def test_a_value_ceases_to_be_shared_when_the_other_person_is_gone(customers: Customers, way: str) -> None:
    named(customers, "a.contacts:1", "Ana", PHONE)
    named(customers, "a.contacts:2", None, PHONE)
    named(customers, "a.contacts:3", "Bob", PHONE)
    customers.resolve()
    getattr(customers, way)("a.contacts:3")
    assert (customers.resolve().profiles, customers.rows("SELECT * FROM customers.shared_values")) == (1, [])


def test_a_value_becomes_shared_when_a_first_name_changes(customers: Customers) -> None:
    named(customers, "a.contacts:1", "Ana", PHONE)
    named(customers, "a.contacts:2", "Ana", PHONE)
    customers.resolve()
    whole = customers.profile("a.contacts:1")
    customers.connection.execute("DELETE FROM customers.traits WHERE record_id = 'a.contacts:2'")
    customers.trait("a.contacts:2", "first_name", "Bob")

    assert customers.resolve().split == 1
    assert customers.profile("a.contacts:1") == whole
    assert customers.rows("SELECT kind, value, reason FROM customers.profile_history WHERE change = 'split'") == [
        (*PHONE, "identifier shared")
    ]


def test_a_change_beside_a_shared_value_leaves_the_others_out_of_it(customers: Customers) -> None:
    """Ana's profile is looked at again, Bob's is not; still the phone is theirs, and the nameless stands alone."""
    named(customers, "a.contacts:1", "Ana", PHONE, ANA)
    named(customers, "a.contacts:2", None, PHONE, ANA)
    named(customers, "a.contacts:3", "Bob", PHONE)
    customers.resolve()
    customers.record("b.contacts:1", ANA)
    report = customers.resolve()
    assert (report.profiles, report.shared_values) == (2, 1)
    assert customers.rows("SELECT records, groups FROM customers.shared_values") == [(3, 2)]


@given(st.dictionaries(st.text("r", min_size=1, max_size=9), st.text("aAbé1 -", max_size=3).map(fold), min_size=1))
def test_groups_do_not_depend_on_the_order_of_bearers(keys: dict[str, str]) -> None:
    assert agreed_keys(keys) == agreed_keys(dict(reversed(keys.items())))


# Limits


def test_one_profile_has_one_user_id(customers: Customers) -> None:
    customers.record("a.contacts:1", ("user_id", "u1"), ANA)
    customers.record("a.contacts:2", ("user_id", "u2"), ANA)
    customers.record("a.contacts:3", ANA)
    report = customers.resolve()

    assert (report.profiles, report.refused) == (2, 1)
    assert customers.profile("a.contacts:1") == customers.profile("a.contacts:3")
    assert customers.rows(REFUSED) == [("a.contacts:2", *ANA, "more than 1 user_id")]
    assert len(customers.rows("SELECT * FROM customers.contested")) == 3


def test_a_placeholder_is_no_user_id(customers: Customers) -> None:
    customers.record("a.contacts:1", ("user_id", "u1"), ANA)
    customers.record("a.contacts:2", ("user_id", "null"), ANA)
    assert customers.resolve().profiles == 1


def test_what_only_is_kept_beside_a_record_does_not_count(customers: Customers) -> None:
    customers.record("a.contacts:1", ("user_id", "u1"), merges=False)
    customers.record("a.contacts:2", ("user_id", "u2"), ANA)
    customers.record("a.contacts:1", ("user_id", "u1"), merges=False)
    customers.connection.execute(
        "INSERT INTO customers.identifiers (record_id, kind, value, original, merges, contact) "
        "VALUES ('a.contacts:1', 'email', ?, ?, true, ?)",
        [ANA[1]] * 3,
    )
    assert customers.resolve().profiles == 1


def test_a_record_that_alone_breaks_a_limit_takes_in_those_that_add_nothing(customers: Customers) -> None:
    customers.record("a.contacts:1", ("user_id", "u1"), ("user_id", "u2"), ANA)
    customers.record("a.contacts:2", ("user_id", "u2"), ANA)
    customers.record("a.contacts:3", ("user_id", "u3"), ANA)
    report = customers.resolve()
    assert (report.profiles, report.refused) == (2, 1)
    assert customers.profile("a.contacts:1") == customers.profile("a.contacts:2")


def test_the_stronger_kind_joins_first(customers: Customers) -> None:
    customers.record("a.contacts:1", ("user_id", "u1"), ("device_id", "d"))
    customers.record("a.contacts:2", ANA, ("device_id", "d"))
    customers.record("a.contacts:3", ("user_id", "u2"), ANA)
    customers.resolve()
    assert customers.profile("a.contacts:2") == customers.profile("a.contacts:3")
    assert customers.rows("SELECT kind FROM customers.refused_joins") == [("device_id",)]


@pytest.mark.parametrize(("days", "profiles"), [(30, 1), (31, 1), (29, 2)])
def test_a_window_counts_what_was_true_within_it(customers: Customers, days: int, profiles: int) -> None:
    customers.rules = IdentityRules(kinds={"card": KindRule(max_values=1, window_days=30 if days < 31 else 29)})
    if days == 30:
        days = 31
    customers.record("a.contacts:1", ("card", "1"), ANA, observed_at=START)
    customers.record("a.contacts:2", ("card", "2"), ANA, observed_at=START + timedelta(days=days))
    assert customers.resolve().profiles == profiles


def test_a_window_has_its_ends_in_it() -> None:
    limit = Limit(1, timedelta(days=30), "")
    events: Events = {("1", START), ("2", START + timedelta(days=30)), ("3", START + timedelta(days=60, seconds=1))}
    assert most_at_once(events, limit) == 2
    assert most_at_once(events, limit._replace(window=timedelta(days=61))) == 3


def test_what_was_refused_joins_when_the_other_side_is_gone(customers: Customers) -> None:
    customers.record("a.contacts:1", ("user_id", "u1"), ANA)
    customers.record("a.contacts:2", ("user_id", "u2"), ANA)
    customers.record("a.contacts:3", ("user_id", "u2"), BOB)
    assert customers.resolve().refused == 1
    customers.delete("a.contacts:1")
    assert customers.resolve().refused == 0
    assert customers.rows("SELECT * FROM customers.contested") == []

    customers.record("a.contacts:1", ("user_id", "u1"), ANA)
    assert customers.resolve().refused == 1


def test_a_contested_component_is_looked_at_whole(customers: Customers) -> None:
    """Ana's address comes to stand on more records than Bob's, so that his joins first, in profiles without change."""
    customers.record("a.contacts:1", ("user_id", "u1"), ANA)
    customers.record("a.contacts:2", ANA, BOB)
    customers.record("a.contacts:3", ("user_id", "u2"), BOB)
    customers.record("a.contacts:4", BOB)
    customers.resolve()
    assert customers.profile("a.contacts:2") == customers.profile("a.contacts:1")

    customers.record("a.contacts:5", ANA)
    customers.record("a.contacts:6", ANA)
    customers.resolve()
    after = customers.partition()
    customers.resolve(full=True)

    assert customers.partition() == after
    assert customers.profile("a.contacts:2") == customers.profile("a.contacts:3")


def test_a_refusal_keeps_the_run_that_first_made_it(customers: Customers) -> None:
    customers.record("a.contacts:1", ("user_id", "u1"), ANA)
    customers.record("a.contacts:2", ("user_id", "u2"), ANA)
    customers.resolve()
    customers.touch("a.contacts:1")
    customers.resolve()
    customers.resolve(full=True)
    assert customers.rows("SELECT run_id FROM customers.refused_joins") == [("run-1",)]


def test_a_split_by_a_limit_says_so(customers: Customers) -> None:
    customers.record("a.contacts:1", ("user_id", "u1"), ANA)
    customers.record("a.contacts:2", ANA)
    customers.resolve()
    customers.record("a.contacts:2", ("user_id", "u2"), ANA)
    customers.resolve()
    assert customers.rows("SELECT kind, value, reason FROM customers.profile_history WHERE change = 'split'") == [
        (*ANA, "limit")
    ]


@given(
    st.lists(st.tuples(st.integers(1, 8), st.integers(1, 5)), min_size=2, max_size=16, unique=True),
    st.dictionaries(st.integers(1, 8), st.sampled_from("xyz")),
    st.randoms(),
)
def test_settling_depends_on_no_order(pairs: list[tuple[int, int]], values: dict[int, str], order: object) -> None:
    bonds = [Bond(node, f"r{node}", joint, joint, joint % 2, "card", f"{joint}", "") for node, joint in pairs]
    nodes = {bond.node for bond in bonds}
    borne = [Borne(node, "user_id", value, None) for node, value in values.items() if node in nodes]
    limits = {"user_id": Limit(1, None, "too many")}
    settled = settle(bonds, borne, limits)
    shuffled = list(bonds)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    again = settle(shuffled, reversed(borne), limits)
    assert (settled.labels, set(settled.refused)) == (again.labels, set(again.refused))
    for label in set(settled.labels.values()):
        assert len({values[node] for node, own in settled.labels.items() if own == label and node in values}) <= 1
