"""Key figures over time."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from millstream.flows.report import charts
from millstream.flows.report.blocks import Block, Chart, Missing, Note, Section, Table
from millstream.flows.report.facts.results import Day, Figure
from millstream.flows.report.gather import ReportData
from millstream.flows.report.numbers import (
    FEW,
    day,
    figure_value,
    is_few,
    titled,
    words,
)

_DAILY = 28


def figures_section(data: ReportData) -> Section:
    """Key figures over time."""
    title = "Key figures over time"
    figures = [_without_small_means(one) for one in (data.results.figures if data.results else ())]
    figures = [one for one in figures if sum(each.value is not None for each in one.days) > 1]
    if not figures:
        missing = Missing(
            "Here stand the key figures by day: people, orders, revenue, conversion, churn, net promoter score and the "
            "project's own.",
            "millstream measure",
        )
        return Section("figures", title, "", (missing,))
    blocks: list[Block] = [_figure(one, data.currency) for one in figures if any(day.value for day in one.days)]
    if nothing := [words(one.name) for one in figures if not any(day.value for day in one.days)]:
        blocks.append(Note(f"Nothing but zero so far: {', '.join(nothing)}."))
    lead = "Each has its own scale, which begins at zero unless a figure can be below."
    return Section("figures", title, lead, tuple(blocks))


def _without_small_means(figure: Figure) -> Figure:
    """Shares and means of fewer people than may be told have no value."""
    if not any(is_few(one.of or 0) for one in figure.days):
        return figure
    return replace(figure, days=tuple(replace(one, value=None) if is_few(one.of or 0) else one for one in figure.days))


def _figure(figure: Figure, currency: str | None) -> Chart:
    name = titled(figure.name)
    known = [one for one in figure.days if one.value is not None]
    first, latest = known[0], known[-1]
    unit = (currency or "") if figure.unit == "currency" else figure.unit
    low = None if any((one.value or 0) < 0 for one in known) or figure.unit == "score" else 0
    highest = max(abs(one.value or 0) for one in known)
    axis = ".0%" if figure.unit == "share" else ",.0f" if highest >= 10 else ",.2~f"
    if figure.unit == "share" and highest < 0.05:
        axis = ".1%"
    points = [_point(figure, one, currency) for one in figure.days]
    return Chart(
        title=f"{name} ({unit})" if unit and unit not in ("share", "score", figure.name) else name,
        description=f"{figure.description} A line from {day(first.day)} to {day(latest.day)}, when it was "
        f"{_point(figure, latest, currency).text}.",
        specification=charts.lines(points, axis_format=axis, low=low, height=150),
        table=Table(
            name,
            ("day", "value"),
            tuple((day(one.day), one.text) for one in reversed(points) if _is_listed(one.day, latest.day)),
            frozenset({1}),
        ),
    )


def _point(figure: Figure, one: Day, currency: str | None) -> charts.Point:
    """A day of a figure; few people are drawn as nobody, and told as few."""
    name = titled(figure.name)
    if figure.of_people and one.value is not None and is_few(one.value):
        return charts.Point(name, one.day, 0, FEW)
    return charts.Point(name, one.day, one.value, figure_value(one.value, figure.unit, currency))


def _is_listed(when: date, last: date) -> bool:
    """Each of the last days stands in the table, and before them one a week."""
    back = (last - when).days
    return back < _DAILY or back % 7 == 0
