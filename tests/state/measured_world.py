"""A made-up shop's people and events, written into the customer model, and told to pandas as they are."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandas as pd
import pyarrow as pa

from millstream.state.measurement.lift import Comparison
from millstream.state.measurement.measure import Measured, measure
from millstream.state.measurement.rules import MeasurementRules
from millstream.state.measurement.tables import create_measurement_tables
from millstream.state.store import Connection, write_arrow
from millstream.state.traits.rules import TraitRules

AS_OF = datetime(2026, 6, 10, 15, tzinfo=UTC)
ZONE = "America/New_York"
DOINGS = ("Page Viewed", "Product Viewed", "Product Added", "Checkout Started", "Email Sent", "Email Opened")


@dataclass
class Event:
    """Something that somebody did, or that happened to them."""

    who: str
    name: str
    at: datetime
    value: float | None = None
    channel: str | None = None
    campaign: str | None = None
    properties: dict[str, Any] = field(default_factory=dict)


@dataclass
class World:
    """A store; what is told to it is measured by ``measure``."""

    connection: Connection
    rules: MeasurementRules = field(default_factory=MeasurementRules)
    traits: TraitRules = field(default_factory=lambda: TraitRules(timezone=ZONE, lapsed_days=40))
    told: int = 0

    def __post_init__(self) -> None:
        create_measurement_tables(self.connection)

    def people(self, first_seen: dict[str, datetime], **columns: Sequence[object]) -> None:
        """Profiles, each with one record."""
        ids = list(first_seen)
        moments = pa.timestamp("us", tz="UTC")
        whole = {
            "profile_id": pa.array(ids),
            "first_seen": pa.array(list(first_seen.values()), moments),
            **{name: pa.array(list(values), pa.string()) for name, values in columns.items()},
        }
        self._insert("customers.profiles", pa.table(whole))
        self._insert("customers.members", pa.table({"record_id": [f"r.{one}" for one in ids], "profile_id": ids}))

    def events(self, events: Sequence[Event]) -> None:
        """Events, as a source tells them."""
        numbers = range(self.told, self.told + len(events))
        self.told += len(events)
        rows = {
            "event_id": [f"e{number:06}" for number in numbers],
            "record_id": [f"r.{one.who}" for one in events],
            "source": ["app"] * len(events),
            "stream": ["events"] * len(events),
            "name": [one.name for one in events],
            "original_name": [one.name for one in events],
            "happened_at": pa.array([one.at for one in events], pa.timestamp("us", tz="UTC")),
            "value": pa.array([one.value for one in events], pa.float64()),
            "channel": pa.array([one.channel for one in events], pa.string()),
            "campaign": pa.array([one.campaign for one in events], pa.string()),
            "properties": [json.dumps(one.properties) for one in events],
            "plan_status": ["planned"] * len(events),
            "value_base": pa.array([one.value for one in events], pa.float64()),
        }
        self._insert("customers.events", pa.table(rows), json_columns=("properties",))

    def _insert(self, table: str, rows: pa.Table, *, json_columns: Sequence[str] = ()) -> None:
        write_arrow(self.connection, "told", rows)
        names = [f'"{name}"' for name in rows.column_names]
        values = [f"CAST({name} AS JSON)" if name.strip('"') in json_columns else name for name in names]
        self.connection.execute(f"INSERT INTO {table} ({', '.join(names)}) SELECT {', '.join(values)} FROM told")
        self.connection.execute("DROP TABLE told")

    def enter(self, audience: str, people: dict[str, datetime]) -> None:
        """Stays in an audience."""
        rows = {
            "audience": [audience] * len(people),
            "profile_id": list(people),
            "entered_at": pa.array(list(people.values()), pa.timestamp("us", tz="UTC")),
            "entered_run": ["run"] * len(people),
            "rule_fingerprint": ["x"] * len(people),
            "reason": ["meets the rule"] * len(people),
        }
        self._insert("customers.memberships", pa.table(rows))

    def measure(self, *comparisons: Comparison, as_of: datetime = AS_OF, full: bool = False) -> Measured:
        """A run."""
        return measure(self.connection, self.rules, self.traits, comparisons, as_of=as_of, full=full)

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        return self.connection.execute(sql, list(values)).fetchall()

    def figure(self, name: str) -> dict[date, float | None]:
        """The days of a figure."""
        return dict(self.rows("SELECT day, value FROM customers.figures WHERE figure = ? ORDER BY day", name))


def shop(seed: int = 7, people: int = 60, events: int = 2_500) -> tuple[dict[str, datetime], list[Event]]:
    """People and what they did in the 120 days up to ``AS_OF``, at times that fall on other days in other zones."""
    draw = random.Random(seed)
    begin = AS_OF - timedelta(days=120)
    seen = {f"p{number:03}": begin + timedelta(minutes=draw.randrange(110 * 1440)) for number in range(people)}
    told = []
    for _ in range(events):
        who = draw.choice(list(seen))
        at = seen[who] + (AS_OF - seen[who]) * draw.random() ** 1.5
        told.append(Event(who, draw.choice(DOINGS), at.replace(microsecond=0)))
    for number in range(people * 3):
        who = f"p{draw.randrange(people // 2):03}"
        at = seen[who] + (AS_OF - seen[who]) * draw.random()
        order = {"order_id": f"o{number // 2 if number % 10 == 0 else number}"}
        value = None if draw.random() < 0.1 else round(draw.uniform(5, 200), 2)
        told.append(Event(who, "Order Completed", at.replace(microsecond=0), value=value, properties=order))
        if draw.random() < 0.1:
            told.append(Event(who, "Order Cancelled", at + timedelta(hours=1), properties=order))
    for _ in range(people):
        who = draw.choice(list(seen))
        at = seen[who] + (AS_OF - seen[who]) * draw.random()
        told.append(Event(who, "Survey Responded", at, properties={"nps_score": draw.randrange(11)}))
    return seen, [one for one in told if one.at <= AS_OF]


def frame(events: Sequence[Event]) -> pd.DataFrame:
    """Events as pandas has them, with their day in ``ZONE``."""
    made = pd.DataFrame([vars(one) | {"number": number} for number, one in enumerate(events)])
    made["at"] = pd.to_datetime(made["at"], utc=True)
    made["day"] = made["at"].dt.tz_convert(ZONE).dt.date
    return made
