"""Every statement from resolving to selecting can be written in the dialects of other warehouses."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

import pytest
import sqlglot
from sqlglot import ErrorLevel, exp

from millstream.state.audiences import Audience, select_audiences, why
from millstream.state.identity import IdentityRules, explain_profile, find_profiles, resolve
from millstream.state.profiles import SurvivorshipRules, TraitRule, build_profiles
from tests.state.conftest import Customers, open_customers

if TYPE_CHECKING:
    from millstream.state.store import Connection

AS_OF = datetime(2026, 6, 1, tzinfo=UTC)
RULE = {
    "all": [
        {"trait": "city", "contains": "Oslo", "not_in": ["Rome"]},
        {"trait": "visits", "at_least": 0, "top_percent": 10},
        {"trait": "sources", "contains": "a"},
        {"event": "Order", "where": {"size": 1}, "within": "30d", "count": {"at_least": 1}, "did": False},
        {"event": ["Order", "Visit"], "before": "2026-01-31", "after": "90d", "value": {"at_least": 1}},
        {
            "sequence": [
                {"event": "Visit"},
                {"event": "Order", "within": "2d", "where": {"size": 1}},
                {"event": "Return", "within": "9d", "did": False},
            ],
            "within": "30d",
            "in_total": "7d",
        },
        {"consent": "email"},
        {"identifier": "email"},
        {"not_audience": "other"},
        {"looks_like": {"audience": "other", "size": 5, "by": ["visits", "city"]}},
    ]
}


class Recording:
    """A connection that keeps what was asked of it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.statements: dict[str, None] = {}

    def execute(self, sql: str, values: object = None) -> object:
        self.statements[sql] = None
        return self.connection.execute(sql, values) if values else self.connection.execute(sql)

    def __getattr__(self, name: str) -> object:
        return getattr(self.connection, name)

    def executemany(self, sql: str, values: object) -> object:
        self.statements[sql] = None
        return self.connection.executemany(sql, values)


def statements_of_a_life(customers: Customers) -> list[str]:
    """All statements of a few runs with a merge and a split, and of the questions people ask."""
    recording = Recording(customers.connection)
    connection = cast("Connection", recording)
    bridge, address, number = "b.contacts:1", ("email", "a@box.example"), ("phone", "+491510000001")
    customers.record("a.contacts:1", address)
    customers.record("c.contacts:1", number)
    customers.trait("a.contacts:1", "city", "Oslo")
    customers.trait("a.contacts:1", "visits", 1, "number")
    audiences = {
        "tried": Audience.model_validate({"rule": RULE}),
        "other": Audience(sql="SELECT profile_id FROM customers.profiles"),
    }
    for identifiers in ((), (address, number), ()):
        customers.record(bridge, *identifiers)
        resolve(connection, IdentityRules(), run_id="run", now=customers.tick())
        survivorship = SurvivorshipRules(sources=("a",), traits={"city": TraitRule(strategy="most_frequent")})
        build_profiles(connection, survivorship, now=customers.tick())
        select_audiences(connection, audiences, run_id="run", as_of=AS_OF)
    profile_id = str(customers.profile("a.contacts:1"))
    why(connection, audiences["tried"], profile_id, as_of=AS_OF)
    explain_profile(connection, profile_id)
    find_profiles(connection, address[1])
    return list(recording.statements)


@pytest.mark.parametrize("dialect", ["postgres", "redshift", "snowflake", "bigquery", "databricks", "clickhouse"])
def test_statements_can_be_transpiled(dialect: str) -> None:
    statements = statements_of_a_life(open_customers())
    assert len(statements) > 100
    for sql in statements:
        parsed = [tree for tree in sqlglot.parse(sql, read="duckdb") if tree is not None]
        assert not any(isinstance(tree, exp.Command) for tree in parsed), sql
        for tree in parsed:
            tree.sql(dialect=dialect, unsupported_level=ErrorLevel.RAISE)
