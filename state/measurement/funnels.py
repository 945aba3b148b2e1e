"""Funnels: how many people took the first step, then the second, and so on, within a time.

People may start over as often as they like; the way that leads them furthest counts. For each event that is a step,
``reached_k`` is the latest start of a way on which it is step k: that of the step before it, strictly earlier. A later
start is never worse, since it leaves more of the time, so no other has to be remembered.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from millstream.state.audiences.nodes import EventFilter
from millstream.state.measurement.chosen import called, chosen_together, hours
from millstream.state.measurement.rules import Funnel

if TYPE_CHECKING:
    from millstream.state.store import Connection
    from millstream.state.traits.rules import TraitRules

_SHOP = ("Product Viewed", "Product Added", "Checkout Started")


def funnels_of(declared: Mapping[str, Funnel] | None, rules: TraitRules, happened: set[str]) -> Mapping[str, Funnel]:
    """The project's funnels; where it declares none, that of a shop, of those of its steps that ever happened."""
    if declared is not None:
        return declared
    steps = [name for name in (*_SHOP, rules.purchases[0]) if name in happened]
    return {"shop": Funnel(steps=tuple(EventFilter(event=name) for name in steps))} if len(steps) > 1 else {}


def measure_funnel(connection: Connection, name: str, funnel: Funnel, *, as_of: datetime) -> list[int]:
    """Add a funnel to ``customers.funnels``.

    Args:
        connection: An open store.
        name: The funnel's name.
        funnel: Its steps.
        as_of: The time of the run.

    Returns:
        How many people reached each step.
    """
    events = chosen_together(
        funnel.steps,
        as_of,
        lambda meant: ", ".join(
            ["profile_id", "happened_at", *(f"{step} AS step_{number}" for number, step in enumerate(meant, 1))]
        ),
        since=as_of - timedelta(days=funnel.days),
    )
    within = hours(funnel.within)
    way = f"SELECT *, CASE WHEN step_1 THEN happened_at END AS reached_1 FROM ({events.sql}) AS steps"
    for number in range(2, len(funnel.steps) + 1):
        way = _one_more(way, number, within)
    counted = ", ".join(
        f"count(DISTINCT CASE WHEN reached_{number} IS NOT NULL THEN profile_id END)"
        for number in range(1, len(funnel.steps) + 1)
    )
    row = connection.execute(f"SELECT {counted} FROM ({way}) AS ways", list(events.values)).fetchone() or ()
    people = [int(count) for count in row]
    for number, (step, count) in enumerate(zip(funnel.steps, people, strict=True), 1):
        connection.execute(
            "INSERT INTO customers.funnels VALUES (?, ?, ?, ?, ?)", [as_of, name, number, called(step), count]
        )
    return people


def _one_more(way: str, number: int, within: str) -> str:
    """The events with ``reached_<number>``, after those of the step before."""
    return f"""
        SELECT *, CASE WHEN step_{number} AND earlier_{number} >= happened_at - {within}
                       THEN earlier_{number} END AS reached_{number}
        FROM (
            SELECT *, max(reached_{number - 1}) OVER (
                PARTITION BY profile_id ORDER BY happened_at GROUPS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ) AS earlier_{number}
            FROM ({way}) AS way_{number - 1}
        ) AS before_{number}
        """
