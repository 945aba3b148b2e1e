"""Measure: compute all of it on an open store, and keep it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from millstream.state.measurement.comparing import Lift
from millstream.state.measurement.days import Calendar, day_sql
from millstream.state.measurement.figures import Figures, Series, first_day
from millstream.state.measurement.funnels import funnels_of, measure_funnel
from millstream.state.measurement.history import keep_figures
from millstream.state.measurement.journeys import journeys_of, measure_journey
from millstream.state.measurement.lift import Comparison, measure_lift
from millstream.state.measurement.own_figures import own_series
from millstream.state.measurement.present import present_figures
from millstream.state.measurement.retention import measure_retention
from millstream.state.measurement.tables import create_measurement_tables
from millstream.state.store import SECONDS
from millstream.state.traits.relations import Relations, Scope

if TYPE_CHECKING:
    from collections.abc import Iterator

    from millstream.state.measurement.rules import MeasurementRules
    from millstream.state.store import Connection
    from millstream.state.traits.rules import TraitRules

_PICTURES = ("retention", "funnels", "journeys", "lifts")
"""Tables of which one picture a day is kept."""

_READ = ("events", "behaviour", "purchases", "messages", "survey_answers")
_LIFT_COLUMNS = ", ".join(field.name for field in fields(Lift))


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What was computed.

    Attributes:
        days: The first and the last day of which figures are told; None in an empty store.
        rows: Rows of figures that were written.
        lifts: The comparisons.
    """

    days: tuple[date, date] | None
    rows: int
    lifts: tuple[Lift, ...]


def measure(
    connection: Connection,
    rules: MeasurementRules,
    traits: TraitRules,
    comparisons: Sequence[Comparison],
    *,
    as_of: datetime,
    full: bool = False,
    sql_seconds: float = SECONDS,
) -> Measured:
    """Compute figures, cohorts, funnels, journeys and comparisons, and keep them.

    Args:
        connection: The open store, in a transaction.
        rules: What to measure.
        traits: Purchases, time zone, and when customers have lapsed.
        comparisons: Holdouts and experiments.
        as_of: The time of the run, aware.
        full: Compute the figures of all days anew, also of those of which no late events are expected.
        sql_seconds: How long the SQL of a figure may take.

    Raises:
        ConfigurationError: A figure by SQL cannot be computed.
        QueryError: Its SQL names what is not there.
        TimeLimitError: It took longer.
    """
    create_measurement_tables(connection)
    today = as_of.astimezone(ZoneInfo(traits.timezone)).date()
    _clear(connection, today, traits.timezone, rules.history_days)
    with _relations(connection, traits, as_of):
        first = first_day(connection, traits.timezone, today=today, history_days=rules.history_days)
        if first is None:
            return Measured(days=None, rows=0, lifts=())
        calendar = Calendar(first, today)
        rows = keep_figures(
            connection,
            _series(connection, rules, traits, calendar, as_of=as_of, sql_seconds=sql_seconds),
            as_of=as_of,
            first=first,
            late_days=rules.late_days,
            full=full,
            north_star=rules.north_star_name(),
        )
        _pictures(connection, rules, traits, today=today, as_of=as_of)
        lifts = _lifts(connection, rules, comparisons, as_of)
        connection.execute("DROP TABLE measured_active; DROP TABLE measured_bought")
    return Measured(days=(first, today), rows=rows, lifts=lifts)


@contextmanager
def _relations(connection: Connection, traits: TraitRules, as_of: datetime) -> Iterator[None]:
    relations = Relations(connection, Scope(traits, as_of))
    relations.provide(_READ)
    yield
    relations.drop()


def _series(
    connection: Connection,
    rules: MeasurementRules,
    traits: TraitRules,
    calendar: Calendar,
    *,
    as_of: datetime,
    sql_seconds: float,
) -> list[Series]:
    zone = traits.timezone
    own = [
        own_series(connection, name, figure, calendar=calendar, timezone=zone, as_of=as_of, sql_seconds=sql_seconds)
        for name, figure in rules.own_figures().items()
    ]
    shipped = Figures(connection, traits, calendar).series()
    return [*shipped, *present_figures(connection, calendar.last), *own]


def _pictures(
    connection: Connection, rules: MeasurementRules, traits: TraitRules, *, today: date, as_of: datetime
) -> None:
    """Cohorts, funnels and journeys."""
    first = today - timedelta(days=rules.history_days - 1)
    for name, retention in rules.retention.items():
        measure_retention(connection, name, retention, timezone=traits.timezone, today=today, as_of=as_of, first=first)
    happened = _happened(connection) if rules.funnels is None or rules.journeys is None else set()
    for name, funnel in funnels_of(rules.funnels, traits, happened).items():
        measure_funnel(connection, name, funnel, as_of=as_of)
    for name, journey in journeys_of(rules.journeys, traits, happened).items():
        measure_journey(connection, name, journey, as_of=as_of)


def _happened(connection: Connection) -> set[str]:
    """The names of events that there are."""
    return {str(name) for (name,) in connection.execute("SELECT DISTINCT name FROM customers.events").fetchall()}


def _lifts(
    connection: Connection, rules: MeasurementRules, comparisons: Sequence[Comparison], as_of: datetime
) -> tuple[Lift, ...]:
    lifts = [
        lift
        for comparison in comparisons
        for lift in measure_lift(
            connection,
            comparison,
            as_of=as_of,
            days=rules.lift.days,
            at_least_people=rules.lift.at_least_people,
        )
    ]
    for lift in lifts:
        values: Mapping[str, object] = asdict(lift)
        connection.execute(
            f"INSERT INTO customers.lifts (as_of, {_LIFT_COLUMNS}) VALUES (?, {', '.join('?' * len(values))})",
            [as_of, *values.values()],
        )
    return tuple(lifts)


def _clear(connection: Connection, today: date, timezone: str, history_days: int) -> None:
    """Take today's earlier pictures away, those that have grown old, and what a clock that was ahead told."""
    day = day_sql(timezone, "as_of")
    for table in _PICTURES:
        connection.execute(
            f"DELETE FROM customers.{table} WHERE {day} >= CAST(? AS DATE) OR {day} < CAST(? AS DATE)",
            [today, today - timedelta(days=history_days)],
        )
    connection.execute("DELETE FROM customers.figures WHERE day > CAST(? AS DATE)", [today])
