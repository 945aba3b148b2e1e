"""A store to which events are told row by row, as a source tells them; for tests of the tracking plan."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from millstream.state.identity.rules import IdentityRules
from millstream.state.model.build import ModelReport, build_model
from millstream.state.model.currency import CurrencyRules, keep_rates
from millstream.state.model.declarations import Event, Identifier, People
from millstream.state.model.plan_findings import PlanReport
from millstream.state.model.plan_report import report_on_plan
from millstream.state.model.tables import create_tables
from millstream.state.model.tracking_plan import TrackingPlan
from millstream.state.store import Connection, write_arrow

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
EVENTS = People(
    record="subject",
    identifiers=(Identifier(kind="user_id", column="who"),),
    events=(
        Event(
            at="at",
            name_column="name",
            value="value",
            currency="currency",
            channel="web",
            properties_from="properties",
        ),
    ),
)
TEXTS = ("id", "who", "name", "currency", "properties")


@dataclass(frozen=True)
class Stream:
    """A stream of events."""

    name: str = "events"
    primary_key: tuple[str, ...] = ("id",)
    people: People | None = EVENTS


@dataclass
class EventWorld:
    """A store, a plan and a currency. What is told is modelled at once."""

    connection: Connection
    plan: TrackingPlan = field(default_factory=TrackingPlan)
    currency: CurrencyRules | None = None
    root: Path = Path()
    source: str = "app"
    told: int = 0

    def tell(
        self,
        name: str,
        properties: Mapping[str, Any] | None = None,
        *,
        at: datetime = START,
        value: float | None = None,
        currency: str | None = None,
        times: int = 1,
    ) -> ModelReport:
        """Pull one event, some times over, and model it."""
        row = {"who": "u1", "name": name, "at": at, "value": value, "currency": currency}
        row["properties"] = json.dumps(properties or {})
        return self.tell_all([row] * times)

    def tell_all(self, rows: list[dict[str, Any]]) -> ModelReport:
        """Pull events and model them."""
        columns: dict[str, Any] = {name: pa.array([row.get(name) for row in rows], pa.string()) for name in TEXTS}
        columns["id"] = pa.array([str(self.told + number) for number in range(len(rows))])
        columns["value"] = pa.array([row.get("value") for row in rows], pa.float64())
        moments = pa.timestamp("us", tz="UTC")
        columns["at"] = pa.array([row.get("at", START) for row in rows], moments)
        self.told += len(rows)
        columns["_pulled_at"] = pa.array([START + timedelta(seconds=self.told)] * len(rows), moments)
        self.connection.execute(f"CREATE SCHEMA IF NOT EXISTS raw_{self.source}")
        write_arrow(self.connection, f"raw_{self.source}.events", pa.table(columns), temporary=False)
        return self.model()

    def model(self) -> ModelReport:
        """Bring the model up to date by the plan and the currency as they are."""
        create_tables(self.connection)
        keep_rates(self.connection, self.currency, root=self.root)
        return build_model(
            self.connection,
            self.source,
            [Stream()],
            plan=self.plan,
            rules=IdentityRules(),
            now=START,
            currency=self.currency,
        )

    def planned(self, events: Mapping[str, Any], *, standard_events: bool = False) -> None:
        """Have another plan."""
        self.plan = TrackingPlan.model_validate({"events": events, "standard_events": standard_events})

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        return self.connection.execute(query).fetchall()

    def stored(self) -> list[tuple[Any, ...]]:
        """All that the plan decides, in the order in which it was told."""
        return self.sql(
            """
            SELECT name, plan_status, violations FROM customers.events
            ORDER BY CAST(regexp_replace(regexp_replace(event_id, '^[^:]*:', ''), '#.*$', '') AS BIGINT)
            """
        )

    def report(self, **options: Any) -> PlanReport:
        """How the events stand to the plan."""
        return report_on_plan(self.connection, self.plan, converts=self.currency is not None, **options)
