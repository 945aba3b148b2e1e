"""A store filled at once with what many made-up people did, for tests of predictions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from millstream.state.profiles.tables import create_profile_tables
from millstream.state.store import Connection, write_arrow
from millstream.state.traits.contract import Context
from millstream.state.traits.relations import Relations, Scope
from millstream.state.traits.rules import TraitRules

NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@dataclass
class Past:
    """What people did. ``did`` notes it, ``known`` opens a store that knows all of it."""

    rows: list[dict[str, object]] = field(default_factory=list)

    def did(
        self, profile_id: str, name: str, days_ago: float, *, value: float | None = None, **properties: object
    ) -> None:
        """An event, so many days before now; negative is after now."""
        self.rows.append(
            {
                "event_id": f"e{len(self.rows):07}",
                "record_id": f"r-{profile_id}",
                "name": name,
                "happened_at": NOW - days_ago * DAY,
                "value": value,
                "properties": json.dumps(properties),
            }
        )

    def bought(self, profile_id: str, days_ago: float, value: float = 20.0, **properties: object) -> None:
        """An order; ``products`` are those in it."""
        self.did(profile_id, "Order Completed", days_ago, value=value, **properties)

    def by_last_order(self) -> list[str]:
        """Who bought, the one whose last order is the oldest first."""
        last: dict[str, datetime] = {}
        for row in self.rows:
            name, at = str(row["record_id"])[2:], row["happened_at"]
            if row["name"] == "Order Completed" and isinstance(at, datetime):
                last[name] = max(at, last.get(name, at))
        return sorted(last, key=lambda name: last[name])

    def fill(self, connection: Connection) -> None:
        """Write everything to an empty store."""
        create_profile_tables(connection)
        schema = pa.schema(
            {
                "event_id": pa.string(),
                "record_id": pa.string(),
                "name": pa.string(),
                "happened_at": pa.timestamp("us", tz="UTC"),
                "value": pa.float64(),
                "properties": pa.string(),
            }
        )
        write_arrow(connection, "made_events", pa.Table.from_pylist(self.rows, schema))
        connection.execute(
            """
            DELETE FROM customers.events;
            DELETE FROM customers.members;
            INSERT INTO customers.events
            SELECT event_id, record_id, 'shop', 'events', name, name, happened_at, value, NULL, NULL, NULL,
                   CAST(properties AS JSON), 'planned', value, NULL
            FROM made_events;
            INSERT INTO customers.members SELECT DISTINCT record_id, substr(record_id, 3) FROM made_events;
            """
        )


@contextmanager
def known(
    connection: Connection, past: Past, inputs: Sequence[str], rules: TraitRules, as_of: datetime = NOW
) -> Iterator[Context]:
    """What a set of these inputs is given when it is computed."""
    past.fill(connection)
    relations = Relations(connection, Scope(rules, as_of))
    relations.provide(inputs)
    yield Context(connection=connection, as_of=as_of, rules=rules)
    relations.drop()


def shop(people: int = 900, *, days: int = 240, leaving: float = 0.006, seed: int = 1) -> Past:
    """Customers who differ in how often they buy and leave one day: how long ago they bought says not all.

    Half buy about every 8 days, half about every 60, and each is lost on a day with the chance ``leaving``. Those who
    are still there visit every few days.
    """
    chance = np.random.default_rng(seed)
    past = Past()
    for number in range(people):
        gap = 8.0 if number % 2 else 60.0
        lost = days - min(chance.exponential(1 / leaving), days)
        ago = float(chance.uniform(0, days))
        lost = min(lost, ago)
        past.bought(f"p{number:05}", ago, value=float(np.round(chance.gamma(3, 10), 2)))
        bought = ago - chance.exponential(gap)
        while bought > lost:
            past.bought(f"p{number:05}", bought, value=float(np.round(chance.gamma(3, 10), 2)))
            bought -= chance.exponential(gap)
        visited = ago - chance.exponential(6)
        while visited > lost:
            past.did(f"p{number:05}", "Page Viewed", visited)
            visited -= chance.exponential(6)
    return past


def noise(people: int = 900, *, days: int = 240, seed: int = 1) -> Past:
    """Customers who all buy alike and at random: nothing is to be learned of anybody."""
    chance = np.random.default_rng(seed)
    past = Past()
    for number in range(people):
        for ago in chance.uniform(0, days, 1 + chance.poisson(days / 40)):
            past.bought(f"p{number:05}", float(ago))
        for ago in chance.uniform(0, days, chance.poisson(5)):
            past.did(f"p{number:05}", "Page Viewed", float(ago))
    return past


def catalogue(people: int = 600, *, tastes: int = 6, each: int = 8, alike: float = 0.9, seed: int = 1) -> Past:
    """Customers who buy products of their own taste, and now and then one of another.

    With ``alike`` 0 everybody buys anything: what is bought together says nothing.
    """
    chance = np.random.default_rng(seed)
    past = Past()
    products = tastes * each
    popularity = chance.dirichlet(np.full(products, 2.0))
    for number in range(people):
        taste = number % tastes
        for order in range(1 + chance.poisson(3)):
            items = []
            for _ in range(1 + chance.poisson(1)):
                if chance.random() < alike:
                    item = taste * each + int(chance.integers(each))
                else:
                    item = int(chance.choice(products, p=popularity))
                items.append({"product_id": f"sku{item:02}", "name": f"Product {item}", "quantity": 1, "price": 5})
            past.bought(f"p{number:05}", float(chance.uniform(0, 300)), products=items, order_id=f"{number}-{order}")
    return past
