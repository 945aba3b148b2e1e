"""What was measured: figures over time, who comes back and how far people get, and what campaigns changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date

from millstream.flows.report import charts
from millstream.flows.report.blocks import Block, Chart, Missing, Note, Section, Table
from millstream.flows.report.facts.results import Day, Figure
from millstream.flows.report.gather import ReportData
from millstream.flows.report.numbers import (
    FEW,
    NOTHING,
    SMALLEST_GROUP,
    day,
    drawn,
    figure_value,
    is_few,
    people_count,
    people_share,
    percent,
    points,
    rough,
    titled,
    words,
)
from millstream.state.measurement.comparing import Lift
from millstream.state.measurement.reading import FunnelStep, JourneyPath, RetentionCell

_DAILY = 28
_COHORTS, _PERIODS = 14, 13


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


def returning_section(data: ReportData) -> Section:
    """Who comes back, how far people get, and which ways they take."""
    title, results = "Coming back, and getting there", data.results
    blocks: list[Block] = []
    if results:
        blocks += [_retention(name, cells) for name, cells in results.retention.items() if _came_back(cells)]
        blocks += [_funnel(name, steps) for name, steps in results.funnels.items() if steps]
        blocks += [_journeys(name, paths) for name, paths in results.journeys.items() if paths]
    if not blocks:
        missing = Missing(
            "Here stand who comes back by the month in which they began, the funnels, and the ways to a purchase.",
            "millstream measure",
        )
        return Section("returning", title, "", (missing,))
    return Section("returning", title, "Groups of fewer than five people are left out.", tuple(blocks))


def _retention(name: str, cells: Sequence[RetentionCell]) -> Chart:
    """The latest cohorts, the newest at the bottom. A cohort's own period is all of it, and is left out."""
    cohorts = sorted({one.cohort for one in cells if one.people >= SMALLEST_GROUP})[-_COHORTS:]
    monthly = all(one.day == 1 for one in cohorts)
    periods = sorted({one.period for one in cells if 0 < one.period <= _PERIODS})
    found = {(one.cohort, one.period): one for one in cells}
    drawn_cells, rows = [], []
    for cohort in cohorts:
        first = found.get((cohort, 0))
        label = _cohort(cohort, monthly=monthly)
        told = []
        for period in periods:
            cell = found.get((cohort, period))
            part, text = _returned(cell)
            told.append(text + ("" if cell is None or cell.complete or part is None else " so far"))
            unit = "month" if monthly else "week"
            hint = f"{label}: {text} in {unit} {period}" + (
                "" if cell is None or cell.complete else ", which is not over"
            )
            if cell is not None:
                drawn_cells.append(charts.Cell(label, str(period), part, "" if part is None else rough(part), hint))
        rows.append((label, people_count(first.people) if first else NOTHING, *told))
    unit = "months" if monthly else "weeks"
    return Chart(
        title=f"Coming back: {words(name)}, by {unit} since the beginning",
        description=f"A table of the shares of each cohort that came back in the {unit} after it began, the deeper the "
        f"larger; {len(cohorts):,} cohorts from {_cohort(cohorts[0], monthly=monthly)} on.",
        specification=charts.heat(drawn_cells, most=max((one.share or 0 for one in drawn_cells), default=0) or 1),
        table=Table(
            f"Coming back: {words(name)}",
            ("began", "people", *(str(period) for period in periods)),
            tuple(rows),
            frozenset(range(1, len(periods) + 2)),
        ),
        wide=True,
        least_width=90 + 46 * len(periods),
    )


def _came_back(cells: Sequence[RetentionCell]) -> bool:
    """Whether there is a cohort that may be told of, and a period after its first."""
    return any(one.people >= SMALLEST_GROUP and one.period > 0 for one in cells)


def _returned(cell: RetentionCell | None) -> tuple[float | None, str]:
    """The share that came back, where it may be told."""
    if cell is None or not cell.people or any(map(is_few, (cell.people, cell.active, cell.people - cell.active))):
        return None, NOTHING
    part = cell.active / cell.people
    return part, percent(part)


def _cohort(cohort: date, *, monthly: bool) -> str:
    return f"{cohort:%b %Y}" if monthly else f"{cohort.day} {cohort:%b %y}"


