"""How much of what is known of people was confirmed recently enough to be believed.

Values go stale while nothing happens, so that staleness is never written down: ``customers.profile_traits`` works it
out from the time a value was last confirmed and from ``customers.trait_lifetimes``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from millstream.state.profiles.columns import FIXED, LIST, existing_columns
from millstream.state.profiles.rules import CONTACTS

if TYPE_CHECKING:
    from millstream.state.profiles.rules import SurvivorshipRules
    from millstream.state.store import Connection


@dataclass(frozen=True)
class TraitFreshness:
    """How fresh a trait's values are.

    Attributes:
        trait: The column of ``customers.profiles``.
        lifetime_days: For how long a value is believed after it was last said; None is for ever.
        profiles: Profiles that have a value.
        fresh: Those of them whose value was said within its lifetime; of several values one is enough.
    """

    trait: str
    lifetime_days: int | None
    profiles: int
    fresh: int

    @property
    def share(self) -> float:
        """The fresh part of the profiles, between 0 and 1."""
        return self.fresh / self.profiles


def measure_freshness(
    connection: Connection, rules: SurvivorshipRules, *, kinds: Mapping[str, int | None], now: datetime
) -> tuple[TraitFreshness, ...]:
    """Write down the lifetimes in force, and count in ``customers.trait_freshness`` what is fresh now.

    Args:
        connection: The open store.
        rules: Which lifetimes there are.
        kinds: Lifetimes of kinds of identifiers.
        now: The time of the run, aware.
    """
    columns = existing_columns(connection)
    # The fixed columns have no origin, save the contacts.
    traits = [*CONTACTS, *(name for name in columns if name not in FIXED)]
    connection.execute("DELETE FROM customers.trait_lifetimes")
    connection.executemany(
        "INSERT INTO customers.trait_lifetimes VALUES (?, ?)", [(name, rules.lifetime(name, kinds)) for name in traits]
    )
    rows = connection.execute(
        f"""
        SELECT latest.name, lifetime.lifetime_days, count(*),
               count(CASE WHEN lifetime.fresh_after IS NULL OR latest.confirmed_at > lifetime.fresh_after THEN 1 END)
        FROM {_latest(LIST in (columns[name] for name in traits))} AS latest
        JOIN (SELECT name, lifetime_days,
                     CAST(? AS TIMESTAMPTZ) - lifetime_days * INTERVAL '1' DAY AS fresh_after
              FROM customers.trait_lifetimes) AS lifetime ON lifetime.name = latest.name
        GROUP BY latest.name, lifetime.lifetime_days ORDER BY latest.name
        """,
        [now],
    ).fetchall()
    found = tuple(TraitFreshness(*row) for row in rows)
    if found:
        connection.executemany(
            "INSERT INTO customers.trait_freshness VALUES (?, ?, ?, ?, ?, ?)",
            [(now, each.trait, each.lifetime_days, each.profiles, each.fresh, each.share) for each in found],
        )
    return found


def _latest(lists: bool) -> str:
    """One row for each trait of a profile; where there are lists, that of the value confirmed last."""
    origins = "customers.profile_traits_origin"
    if not lists:
        return origins
    return f"(SELECT profile_id, name, max(confirmed_at) AS confirmed_at FROM {origins} GROUP BY profile_id, name)"
