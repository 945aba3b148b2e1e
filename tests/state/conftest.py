"""A real store with the customer model's tables, on each engine, and short ways to fill it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from millstream.state.identity import IdentityRules, ResolveReport, resolve
from millstream.state.identity.joining import hashed
from millstream.state.model.tables import create_tables
from millstream.state.sql import replaced
from millstream.state.store import Connection
from tests.engines import DuckDBEngine, Engine

START = datetime(2026, 1, 1, tzinfo=UTC)
REPLACE_RECORD = replaced(("record_id",), ("source", "stream", "source_key", "observed_at", "deleted", "modelled_at"))


@dataclass
class Customers:
    """Writes to the customer model as the model step does, with a clock that moves at each write."""

    connection: Connection
    now: datetime = START
    rules: IdentityRules = field(default_factory=IdentityRules)
    runs: int = 0

    def tick(self) -> datetime:
        self.now += timedelta(minutes=1)
        return self.now

    def record(
        self,
        record_id: str,
        *identifiers: tuple[str, str],
        deleted: bool = False,
        merges: bool = True,
        observed_at: datetime | None = None,
    ) -> str:
        """Insert or replace a record with these (kind, value) identifiers."""
        source, _, rest = record_id.partition(".")
        stream, _, key = rest.partition(":")
        now = self.tick()
        self.connection.execute("DELETE FROM customers.identifiers WHERE record_id = ?", [record_id])
        self.connection.execute(
            f"INSERT INTO customers.records VALUES (?, ?, ?, ?, ?, ?, ?) {REPLACE_RECORD}",
            [record_id, source, stream, key, observed_at or now, deleted, now],
        )
        for kind, value in identifiers:
            self.connection.execute(
                f"INSERT INTO customers.identifiers VALUES (?, ?, ?, ?, ?, ?, {hashed('?')}, {hashed('?')})",
                [record_id, kind, value, value, merges, value, record_id, value],
            )
        return record_id

    def touch(self, record_id: str) -> None:
        self.connection.execute(
            "UPDATE customers.records SET modelled_at = ? WHERE record_id = ?", [self.tick(), record_id]
        )

    def delete(self, record_id: str) -> None:
        self.connection.execute("UPDATE customers.records SET deleted = TRUE WHERE record_id = ?", [record_id])
        self.touch(record_id)

    def erase(self, record_id: str) -> None:
        for table in ("records", "identifiers"):
            self.connection.execute(f"DELETE FROM customers.{table} WHERE record_id = ?", [record_id])

    def trait(
        self, record_id: str, name: str, value: object, type_: str = "text", observed_at: datetime | None = None
    ) -> None:
        self.connection.execute(
            "INSERT INTO customers.traits VALUES (?, ?, ?, ?, ?)",
            [record_id, name, str(value), type_, observed_at or self.tick()],
        )
        self.touch(record_id)

    def event(
        self,
        record_id: str,
        name: str,
        happened_at: datetime,
        *,
        value: float | None = None,
        channel: str | None = None,
        campaign: str | None = None,
        **properties: object,
    ) -> None:
        source, _, rest = record_id.partition(".")
        self.connection.execute(
            "INSERT INTO customers.events VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, ?, ?, ?, 'planned', ?, NULL)",
            [
                f"e{self.tick().timestamp()}", record_id, source, rest.partition(":")[0], name, name, happened_at,
                value, channel, campaign, json.dumps(properties), value,
            ],
        )  # fmt: skip
        self.touch(record_id)

    def consent(self, record_id: str, channel: str, status: str, topic: str = "marketing") -> None:
        self.connection.execute(
            "INSERT INTO customers.consents VALUES (?, ?, ?, ?, ?)", [record_id, channel, topic, status, self.tick()]
        )
        self.touch(record_id)

    def resolve(self, *, full: bool = False, run_id: str | None = None) -> ResolveReport:
        self.runs += 1
        return resolve(self.connection, self.rules, run_id=run_id or f"run-{self.runs}", now=self.tick(), full=full)

    def profile(self, record_id: str) -> str | None:
        row = self.connection.execute(
            "SELECT profile_id FROM customers.members WHERE record_id = ?", [record_id]
        ).fetchone()
        return None if row is None else str(row[0])

    def partition(self) -> set[frozenset[str]]:
        rows = self.connection.execute("SELECT profile_id, record_id FROM customers.members").fetchall()
        profiles: dict[str, set[str]] = {}
        for profile_id, record_id in rows:
            profiles.setdefault(profile_id, set()).add(record_id)
        return {frozenset(records) for records in profiles.values()}

    def rows(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        return self.connection.execute(sql, list(values)).fetchall()


def open_customers(engine: Engine | None = None) -> Customers:
    """An empty store, in memory if no engine is named."""
    connection = (engine or DuckDBEngine()).connection()
    create_tables(connection)
    return Customers(connection)


@pytest.fixture
def customers(engine: Engine) -> Iterator[Customers]:
    made = open_customers(engine)
    yield made
    made.connection.close()


@pytest.fixture(scope="session")
def new_customers(engine: Engine) -> Callable[[], Customers]:
    """Opens an empty store; for property tests, which need one for each example."""
    return lambda: open_customers(engine)
