"""Campaign lift and experiments: groups made by chance, and what their people did after they entered an audience.

Groups are compared as they were meant (intention to treat): who belongs to which is told by the audience's
memberships and the salted hash alone, whatever became of the message. Somebody's time begins when they entered, or
with the campaign if they were a member already; only people whose time is over count.

People whom the sync kept back for want of consent, or by the suppression list, when their time began would never have
been addressed. They are left out of both groups: those reasons are looked at before holdouts are, so they do not
depend on the group. What people did to their consent later might, and does not count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from millstream.state.audiences.compiling.query import Compiled
from millstream.state.audiences.nodes import EventFilter
from millstream.state.measurement.chosen import chosen, hours
from millstream.state.measurement.comparing import Group, Kind, Lift, compare
from millstream.state.measurement.statistics import Sample
from millstream.state.spans import timespan

if TYPE_CHECKING:
    from millstream.state.store import Connection

HELD_OUT, ADDRESSED = "held out", "addressed"
_SENT = ("completed", "partial", "waiting")
"""How runs end that have sent what there was."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What is to be compared.

    Attributes:
        name: The sync, ``audience <name>``, or the experiment.
        kind: What it is.
        audience: Whose members take part.
        groups: The groups and their planned shares; the first is the control group.
        group_sql: The group of ``person.profile_id``, as SQL.
        goal: The event that counts; None for a purchase.
        goal_name: What it is called.
        within: How long it counts.
        sync: The sync that addresses people; it says when the campaign began and who could not be addressed.
        begins: The campaign began then; with a sync, no earlier than its first run.
        ends: Who entered from then on takes no part.
    """

    name: str
    kind: Kind
    audience: str
    groups: Mapping[str, float]
    group_sql: str
    goal: EventFilter | None
    goal_name: str
    within: str
    sync: str | None = None
    begins: datetime | None = None
    ends: datetime | None = None


def measure_lift(
    connection: Connection, comparison: Comparison, *, as_of: datetime, days: int, at_least_people: int
) -> list[Lift]:
    """Compare the groups; nothing where a sync has never sent yet.

    Args:
        connection: An open store, with the relations ``events`` and ``purchases``.
        comparison: What to compare.
        as_of: The time of the run, aware.
        days: Only people whose time began in the last so many days.
        at_least_people: Of each group, for a difference to be shown.
    """
    began = comparison.begins
    if comparison.sync is not None:
        first = _first_run(connection, comparison.sync)
        if first is None:
            return []
        began = max(first, began or first)
    _find_people(connection, comparison, began, as_of, as_of - timedelta(days=days))
    groups = _groups(connection, comparison, as_of)
    connection.execute("DROP TABLE lift_people")
    return compare(
        groups,
        name=comparison.name,
        kind=comparison.kind,
        goal=comparison.goal_name,
        window_days=timespan(comparison.within) / timedelta(days=1),
        at_least_people=at_least_people,
    )


def _first_run(connection: Connection, sync: str) -> datetime | None:
    marks = ", ".join("?" for _ in _SENT)
    row = connection.execute(
        f"SELECT min(started_at) FROM delivery.runs WHERE sync = ? AND status IN ({marks})", [sync, *_SENT]
    ).fetchone()
    return row[0] if row else None


def _find_people(
    connection: Connection, comparison: Comparison, began: datetime | None, as_of: datetime, oldest: datetime
) -> None:
    """``lift_people (profile_id, grouped, started_at)``: who takes part and whose time is over."""
    begins = began or datetime(1, 1, 1, tzinfo=UTC)
    values: list[object] = [begins, comparison.audience, begins]
    conditions, more = "", list[object]()
    if comparison.ends is not None:
        conditions += " AND stay.entered_at < CAST(? AS TIMESTAMPTZ)"
        values.append(comparison.ends)
    if comparison.sync is not None:
        more = [comparison.sync, begins]
    unaddressed = f"AND person.profile_id NOT IN ({_UNADDRESSED})" if comparison.sync is not None else ""
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE lift_people AS
        WITH entered AS (
            SELECT stay.profile_id, min(greatest(stay.entered_at, CAST(? AS TIMESTAMPTZ))) AS started_at
            FROM customers.memberships AS stay
            JOIN customers.profiles AS profile ON profile.profile_id = stay.profile_id
            WHERE stay.audience = ? AND (stay.left_at IS NULL OR stay.left_at > CAST(? AS TIMESTAMPTZ)){conditions}
            GROUP BY stay.profile_id
        )
        SELECT person.profile_id, {comparison.group_sql} AS grouped, person.started_at
        FROM entered AS person
        WHERE person.started_at BETWEEN CAST(? AS TIMESTAMPTZ) AND CAST(? AS TIMESTAMPTZ) {unaddressed}
        """,
        [*values, oldest, as_of - timespan(comparison.within), *more],
    )


_UNADDRESSED = """
    SELECT profile_id FROM (
        SELECT profile_id, operation, reason,
               row_number() OVER (PARTITION BY profile_id ORDER BY settled_at, operation, match_value) AS rank
        FROM delivery.outcomes
        WHERE sync = ? AND settled_at >= CAST(? AS TIMESTAMPTZ) AND profile_id IS NOT NULL
    ) AS outcome
    WHERE rank = 1 AND operation = 'hold' AND (reason LIKE 'consent%' OR reason LIKE 'suppression list%')
"""
"""Whom the first thing that is known of a sync says that they may not be addressed."""


def _groups(connection: Connection, comparison: Comparison, as_of: datetime) -> list[Group]:
    if comparison.goal is None:
        goals = Compiled("SELECT profile_id, happened_at, value FROM purchases")
    else:
        events = chosen(comparison.goal, as_of)
        goals = Compiled(
            f"SELECT profile_id, happened_at, value_base AS value FROM ({events.sql}) AS chosen", events.values
        )
    rows = connection.execute(
        f"""
        WITH goals AS ({goals.sql}), reached AS (
            SELECT person.profile_id, coalesce(sum(goal.value), 0) AS value
            FROM lift_people AS person JOIN goals AS goal ON goal.profile_id = person.profile_id
            WHERE goal.happened_at > person.started_at
              AND goal.happened_at <= person.started_at + {hours(comparison.within)}
            GROUP BY person.profile_id
        )
        SELECT person.grouped, count(*), count(reached.profile_id), avg(coalesce(reached.value, 0)),
               coalesce(var_samp(coalesce(reached.value, 0)), 0)
        FROM lift_people AS person LEFT JOIN reached ON reached.profile_id = person.profile_id
        GROUP BY person.grouped
        """,
        list(goals.values),
    ).fetchall()
    found = {
        str(name): (int(people), int(converted), mean, variance) for name, people, converted, mean, variance in rows
    }
    groups = []
    for name, planned in comparison.groups.items():
        people, converted, mean, variance = found.get(name, (0, 0, 0.0, 0.0))
        sample = Sample(people, float(mean), float(variance))
        groups.append(Group(name=name, planned=planned, people=people, converted=converted, value=sample))
    return groups
