"""Journeys: what people did before they reached a goal, as the most frequent sequences of events."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from millstream.state.audiences.nodes import EventFilter
from millstream.state.measurement.chosen import called, chosen, hours
from millstream.state.measurement.rules import Journey
from millstream.state.spans import timespan

if TYPE_CHECKING:
    from millstream.state.store import Connection
    from millstream.state.traits.rules import TraitRules

ARROW = " > "


def journeys_of(declared: Mapping[str, Journey] | None, rules: TraitRules, happened: set[str]) -> Mapping[str, Journey]:
    """The project's journeys; where it declares none, those to a purchase, if anybody ever bought."""
    if declared is not None:
        return declared
    goal = rules.purchases[0]
    return {"to_purchase": Journey(goal=EventFilter(event=goal))} if goal in happened else {}


def measure_journey(connection: Connection, name: str, journey: Journey, *, as_of: datetime) -> None:
    """Add the most frequent sequences to ``customers.journeys``.

    Each person counts once, with the way to the last time they reached the goal; it begins after the time before, and
    is of what they did themselves. An event again and again is told once.

    Args:
        connection: An open store, with the relation ``behaviour``.
        name: The journey's name.
        journey: Its goal.
        as_of: The time of the run.
    """
    goal = chosen(journey.goal, as_of)
    within = hours(journey.within)
    reached_since = as_of - timedelta(days=journey.days)
    passed = ", ".join("?" for _ in journey.leave_out)
    left_out = f"AND step.name NOT IN ({passed})" if passed else ""
    connection.execute(
        f"""
        INSERT INTO customers.journeys (as_of, journey, path, people)
        WITH goals AS (
            SELECT profile_id, happened_at AS goal_at, lag(happened_at) OVER turns AS before_at,
                   lead(happened_at) OVER turns AS again_at
            FROM (SELECT DISTINCT profile_id, happened_at FROM ({goal.sql}) AS reached) AS moments
            WINDOW turns AS (PARTITION BY profile_id ORDER BY happened_at)
        ), lasts AS (
            SELECT profile_id, goal_at, greatest(coalesce(before_at, goal_at - {within}),
                                                 goal_at - {within}) AS since
            FROM goals WHERE again_at IS NULL AND goal_at > CAST(? AS TIMESTAMPTZ)
        ), steps AS (
            SELECT lasts.profile_id, step.name, step.happened_at, step.event_id,
                   lag(step.name) OVER (
                       PARTITION BY lasts.profile_id ORDER BY step.happened_at, step.event_id) AS earlier
            FROM lasts JOIN behaviour AS step ON step.profile_id = lasts.profile_id
            WHERE step.happened_at > CAST(? AS TIMESTAMPTZ)
              AND step.happened_at > lasts.since AND step.happened_at < lasts.goal_at {left_out}
        ), ranked AS (
            SELECT profile_id, name, happened_at, event_id,
                   row_number() OVER (PARTITION BY profile_id ORDER BY happened_at DESC, event_id DESC) AS back
            FROM steps WHERE earlier IS NULL OR earlier <> name
        ), ways AS (
            SELECT profile_id, string_agg(name, '{ARROW}' ORDER BY happened_at, event_id) AS way
            FROM ranked WHERE back <= {int(journey.events)} GROUP BY profile_id
        )
        SELECT CAST(? AS TIMESTAMPTZ), ?, coalesce(ways.way || '{ARROW}', '') || ? AS path, count(*) AS people
        FROM lasts LEFT JOIN ways ON ways.profile_id = lasts.profile_id
        GROUP BY path ORDER BY people DESC, path LIMIT {int(journey.top)}
        """,
        [
            *goal.values, reached_since, reached_since - timespan(journey.within), *journey.leave_out, as_of, name,
            called(journey.goal),
        ],
    )  # fmt: skip
