"""Retention: of the people who began in one week or month, how many came back in each that followed."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from millstream.state.measurement.days import day_sql
from millstream.state.measurement.rules import Retention

if TYPE_CHECKING:
    from millstream.state.store import Connection


def measure_retention(
    connection: Connection, name: str, retention: Retention, *, timezone: str, today: date, as_of: datetime, first: date
) -> None:
    """Add the cohorts of one definition to ``customers.retention``.

    Cohorts whose whole week or month lies at or after ``first`` are told, with a row for each period that has begun.

    Args:
        connection: An open store, with ``measured_active`` and ``measured_bought`` and the relations.
        name: Of the definition.
        retention: The definition.
        timezone: In which days are told.
        today: The last day.
        as_of: The time of the run.
        first: The first day that is looked at.
    """
    by = retention.by
    starts = (
        f"SELECT profile_id, {day_sql(timezone, 'first_seen')} AS day FROM customers.profiles"
        if retention.start == "first_seen"
        else "SELECT profile_id, min(day) AS day FROM measured_bought GROUP BY profile_id"
    )
    seen = "measured_active" if retention.returns == "active" else "measured_bought"
    connection.execute(
        f"""
        INSERT INTO customers.retention (retention, as_of, cohort, period, people, active, complete)
        WITH starts AS (
            SELECT profile_id, {_floor(by, "day")} AS cohort FROM ({starts}) AS began WHERE day <= CAST(? AS DATE)
        ), cohorts AS (
            SELECT cohort, count(*) AS people FROM starts WHERE cohort >= CAST(? AS DATE) GROUP BY cohort
        ), came AS (
            SELECT cohort, {_periods(by, "cohort", "back")} AS period, count(*) AS active FROM (
                SELECT DISTINCT starts.profile_id, starts.cohort, {_floor(by, "seen.day")} AS back
                FROM starts JOIN {seen} AS seen ON seen.profile_id = starts.profile_id
                WHERE starts.cohort >= CAST(? AS DATE)
            ) AS returns
            GROUP BY 1, 2
        ), periods AS (
            SELECT CAST(number AS INTEGER) AS period
            FROM generate_series(0, {int(retention.periods)}) AS numbers(number)
        ), grid AS (
            SELECT cohort, period, people, {_begins(by, "cohort", "period + 1")} AS ends FROM cohorts, periods
            WHERE {_begins(by, "cohort", "period")} <= CAST(? AS DATE)
        )
        SELECT ?, CAST(? AS TIMESTAMPTZ), grid.cohort, grid.period, grid.people, coalesce(came.active, 0),
               grid.ends <= CAST(? AS DATE)
        FROM grid LEFT JOIN came ON came.cohort = grid.cohort AND came.period = grid.period
        """,
        [today, *[_first_cohort(by, first)] * 2, today, name, as_of, today],
    )


def _first_cohort(by: str, first: date) -> date:
    """The first week or month that lies whole at or after a day."""
    if by == "week":
        return first + timedelta(days=-first.weekday() % 7)
    if first.day == 1:
        return first
    return date(first.year + first.month // 12, first.month % 12 + 1, 1)


def _floor(by: str, day: str) -> str:
    """The first day of a day's week (Monday) or month."""
    return f"CAST(date_trunc('{by}', {day}) AS DATE)"


def _periods(by: str, since: str, until: str) -> str:
    """How many weeks or months lie between two first days."""
    if by == "week":
        return f"CAST(({until} - {since}) // 7 AS INTEGER)"
    months = [f"(extract(year FROM {day}) * 12 + extract(month FROM {day}))" for day in (until, since)]
    return f"CAST({months[0]} - {months[1]} AS INTEGER)"


def _begins(by: str, cohort: str, periods: str) -> str:
    """The first day of the period so many after a cohort's own."""
    unit = "7 * INTERVAL '1' DAY" if by == "week" else "INTERVAL '1' MONTH"
    return f"CAST({cohort} + ({periods}) * {unit} AS DATE)"
