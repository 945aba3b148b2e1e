"""Figures by day as arrays: SQL counts what happened on each day, sums over days are made here.

How many different people were seen in the last N days cannot be added up from single days. But each day on which
somebody was seen stretches over the N days from it on, up to the next one: so the first of those days counts one
more, and the day after the last one less (``stretches``), and the sums of those are the numbers asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from millstream.state.sql import literal

if TYPE_CHECKING:
    from millstream.state.store import Connection

Numbers = npt.NDArray[np.float64]
LONGEST_WINDOW = 366


def day_sql(timezone: str, moment: str = "happened_at") -> str:
    """The day of a time in a zone, as SQL."""
    return f"CAST({moment} AT TIME ZONE {literal(timezone)} AS DATE)"


@dataclass(frozen=True)
class Calendar:
    """The days that are looked at.

    Attributes:
        first: The first day of which figures are told.
        last: The last one: today.
    """

    first: date
    last: date

    @property
    def begin(self) -> date:
        """Where counting starts, so that windows are whole on the first day."""
        return self.first - timedelta(days=LONGEST_WINDOW)

    def days(self) -> list[date]:
        """The days of which figures are told."""
        return [self.first + timedelta(days=number) for number in range((self.last - self.first).days + 1)]

    def dense(self, counted: Iterable[tuple[date, float | None]]) -> Numbers:
        """A number for each day from ``begin`` on; what was before stands on that day, for sums over all time."""
        numbers = np.zeros((self.last - self.begin).days + 1)
        for day, value in counted:
            if value is not None and day <= self.last:
                numbers[max((day - self.begin).days, 0)] += value
        return numbers

    def told(self, numbers: Numbers) -> Numbers:
        """The part of the days of which figures are told."""
        part: Numbers = numbers[LONGEST_WINDOW:]
        return part


def to_date(numbers: Numbers) -> Numbers:
    """Sums over all days up to each one."""
    sums: Numbers = np.cumsum(numbers)
    return sums


def over(numbers: Numbers, days: int) -> Numbers:
    """Sums over so many days up to each one; not differences of running sums, which leave crumbs where 0 belongs."""
    padded = np.concatenate([np.zeros(days - 1), numbers])
    sums: Numbers = np.lib.stride_tricks.sliding_window_view(padded, days).sum(axis=1)
    return sums


def counts(
    connection: Connection, query: str, values: Sequence[object] = ()
) -> list[tuple[tuple[date, float | None], ...]]:
    """What a query counts by day: for each of its columns after ``day``, pairs of day and number."""
    cursor = connection.execute(query, list(values))
    columns = len(cursor.description or ()) - 1
    rows = cursor.fetchall()
    return [tuple((row[0], row[number]) for row in rows) for number in range(1, columns + 1)]


def seen_days(connection: Connection, table: str, query: str, values: Sequence[object] = ()) -> None:
    """Make a temporary table of ``profile_id``, ``day`` and ``next_day``, the next one on which somebody is seen.

    Args:
        connection: An open store.
        table: Its name.
        query: Gives profile_id and day, each pair any number of times.
        values: Bound in the query.
    """
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE {table} AS
        SELECT profile_id, day, lead(day) OVER (PARTITION BY profile_id ORDER BY day) AS next_day
        FROM (SELECT DISTINCT profile_id, day FROM ({query}) AS seen) AS days
        """,
        list(values),
    )


def people_within(connection: Connection, table: str, days: int, calendar: Calendar) -> Numbers:
    """How many different people of ``seen_days`` were seen in so many days up to each one."""
    [changes] = counts(
        connection,
        f"""
        WITH stretches AS (
            SELECT day, least(day + {int(days)}, coalesce(next_day, day + {int(days)})) AS after FROM {table}
        )
        SELECT CAST(day AS DATE) AS day, CAST(sum(change) AS DOUBLE) AS change FROM (
            SELECT day, 1 AS change FROM stretches UNION ALL SELECT after AS day, -1 AS change FROM stretches
        ) AS changes
        GROUP BY day
        """,
    )
    return to_date(calendar.dense(changes))
