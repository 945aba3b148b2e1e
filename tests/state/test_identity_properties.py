"""Resolution over random histories: partial runs come to what a full run and plain reasoning come to."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millstream.state.identity import IdentityRules, KindRule

if TYPE_CHECKING:
    from tests.state.conftest import Customers

pytestmark = pytest.mark.slow

RULES = IdentityRules(
    kinds={
        "email": KindRule(max_records=2, blocked=("info@*",)),
        "phone": KindRule(max_records=3),
        "cookie": KindRule(merges=False),
        "user_id": KindRule(max_values=None),
    }
)
"""Without limits: those are tried in test_identity_histories.py."""
VALUES = [
    ("email", "info@a.com"), ("email", "a@a.com"), ("email", "b@a.com"), ("phone", "+1"), ("phone", "+2"),
    ("phone", "+3"), ("cookie", "c"), ("user_id", "+1"), ("user_id", "u"),
]  # fmt: skip
RECORDS = [f"crm.contacts:{number}" for number in range(8)]

write = st.tuples(
    st.just("write"),
    st.sampled_from(RECORDS),
    st.lists(st.sampled_from(VALUES), max_size=3, unique=True),
    st.sampled_from([False, False, False, True]),
    st.sampled_from([True, True, True, False]),
)
erase = st.tuples(st.just("erase"), st.sampled_from(RECORDS))
batches = st.lists(st.lists(st.one_of(write, write, write, erase), max_size=5), min_size=1, max_size=5)


def carry_out(customers: Customers, operation: tuple) -> None:
    if operation[0] == "erase":
        customers.erase(operation[1])
    else:
        _, record_id, identifiers, deleted, merges = operation
        customers.record(record_id, *identifiers, deleted=deleted, merges=merges)


def expected(customers: Customers) -> tuple[set[frozenset[str]], set[tuple[str, str, int]]]:
    """The profiles and blocked values by plain reasoning."""
    living = {record_id for (record_id,) in customers.rows("SELECT record_id FROM customers.records WHERE NOT deleted")}
    bearers: dict[tuple[str, str], set[str]] = {}
    for record_id, kind, value in customers.rows(
        "SELECT record_id, kind, value FROM customers.identifiers WHERE merges"
    ):
        if record_id in living and RULES.rule(kind).merges:
            bearers.setdefault((kind, value), set()).add(record_id)
    blocked = {
        (kind, value, len(records))
        for (kind, value), records in bearers.items()
        if len(records) > 1 and (len(records) > RULES.rule(kind).max_records or value.startswith("info@"))
    }
    profiles = {frozenset([record_id]) for record_id in living}
    for (kind, value), records in bearers.items():
        if (kind, value, len(records)) not in blocked:
            joined = {profile for profile in profiles if profile & records}
            profiles = (profiles - joined) | {frozenset().union(*joined)}
    return profiles, blocked


@settings(max_examples=15, deadline=None)
@given(batches=batches)
def test_partial_runs_equal_plain_reasoning_and_a_full_run(
    new_customers: Callable[[], Customers], batches: list[list[tuple]]
) -> None:
    customers = new_customers()
    customers.rules = RULES
    for batch in batches:
        customers.connection.execute("BEGIN")
        for operation in batch:
            carry_out(customers, operation)
        customers.connection.execute("COMMIT")
        customers.connection.execute("BEGIN")
        report = customers.resolve()
        customers.connection.execute("COMMIT")
        profiles, blocked = expected(customers)
        assert customers.partition() == profiles
        assert set(customers.rows("SELECT kind, value, records FROM customers.blocked_values")) == blocked
        assert (report.profiles, report.records) == (len(profiles), sum(map(len, profiles)))
        assert_ids_are_sound(customers)
    before = set(customers.rows("SELECT * FROM customers.members"))
    again = customers.resolve(full=True)
    assert (again.new, again.merged, again.split, again.removed, again.changed_profiles) == (0, 0, 0, 0, 0)
    assert set(customers.rows("SELECT * FROM customers.members")) == before
    customers.connection.close()


def assert_ids_are_sound(customers: Customers) -> None:
    """No id is made twice, and every alias stands for a living profile and lives no more itself."""
    assert not customers.rows(
        "SELECT profile_id FROM customers.profile_history WHERE change = 'new' GROUP BY profile_id HAVING count(*) > 1"
    )
    assert not customers.rows(
        """
        SELECT * FROM customers.profile_aliases
        WHERE profile_id NOT IN (SELECT profile_id FROM customers.members)
           OR alias_id IN (SELECT profile_id FROM customers.members)
        """
    )
    assert not customers.rows("SELECT alias_id FROM customers.profile_aliases GROUP BY alias_id HAVING count(*) > 1")
    assert not customers.rows("SELECT * FROM customers.profile_history WHERE change = 'merge' AND value IS NULL")


@settings(max_examples=8, deadline=None)
@given(batch=st.lists(write, min_size=1, max_size=20), order=st.randoms())
def test_the_order_of_writing_makes_no_difference(
    new_customers: Callable[[], Customers], batch: list[tuple], order: object
) -> None:
    last = {operation[1]: operation for operation in batch}
    results = []
    for shuffled in (False, True):
        operations = list(last.values())
        if shuffled:
            order.shuffle(operations)  # type: ignore[attr-defined]
        customers = new_customers()
        customers.rules = RULES
        for operation in operations:
            carry_out(customers, operation)
        customers.resolve(run_id="run")
        results.append(set(customers.rows("SELECT * FROM customers.members")))
        customers.connection.close()
    assert results[0] == results[1]


@settings(max_examples=20, deadline=None)
@given(edges=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=60))
def test_components_are_those_of_a_plain_search(
    new_customers: Callable[[], Customers], edges: list[tuple[int, int]]
) -> None:
    from millstream.state.identity.components import label_components

    connection = new_customers().connection
    connection.execute("CREATE TEMP TABLE resolve_edges (a BIGINT, b BIGINT)")
    if proper := [edge for edge in edges if edge[0] != edge[1]]:
        connection.executemany("INSERT INTO resolve_edges VALUES (?, ?)", proper)
    label_components(connection)
    labels = dict(connection.execute("SELECT node, label FROM resolve_labels").fetchall())
    expected_labels = {node: node for edge in proper for node in edge}
    for _ in expected_labels:
        for a, b in proper:
            expected_labels[a] = expected_labels[b] = min(expected_labels[a], expected_labels[b])
    assert labels == expected_labels
    connection.close()
