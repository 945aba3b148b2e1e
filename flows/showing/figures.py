"""What was measured."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from millstream.flows.showing.cells import Row
    from millstream.flows.steps.measuring import MeasureReport
    from millstream.state.measurement.comparing import Lift
    from millstream.state.measurement.reading import Figure

SHOWN_PATHS = 5
"""Ways of each journey in a table."""


def figure_rows(report: MeasureReport) -> list[Row]:
    """One row for each figure: its last day, and a week before; the north star first."""
    rows: list[Row] = []
    for figure in sorted(report.figures, key=lambda one: not one.north_star):
        if not figure.days:
            continue
        last = figure.days[-1]
        earlier = {day.day: day.value for day in figure.days}.get(last.day - timedelta(days=7))
        rows.append(
            {
                "figure": f"* {figure.figure}" if figure.north_star else figure.figure,
                "day": f"{last.day}",
                "value": told(last.value, figure.unit),
                "a week before": told(earlier, figure.unit),
                "of": f"{last.numerator:,.0f} / {last.denominator:,.0f}" if last.denominator else "",
                "unit": figure.unit,
            }
        )
    return rows


def day_rows(report: MeasureReport, figures: Iterable[str]) -> list[Row]:
    """One row for each day, with a column for each of some figures."""
    chosen: list[Figure] = [figure for name in figures for figure in report.figures if figure.figure == name]
    values = {(one.figure, day.day): told(day.value, one.unit) for one in chosen for day in one.days}
    days = sorted({day for _, day in values})
    return [{"day": f"{day}", **{one.figure: values.get((one.figure, day), "") for one in chosen}} for day in days]


def funnel_rows(report: MeasureReport) -> list[Row]:
    """One row for each step: people, and which share of the first and of the step before they are."""
    rows: list[Row] = []
    first = before = 0
    for one in report.funnels:
        if one.step == 1:
            first = before = one.people
        rows.append(
            {
                "funnel": one.funnel,
                "step": one.step,
                "event": one.event,
                "people": one.people,
                "of the first": _share(one.people, first),
                "of the step before": _share(one.people, before),
            }
        )
        before = one.people
    return rows


def journey_rows(report: MeasureReport) -> list[Row]:
    """The most frequent ways of each journey."""
    counted: dict[str, int] = {}
    rows: list[Row] = []
    for one in report.journeys:
        counted[one.journey] = counted.get(one.journey, 0) + 1
        if counted[one.journey] <= SHOWN_PATHS:
            rows.append({"journey": one.journey, "way": one.path, "people": one.people})
    return rows


def retention_rows(report: MeasureReport) -> list[Row]:
    """One row for each of the newest twelve cohorts; the share of people who came back in each period that is over."""
    cells = {(one.retention, one.cohort, one.period): one for one in report.retention}
    rows: list[Row] = []
    periods = range(min(max((one.period for one in report.retention), default=0), 12) + 1)
    for name in dict.fromkeys(one.retention for one in report.retention):
        mine = [one for one in report.retention if one.retention == name]
        for cohort in sorted({one.cohort for one in mine})[-12:]:
            found = [cells.get((name, cohort, period)) for period in periods]
            shares = [_share(one.active, one.people) if one and one.complete else "" for one in found]
            people = found[0].people if found[0] else 0
            row: Row = {"retention": name, "cohort": f"{cohort}", "people": people}
            rows.append(row | {f"{period}": share for period, share in zip(periods, shares, strict=True)})
    return rows


def lift_rows(report: MeasureReport, *, sentences: bool = True) -> list[Row]:
    """One row for each comparison, with the sentence that says what it comes to unless that is told elsewhere."""
    return [_lift_row(one) | ({"what it comes to": one.sentence} if sentences else {}) for one in report.lifts]


def _lift_row(lift: Lift) -> Row:
    return {
        "name": lift.name,
        "what": lift.variant,
        "goal": f"{lift.goal} in {lift.window_days:g} d",
        "people": lift.treated,
        "reached": _share(lift.treated_converted, lift.treated),
        "against": lift.control,
        "reached there": _share(lift.control_converted, lift.control),
        "difference": "" if lift.difference is None else f"{100 * lift.difference:+.2f} points",
    }


def told(value: float | None, unit: str) -> str:
    """A figure as people read it."""
    if value is None:
        return "-"
    if unit == "share":
        return f"{value:.2%}"
    return f"{value:,.0f}" if unit in ("people", "orders", "events") else f"{value:,.2f}"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"
