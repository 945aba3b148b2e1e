"""Hashes that resolve looks for identifiers by: they are always there, and two texts may have one."""

from __future__ import annotations

import pytest

from millstream.state.identity import scope, touched
from millstream.state.identity.joining import hashed
from millstream.state.model.tables import create_tables
from tests.state import conftest
from tests.state.conftest import Customers

ANA, BOB = ("email", "ana@box.example"), ("email", "bob@box.example")


@pytest.fixture
def two_people(customers: Customers) -> Customers:
    customers.record("a.contacts:1", ANA)
    customers.record("b.contacts:1", BOB)
    assert customers.resolve().profiles == 2
    return customers


def join_them(customers: Customers) -> None:
    """A new record makes one person of two who are there; nobody's hashes are missing or wrong afterwards."""
    customers.record("c.contacts:1", ANA, BOB)
    report = customers.resolve()
    assert (report.profiles, report.merged) == (1, 1)
    wrong = f"record_hash IS DISTINCT FROM {hashed('record_id')} OR value_hash IS DISTINCT FROM {hashed('value')}"
    assert customers.rows(f"SELECT * FROM customers.identifiers WHERE {wrong}") == []


@pytest.mark.parametrize("version", [2, 3])
def test_a_store_of_a_version_without_them_gets_them(two_people: Customers, version: int) -> None:
    for column in ("record_hash", "value_hash"):
        two_people.connection.execute(f"ALTER TABLE customers.identifiers DROP COLUMN {column}")
    two_people.connection.execute("DROP TABLE customers.hashed_by")
    if version == 2:
        for column in ("value_base", "violations"):
            two_people.connection.execute(f"ALTER TABLE customers.events DROP COLUMN {column}")
    two_people.connection.execute("UPDATE customers.model_version SET version = ?", [version])
    create_tables(two_people.connection)
    join_them(two_people)


def test_rows_that_came_without_them_get_them(two_people: Customers) -> None:
    two_people.connection.execute(
        "UPDATE customers.identifiers SET record_hash = NULL, value_hash = NULL WHERE record_id = 'b.contacts:1'"
    )
    join_them(two_people)


def test_an_engine_that_hashes_in_another_way_makes_them_anew(two_people: Customers) -> None:
    two_people.connection.execute("UPDATE customers.identifiers SET record_hash = 1, value_hash = 2")
    two_people.connection.execute("UPDATE customers.hashed_by SET probe = 'of another version'")
    join_them(two_people)


def test_what_is_there_is_not_worked_out_again(customers: Customers) -> None:
    customers.record("a.contacts:1", ANA)
    customers.connection.execute("UPDATE customers.identifiers SET record_hash = 1")
    for _ in range(2):
        customers.resolve()
        customers.record("b.contacts:1", BOB)
    assert customers.rows("SELECT record_hash FROM customers.identifiers WHERE record_id = 'a.contacts:1'") == [(1,)]


def test_what_has_one_hash_is_not_one(two_people: Customers, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (conftest, scope, touched):
        monkeypatch.setattr(module, "hashed", lambda text: f"CAST(length({text}) * 0 AS INTEGER)")
    two_people.connection.execute("UPDATE customers.identifiers SET record_hash = 0, value_hash = 0")
    two_people.record("c.contacts:1", ANA)
    assert two_people.resolve().profiles == 2
    assert two_people.partition() == {frozenset({"a.contacts:1", "c.contacts:1"}), frozenset({"b.contacts:1"})}
