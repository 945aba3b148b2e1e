"""Reading back what was measured: the newest picture, and figures since a day. Reports and commands show it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date
from typing import TYPE_CHECKING, Any

from millstream.state.measurement.comparing import Lift
from millstream.state.profiles.columns import existing_columns

if TYPE_CHECKING:
    from millstream.state.store import Connection

LAST_RUN = """(
    SELECT max(as_of) FROM customers.figures WHERE day = (SELECT max(day) FROM customers.figures)
)"""
"""The time of the last run, as SQL: each writes figures of its day, whatever a clock said before."""


@dataclass(frozen=True, kw_only=True)
class Day:
    """A figure on a day; value is None where there is nothing to divide by."""

    day: date
    value: float | None
    numerator: float
    denominator: float | None


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure, what it means, and its days in their order."""

    figure: str
    unit: str
    description: str
    north_star: bool
    days: tuple[Day, ...]


@dataclass(frozen=True, kw_only=True)
class RetentionCell:
    """How many people of a cohort came back in a period; not ``complete`` while it lasts."""

    retention: str
    cohort: date
    period: int
    people: int
    active: int
    complete: bool


@dataclass(frozen=True, kw_only=True)
class FunnelStep:
    """How many people came to a step."""

    funnel: str
    step: int
    event: str
    people: int


@dataclass(frozen=True, kw_only=True)
class JourneyPath:
    """How many people came to the goal by a way."""

    journey: str
    path: str
    people: int


@dataclass(frozen=True, kw_only=True)
class MeasuredNow:
    """What stands in the store: empty where nothing was measured yet."""

    figures: tuple[Figure, ...] = ()
    retention: tuple[RetentionCell, ...] = ()
    funnels: tuple[FunnelStep, ...] = ()
    journeys: tuple[JourneyPath, ...] = ()
    lifts: tuple[Lift, ...] = ()


def read_measured(connection: Connection, *, since: date) -> MeasuredNow:
    """The newest picture, with the figures' days from ``since`` on."""
    if not existing_columns(connection, "figure_definitions"):
        return MeasuredNow()
    return MeasuredNow(
        figures=_figures(connection, since),
        retention=read_retention(connection),
        funnels=read_funnels(connection),
        journeys=read_journeys(connection),
        lifts=read_lifts(connection),
    )


def _figures(connection: Connection, since: date) -> tuple[Figure, ...]:
    days: dict[str, list[Day]] = {}
    for figure, day, value, numerator, denominator in connection.execute(
        "SELECT figure, day, value, numerator, denominator FROM customers.figures "
        "WHERE day >= CAST(? AS DATE) ORDER BY figure, day",
        [since],
    ).fetchall():
        told = Day(day=day, value=value, numerator=numerator, denominator=denominator)
        days.setdefault(str(figure), []).append(told)
    return tuple(
        Figure(
            figure=figure,
            unit=unit,
            description=description,
            north_star=north_star,
            days=tuple(days.get(figure, ())),
        )
        for figure, unit, description, north_star in connection.execute(
            "SELECT figure, unit, description, north_star FROM customers.figure_definitions ORDER BY figure"
        ).fetchall()
    )


def read_retention(connection: Connection) -> tuple[RetentionCell, ...]:
    """The cohorts of the last run."""
    rows = _newest(connection, "retention", "retention, cohort, period, people, active, complete")
    return tuple(
        RetentionCell(retention=name, cohort=cohort, period=period, people=people, active=active, complete=complete)
        for name, cohort, period, people, active, complete in rows
    )


def read_funnels(connection: Connection) -> tuple[FunnelStep, ...]:
    """The steps of the last run's funnels, in their order."""
    rows = _newest(connection, "funnels", "funnel, step, event, people")
    return tuple(FunnelStep(funnel=name, step=step, event=event, people=people) for name, step, event, people in rows)


def read_journeys(connection: Connection) -> tuple[JourneyPath, ...]:
    """The ways of the last run's journeys, the most frequent of each first."""
    rows = _newest(connection, "journeys", "journey, -people AS rank, path, people")
    return tuple(JourneyPath(journey=name, path=path, people=people) for name, _, path, people in rows)


def read_lifts(connection: Connection) -> tuple[Lift, ...]:
    """The comparisons of the last run, by kind and name."""
    names = [field.name for field in fields(Lift)]
    found = _newest(connection, "lifts", f"kind AS first, {', '.join(names)}")
    return tuple(Lift(**dict(zip(names, row[1:], strict=True))) for row in found)


def _newest(connection: Connection, table: str, columns: str) -> list[tuple[Any, ...]]:
    """The rows of the last run, which writes figures whatever else there is; in the order of their columns.

    What the project no longer has is in none of them, though earlier runs told it.
    """
    return connection.execute(
        f"SELECT {columns} FROM customers.{table} WHERE as_of = {LAST_RUN} ORDER BY ALL"
    ).fetchall()
