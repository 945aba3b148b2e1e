"""What was measured: key figures by day, who comes back, funnels, journeys, lift and experiments."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TypeVar

from millstream.flows.report.facts.reader import Reader
from millstream.state.measurement.comparing import Lift
from millstream.state.measurement.reading import (
    FunnelStep,
    JourneyPath,
    RetentionCell,
    read_funnels,
    read_journeys,
    read_lifts,
    read_retention,
)

PictureT = TypeVar("PictureT")

_HISTORY = timedelta(days=365)
_PATHS = 8
_ORDER = (
    "people", "new_people", "active_people_monthly", "active_people_weekly", "active_people_daily", "revenue", "orders",
    "buyers", "average_order", "conversion_rate", "churn_rate", "lifetime_value", "predicted_lifetime_value",
    "engagement_rate", "net_promoter_score", "consent_share", "reachable",
)  # fmt: skip


@dataclass(frozen=True)
class Day:
    """A figure on a day.

    Attributes:
        day: The day.
        value: The figure; None on days on which there was nothing to divide by.
        of: What it was divided by; None for counts and sums.
    """

    day: date
    value: float | None
    of: float | None


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A key figure.

    Attributes:
        name: Its name.
        unit: What it counts: people, orders, currency, share, score, ...
        description: What it means.
        north_star: Whether it is the one that counts most.
        of_people: Whether its values are how many people.
        days: Its history, oldest first.
    """

    name: str
    unit: str
    description: str
    north_star: bool
    of_people: bool
    days: tuple[Day, ...]


@dataclass(frozen=True, kw_only=True)
class ResultFacts:
    """All that was measured.

    Attributes:
        figures: The north star first.
        retention: Cohorts by the retention's name.
        funnels: Steps by the funnel's name.
        journeys: The most frequent ways and their people, by the journey's name.
        lifts: Comparisons.
    """

    figures: tuple[Figure, ...]
    retention: Mapping[str, tuple[RetentionCell, ...]]
    funnels: Mapping[str, tuple[FunnelStep, ...]]
    journeys: Mapping[str, tuple[JourneyPath, ...]]
    lifts: tuple[Lift, ...]

    @property
    def north_star(self) -> Figure | None:
        """The figure that counts most, where the project names one."""
        return next((figure for figure in self.figures if figure.north_star), None)


def read_results(reader: Reader, *, as_of: datetime, count_people: Collection[str] = ()) -> ResultFacts | None:
    """What was measured; None before the first measurement.

    Args:
        reader: The store.
        as_of: The time of the report.
        count_people: Figures of the project's own that count people, by whatever unit they are called.
    """
    if not reader.has("customers.figures"):
        return None
    connection = reader.connection
    journeys = _by_name(read_journeys(connection), lambda one: one.journey)
    return ResultFacts(
        figures=tuple(_figures(reader, (as_of - _HISTORY).date(), count_people)),
        retention=_by_name(read_retention(connection), lambda one: one.retention),
        funnels=_by_name(read_funnels(connection), lambda one: one.funnel),
        journeys={name: paths[:_PATHS] for name, paths in journeys.items()},
        lifts=tuple(sorted(read_lifts(connection), key=lambda one: (one.kind != "holdout", one.name, one.variant))),
    )


def _figures(reader: Reader, since: date, count_people: Collection[str]) -> list[Figure]:
    days: dict[str, list[Day]] = {}
    rows = reader.rows(
        "SELECT figure, day, value, denominator FROM customers.figures WHERE day >= ? ORDER BY figure, day", [since]
    )
    for name, day, value, of in rows:
        days.setdefault(str(name), []).append(Day(day, value, of))
    known: dict[str, tuple[str, str, bool]] = {}
    if reader.has("customers.figure_definitions"):
        defined = reader.rows("SELECT figure, unit, description, north_star FROM customers.figure_definitions")
        known = {str(name): (unit, description, bool(star)) for name, unit, description, star in defined}
    figures = []
    for name, history in days.items():
        unit, description, star = known.get(name, ("", "", False))
        of_people = unit == "people" or name in count_people
        figures.append(
            Figure(
                name=name,
                unit=unit,
                description=description,
                north_star=star,
                of_people=of_people,
                days=tuple(history),
            )
        )
    return sorted(figures, key=_place)


def _place(figure: Figure) -> tuple[bool, int, str]:
    """The north star first, then what a reader asks first, then the project's own."""
    place = next((place for place, name in enumerate(_ORDER) if figure.name.startswith(name)), len(_ORDER))
    return not figure.north_star, place, figure.name


def _by_name(pictures: Iterable[PictureT], name: Callable[[PictureT], str]) -> dict[str, tuple[PictureT, ...]]:
    """What belongs together, in the order in which it comes."""
    found: dict[str, list[PictureT]] = {}
    for one in pictures:
        found.setdefault(name(one), []).append(one)
    return {key: tuple(ones) for key, ones in found.items()}
