"""What was measured: key figures by day, who comes back, funnels, journeys, lift and experiments."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from millstream.flows.report.facts.reader import Reader
from millstream.state.measurement.reading import LAST_RUN

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


@dataclass(frozen=True)
class Returned:
    """Of a cohort's people, how many came back in a period after its first."""

    cohort: date
    period: int
    people: int
    active: int
    complete: bool


@dataclass(frozen=True)
class FunnelStep:
    """How many people came so far."""

    event: str
    people: int


@dataclass(frozen=True, kw_only=True)
class Lift:
    """A group that was addressed, or given a variant, beside its control group.

    Attributes:
        name: The sync, audience or experiment.
        kind: holdout or experiment.
        variant: What was done with the group.
        goal: The event that counts.
        window_days: How long it counts.
        treated: People of the group.
        treated_converted: Those of them who reached the goal.
        control: People of the control group.
        control_converted: Those of them who did.
        difference: Of the shares; None with too few people, as its interval.
        low: Lower end of its interval.
        high: Upper end.
        p_value: How often chance alone shows as much.
        ratio_ok: Whether the groups are as large as planned.
        sentence: What it comes to.
    """

    name: str
    kind: str
    variant: str
    goal: str
    window_days: float
    treated: int
    treated_converted: int
    control: int
    control_converted: int
    difference: float | None
    low: float | None
    high: float | None
    p_value: float | None
    ratio_ok: bool
    sentence: str


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
    retention: Mapping[str, tuple[Returned, ...]]
    funnels: Mapping[str, tuple[FunnelStep, ...]]
    journeys: Mapping[str, tuple[tuple[str, int], ...]]
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
    return ResultFacts(
        figures=tuple(_figures(reader, (as_of - _HISTORY).date(), count_people)),
        retention=_retention(reader),
        funnels=_funnels(reader),
        journeys=_journeys(reader),
        lifts=tuple(_lifts(reader)),
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


def _retention(reader: Reader) -> dict[str, tuple[Returned, ...]]:
    if not reader.has("customers.retention"):
        return {}
    found: dict[str, list[Returned]] = {}
    rows = reader.rows(
        f"""
        SELECT one.retention, one.cohort, one.period, one.people, one.active, one.complete
        FROM customers.retention AS one WHERE one.as_of = {LAST_RUN}
        ORDER BY one.retention, one.cohort, one.period
        """
    )
    for name, cohort, period, people, active, complete in rows:
        found.setdefault(str(name), []).append(Returned(cohort, period, people, active, bool(complete)))
    return {name: tuple(cells) for name, cells in found.items()}


def _funnels(reader: Reader) -> dict[str, tuple[FunnelStep, ...]]:
    if not reader.has("customers.funnels"):
        return {}
    found: dict[str, list[FunnelStep]] = {}
    rows = reader.rows(
        f"""
        SELECT one.funnel, one.event, one.people
        FROM customers.funnels AS one WHERE one.as_of = {LAST_RUN}
        ORDER BY one.funnel, one.step
        """
    )
    for name, event, people in rows:
        found.setdefault(str(name), []).append(FunnelStep(event, people))
    return {name: tuple(steps) for name, steps in found.items()}


def _journeys(reader: Reader) -> dict[str, tuple[tuple[str, int], ...]]:
    if not reader.has("customers.journeys"):
        return {}
    found: dict[str, list[tuple[str, int]]] = {}
    rows = reader.rows(
        f"""
        SELECT one.journey, one.path, one.people
        FROM customers.journeys AS one WHERE one.as_of = {LAST_RUN}
        ORDER BY one.journey, one.people DESC, one.path
        """
    )
    for name, path, people in rows:
        found.setdefault(str(name), []).append((path, people))
    return {name: tuple(paths[:_PATHS]) for name, paths in found.items()}


def _lifts(reader: Reader) -> list[Lift]:
    if not reader.has("customers.lifts"):
        return []
    sentence = "one.sentence" if "sentence" in reader.columns("customers.lifts") else "''"
    rows = reader.rows(
        f"""
        SELECT one.name, one.kind, one.variant, one.goal, one.window_days, one.treated, one.treated_converted,
               one.control, one.control_converted, one.difference, one.low, one.high, one.p_value,
               one.sample_ratio_ok, {sentence} AS sentence
        FROM customers.lifts AS one WHERE one.as_of = {LAST_RUN}
        ORDER BY one.kind DESC, one.name, one.variant
        """
    )
    names = ("name", "kind", "variant", "goal", "window_days", "treated", "treated_converted", "control",
             "control_converted", "difference", "low", "high", "p_value", "ratio_ok", "sentence")  # fmt: skip
    return [Lift(**dict(zip(names, row, strict=True))) for row in rows]
