"""What is kept of the figures: history stays as it was told, but for days of which late events may have come."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa

from millstream.state.measurement.figures import Series
from millstream.state.store import write_arrow

if TYPE_CHECKING:
    from millstream.state.store import Connection

_ROWS = pa.schema(
    [
        ("day", pa.date32()),
        ("figure", pa.string()),
        ("value", pa.float64()),
        ("numerator", pa.float64()),
        ("denominator", pa.float64()),
    ]
)


def keep_figures(
    connection: Connection,
    computed: Sequence[Series],
    *,
    as_of: datetime,
    first: date,
    late_days: int,
    full: bool,
    north_star: str | None,
) -> int:
    """Write the days that are new, and those before the last run of which late events may have come.

    A figure that is new, or is computed by something else than before, is written for all days.

    Args:
        connection: An open store, in a transaction.
        computed: The figures.
        as_of: The time of the run, aware.
        first: The first day of the calendar.
        late_days: How many days before the last one that was told are written anew.
        full: Write all days anew.
        north_star: The figure that counts most.

    Returns:
        How many rows were written.
    """
    lasts = {
        str(figure): last
        for figure, last in connection.execute("SELECT figure, max(day) FROM customers.figures GROUP BY 1").fetchall()
    }
    known = {
        str(figure): str(fingerprint)
        for figure, fingerprint in connection.execute(
            "SELECT figure, fingerprint FROM customers.figure_definitions"
        ).fetchall()
    }
    rows: list[tuple[date, str, float | None, float, float | None]] = []
    starts: list[tuple[str, date]] = []
    for series in computed:
        last = lasts.get(series.figure)
        same = known.get(series.figure, series.fingerprint) == series.fingerprint
        begins = first if full or last is None else last - timedelta(days=late_days)
        if not series.history:
            begins = max(series.days)
        elif not same:
            begins = date.min
        # Of a figure without a past, the days before it first tells something are no news.
        is_new = full or last is None or not same
        skipped = series.first_told() if is_new and series.history else 0
        starts.append((series.figure, begins))
        rows += [
            (day, series.figure, series.value(number), series.numerators[number],
             None if series.denominators is None else series.denominators[number])
            for number, day in enumerate(series.days)
            if day >= begins and skipped is not None and number >= skipped
        ]  # fmt: skip
    _replace(connection, rows, starts, as_of)
    _define(connection, computed, north_star)
    return len(rows)


def _replace(
    connection: Connection,
    rows: Sequence[tuple[date, str, float | None, float, float | None]],
    starts: Sequence[tuple[str, date]],
    as_of: datetime,
) -> None:
    write_arrow(
        connection,
        "figure_starts",
        pa.table(
            {
                "figure": pa.array([figure for figure, _ in starts], pa.string()),
                "begins": pa.array([begins for _, begins in starts], pa.date32()),
            }
        ),
    )
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(_ROWS)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, _ROWS, strict=True)]
    write_arrow(connection, "figure_rows", pa.Table.from_arrays(arrays, schema=_ROWS))
    connection.execute(
        """
        DELETE FROM customers.figures WHERE EXISTS (
            SELECT 1 FROM figure_starts AS told WHERE told.figure = figures.figure AND figures.day >= told.begins)
        """
    )
    connection.execute(
        "INSERT INTO customers.figures (day, figure, value, numerator, denominator, as_of) "
        "SELECT day, figure, value, numerator, denominator, CAST(? AS TIMESTAMPTZ) FROM figure_rows",
        [as_of],
    )
    connection.execute("DROP TABLE figure_rows; DROP TABLE figure_starts")


def _define(connection: Connection, computed: Sequence[Series], north_star: str | None) -> None:
    """Say what each figure means; only those of which there is anything."""
    connection.execute("DELETE FROM customers.figure_definitions")
    named = {row[0] for row in connection.execute("SELECT DISTINCT figure FROM customers.figures").fetchall()}
    for series in computed:
        if series.figure in named:
            connection.execute(
                "INSERT INTO customers.figure_definitions VALUES (?, ?, ?, ?, ?)",
                [
                    series.figure, series.meaning.unit, series.meaning.description, series.figure == north_star,
                    series.fingerprint,
                ],
            )  # fmt: skip