def _funnel(name: str, steps: Sequence[FunnelStep]) -> Chart:
    first, last = steps[0].people, steps[-1].people
    bars, rows = [], []
    for number, step in enumerate(steps):
        label = f"{number + 1}. {step.event}"
        text = people_count(step.people)
        of_first = people_share(step.people, first)
        bars.append(
            charts.Bar(label, drawn(step.people), text + (f" ({of_first})" if number and of_first != NOTHING else ""))
        )
        before = people_share(step.people, steps[number - 1].people) if number else ""
        rows.append((label, text, of_first if number else "", before))
    return Chart(
        title=f"Funnel: {words(name)}",
        description=f"Bars of people who took each step: of {people_count(first)} who began, {people_count(last)} came "
        "to the end.",
        specification=charts.bars(bars),
        table=Table(
            f"Funnel: {words(name)}", ("step", "people", "of the first", "of the one before"), tuple(rows),
            frozenset({1, 2, 3}),
        ),
    )  # fmt: skip


def _journeys(name: str, paths: Sequence[JourneyPath]) -> Table:
    told = tuple((one.path, people_count(one.people)) for one in paths if not is_few(one.people))
    return Table(f"Most frequent ways: {words(name)}", ("what people did, in order", "people"), told, frozenset({1}))


def campaigns_section(data: ReportData) -> Section:
    """What campaigns changed, against people who were held out; and which variant did better."""
    title = "What campaigns changed"
    lifts = data.results.lifts if data.results else ()
    if not lifts:
        missing = Missing(
            "Here stands how people whom a sync addresses differ from those held out, and which variant of an "
            "experiment does better, once a sync with a holdout has run.",
            "millstream measure",
        )
        return Section("campaigns", title, "", (missing,))
    blocks: list[Block] = list(_lift_blocks(lifts))
    return Section(
        "campaigns", title, "In percentage points; the true difference lies within the interval 19 times of 20.",
        tuple(blocks),
    )  # fmt: skip


def _lift_blocks(lifts: Sequence[Lift]) -> Iterator[Block]:
    table = _lift_table(lifts)
    told = [
        charts.Interval(_lift_name(one), 100 * one.low, 100 * one.difference, 100 * one.high)
        for one in lifts
        if _may_be_told(one) and one.difference is not None and one.low is not None and one.high is not None
    ]
    if told:
        yield Chart(
            title="Difference to those held out, or to the first variant",
            description=f"Points with their intervals beside the line of no difference, for {len(told):,} comparisons.",
            specification=charts.intervals(told, unit="percentage points"),
            table=table,
            wide=True,
        )
    else:
        yield table
    for one in lifts:
        if not one.sample_ratio_ok:
            yield Note(
                f"{_lift_name(one)}: the groups are not as large as planned, more than chance explains. "
                "Do not act on this comparison before the cause is found."
            )
        elif one.sentence and _may_be_told(one):
            yield Note(f"{_lift_name(one)}: {one.sentence}")


def _lift_table(lifts: Sequence[Lift]) -> Table:
    rows = tuple(
        (
            _lift_name(one),
            f"{one.goal} within {one.window_days:g} days",
            f"{people_count(one.treated_converted)} of {people_count(one.treated)}",
            f"{people_count(one.control_converted)} of {people_count(one.control)}",
            points(one.difference) if _may_be_told(one) else NOTHING,
            f"{points(one.low)} to {points(one.high)}" if one.low is not None and _may_be_told(one) else NOTHING,
            "as planned" if one.sample_ratio_ok else "not as planned",
        )
        for one in lifts
    )
    heads = ("comparison", "goal", "reached it", "of those compared with", "difference", "interval", "group sizes")
    return Table("Comparisons", heads, rows, frozenset({2, 3, 4, 5}))


def _may_be_told(lift: Lift) -> bool:
    """Shares would tell how many the few of a small group are."""
    return not any(map(is_few, (lift.treated, lift.control, lift.treated_converted, lift.control_converted)))


def _lift_name(lift: Lift) -> str:
    return words(lift.name) if lift.kind == "holdout" else f"{words(lift.name)}: {words(lift.variant)}"
