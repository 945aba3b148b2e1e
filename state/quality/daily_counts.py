"""Rows a day: events by name and records by stream, with the days that are odd."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from millstream.state.quality.odd_days import WEEKS, judge_days
from millstream.state.store import write_arrow

if TYPE_CHECKING:
    from millstream.state.store import Connection

HISTORY_DAYS = 730
"""Days of which counts are made when there are none yet."""

LATE_DAYS = 35
"""Days that are counted anew in each run: for so long events may arrive late."""

_EVENTS = """
SELECT CAST(happened_at AT TIME ZONE 'UTC' AS DATE) AS day, source, stream, name, count(*)
FROM customers.events WHERE happened_at >= CAST(? AS TIMESTAMPTZ) AND happened_at < CAST(? AS TIMESTAMPTZ)
GROUP BY 1, 2, 3, 4
"""

_RECORDS = """
SELECT CAST(observed_at AT TIME ZONE 'UTC' AS DATE) AS day, source, stream, '', count(*)
FROM customers.records WHERE observed_at >= CAST(? AS TIMESTAMPTZ) AND observed_at < CAST(? AS TIMESTAMPTZ)
GROUP BY 1, 2, 3
"""

_Series = tuple[str, str, str]
"""Source, stream, name."""
_Counts = dict[_Series, dict[date, int]]
_Row = tuple[date, str, str, str, str, int, float | None, float | None, bool]


@dataclass(frozen=True)
class OddDay:
    """A day whose count is far from what was to be expected.

    Attributes:
        day: In UTC.
        kind: ``events`` or ``records``.
        source: Name of the source.
        stream: Name of the stream.
        name: Of the event; empty for records.
        rows: What there was.
        expected: What was to be expected.
        score: By how many times the usual spread it is off.
    """

    day: date
    kind: str
    source: str
    stream: str
    name: str
    rows: int
    expected: float
    score: float

    def told(self) -> str:
        """In words."""
        what = f"{self.name!r} events" if self.name else "changed records"
        return f"{self.stream}: {self.rows:,} {what} on {self.day}, where some {self.expected:,.0f} were to be expected"


def keep_daily_counts(connection: Connection, *, as_of: datetime, limit: float) -> list[OddDay]:
    """Count the days that are over, tell the odd ones, and keep both.

    Args:
        connection: The open store, in a transaction.
        as_of: The time of the run, aware. Its day is not over and not judged.
        limit: From how many spreads on a day is odd.

    Returns:
        The odd days among those that were counted now.
    """
    today = as_of.astimezone(UTC).date()
    rows = [*_of_events(connection, today, limit), *_of_records(connection, today, limit)]
    _write(connection, rows, as_of)
    return [
        OddDay(day, kind, source, stream, name, count, expected, score)
        for day, kind, source, stream, name, count, expected, score, odd in rows
        if odd and expected is not None and score is not None
    ]


def _of_events(connection: Connection, today: date, limit: float) -> list[_Row]:
    """The last weeks anew, or all that there is the first time."""
    last = _last_day(connection, "events") or today - timedelta(days=HISTORY_DAYS - LATE_DAYS)
    first = min(today, last) - timedelta(days=LATE_DAYS)
    counts = _known_and_new(connection, "events", _EVENTS, first, today)
    connection.execute("DELETE FROM customers.daily_counts WHERE kind = 'events' AND day >= CAST(? AS DATE)", [first])
    return _judged("events", counts, first, today, limit)


def _of_records(connection: Connection, today: date, limit: float) -> list[_Row]:
    """The days since the last run, as they are now: a record that changes again leaves its earlier day."""
    first = (_last_day(connection, "records") or today - timedelta(days=2)) + timedelta(days=1)
    return _judged("records", _known_and_new(connection, "records", _RECORDS, first, today), first, today, limit)


def _known_and_new(connection: Connection, kind: str, query: str, first: date, today: date) -> _Counts:
    """Rows of the days from ``first`` on as the query counts them, and of the weeks before as they were kept."""
    kept = "SELECT day, source, stream, name, rows FROM customers.daily_counts WHERE kind = ? AND day >= ? AND day < ?"
    begin, end = (datetime(day.year, day.month, day.day, tzinfo=UTC) for day in (first, today))
    rows = connection.execute(kept, [kind, first - timedelta(weeks=WEEKS), first]).fetchall()
    if first < today:
        rows += connection.execute(query, [begin, end]).fetchall()
    counts: _Counts = {}
    for day, source, stream, name, count in rows:
        counts.setdefault((source, stream, name), {})[day] = count
    return {series: days for series, days in counts.items() if any(days.values())}


def _last_day(connection: Connection, kind: str) -> date | None:
    row = connection.execute("SELECT max(day) FROM customers.daily_counts WHERE kind = ?", [kind]).fetchone()
    return row[0] if row else None


def _judged(kind: str, counts: _Counts, first: date, today: date, limit: float) -> list[_Row]:
    """A row for each day of each series from ``first`` on, once it has begun; days without rows included."""
    rows: list[_Row] = []
    for series, days in sorted(counts.items()):
        for day, count, expected, score in _days_of(days, first, today):
            odd = score is not None and abs(score) > limit
            rows.append((day, kind, *series, count, expected, score, odd))
    return rows


def _days_of(days: dict[date, int], first: date, today: date) -> Iterator[tuple[date, int, float | None, float | None]]:
    """Day, count, what was expected, and the score, which are None where too little is known."""
    import numpy as np

    begin = min(days)
    length = (today - begin).days
    counts = np.array([days.get(begin + timedelta(days=offset), 0) for offset in range(length)], dtype=np.float64)
    expected, scores = judge_days(counts)
    for offset in range(max(0, (first - begin).days), length):
        day, count = begin + timedelta(days=offset), int(counts[offset])
        known = not np.isnan(scores[offset])
        yield (day, count, float(expected[offset]), float(scores[offset])) if known else (day, count, None, None)


def _write(connection: Connection, rows: Sequence[_Row], as_of: datetime) -> None:
    import pyarrow as pa

    if not rows:
        return
    names = ("day", "kind", "source", "stream", "name", "rows", "expected", "score", "anomaly")
    types = (pa.date32(), *[pa.string()] * 4, pa.int64(), pa.float64(), pa.float64(), pa.bool_())
    columns = zip(*rows, strict=True)
    table = pa.table({name: pa.array(column, kind) for name, column, kind in zip(names, columns, types, strict=True)})
    write_arrow(connection, "counted_days", table)
    connection.execute(
        f"INSERT INTO customers.daily_counts ({', '.join(names)}, as_of) "
        f"SELECT {', '.join(names)}, CAST(? AS TIMESTAMPTZ) FROM counted_days",
        [as_of],
    )
    connection.execute("DROP TABLE counted_days")
