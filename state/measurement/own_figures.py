"""Figures of the project's own: events counted by day, or a SELECT of day and value."""

from __future__ import annotations

import hashlib
from datetime import date, datetime
from typing import TYPE_CHECKING

import duckdb

from millstream.state.audiences.compile import Compiled
from millstream.state.errors import ConfigurationError, QueryError
from millstream.state.measurement.chosen import called, chosen
from millstream.state.measurement.days import Calendar, Numbers, counts, day_sql, over, people_within, seen_days
from millstream.state.measurement.figures import Series
from millstream.state.measurement.meanings import FigureMeaning
from millstream.state.measurement.rules import OwnFigure
from millstream.state.privacy import redact
from millstream.state.store import time_limit
from millstream.state.traits.selects import SelectError, read_select

if TYPE_CHECKING:
    from millstream.state.store import Connection

_UNITS = {"events": "events", "people": "people", "value": "currency"}
_COUNTED = {"events": "count(*)", "value": "sum(value_base)"}


def checked_figure_sql(sql: str, *, where: str) -> str:
    """A project's SELECT, once it is known to do nothing but read and to give ``day`` and ``value``.

    Raises:
        ConfigurationError: It is not.
    """
    remedy = "write one SELECT that gives the columns day and value."
    try:
        select = read_select(sql)
    except SelectError as error:
        raise ConfigurationError(str(error), where=where, remedy=error.remedy or remedy) from error
    if sorted(select.columns) != ["day", "value"]:
        given = ", ".join(select.columns)
        raise ConfigurationError(f"The SELECT gives the columns {given}.", where=where, remedy=remedy)
    if select.values:
        raise ConfigurationError(
            f"The SELECT has values to bind: {', '.join(sorted(select.values))}.", where=where, remedy=remedy
        )
    return sql.strip().rstrip(";")


def own_series(
    connection: Connection,
    name: str,
    figure: OwnFigure,
    *,
    calendar: Calendar,
    timezone: str,
    as_of: datetime,
    sql_seconds: float,
) -> Series:
    """A figure on each day of the calendar; one by SQL on the days that it gives.

    Args:
        connection: An open store, with the relations.
        name: The figure's name.
        figure: What it is.
        calendar: The days.
        timezone: In which days are told.
        as_of: The time of the run.
        sql_seconds: How long its SQL may take.

    Raises:
        ConfigurationError: Its SQL is not a SELECT of day and value, or gives a day twice.
        TimeLimitError: Its SQL took longer.
    """
    if figure.sql is not None:
        return _by_sql(connection, name, figure, calendar, sql_seconds)
    assert figure.event is not None, "a figure has an event or sql"
    numbers = _counted(connection, figure, chosen(figure.event, as_of), calendar, day_sql(timezone))
    counted = figure.count if figure.count != "value" else "value of events"
    window = "on the day" if figure.window_days == 1 else f"in the {figure.window_days} days up to the day"
    return Series(
        figure=name,
        meaning=FigureMeaning(
            unit=figure.unit or _UNITS[figure.count],
            description=figure.description or f"{called(figure.event)}: {counted} {window}.",
        ),
        days=tuple(calendar.days()),
        numerators=tuple(calendar.told(numbers).tolist()),
        fingerprint=hashlib.sha256(f"{figure.fingerprint()} {timezone}".encode()).hexdigest()[:16],
    )


def _counted(connection: Connection, figure: OwnFigure, events: Compiled, calendar: Calendar, day: str) -> Numbers:
    if figure.count == "people":
        query = f"SELECT profile_id, {day} AS day FROM ({events.sql}) AS chosen"
        seen_days(connection, "measured_own", query, events.values)
        numbers = people_within(connection, "measured_own", figure.window_days, calendar)
        connection.execute("DROP TABLE measured_own")
        return numbers
    counted = _COUNTED[figure.count]
    [found] = counts(
        connection,
        f"SELECT {day} AS day, CAST({counted} AS DOUBLE) FROM ({events.sql}) AS chosen GROUP BY 1",
        events.values,
    )
    return over(calendar.dense(found), figure.window_days)


def _by_sql(connection: Connection, name: str, figure: OwnFigure, calendar: Calendar, seconds: float) -> Series:
    where = f"measurement.figures.{name}"
    sql = checked_figure_sql(figure.sql or "", where=where)
    try:
        with time_limit(connection, seconds, where=where):
            [found] = counts(
                connection,
                f"SELECT CAST(day AS DATE) AS day, CAST(value AS DOUBLE) FROM ({sql}) AS own WHERE day IS NOT NULL",
            )
    except (QueryError, duckdb.Error) as error:
        said = error.what if isinstance(error, QueryError) else str(error).splitlines()[0]
        raise QueryError(f"The figure's SQL fails: {redact(said)}", where=where) from error
    told: dict[date, float] = {}
    for day, value in sorted(found, key=lambda pair: pair[0]):
        if day in told:
            raise ConfigurationError(f"The SELECT gives the day {day} twice.", where=where, remedy="group by day.")
        if value is not None and calendar.first <= day <= calendar.last:
            told[day] = value
    return Series(
        figure=name,
        meaning=FigureMeaning(unit=figure.unit, description=figure.description or "By SQL of the project."),
        days=tuple(told),
        numerators=tuple(told.values()),
        fingerprint=figure.fingerprint(),
    )
