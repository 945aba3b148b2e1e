"""Who comes back, how far people get, and which ways they take."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from millstream.flows.report import charts
from millstream.flows.report.blocks import Block, Chart, Missing, Section, Table
from millstream.flows.report.gather import ReportData
from millstream.flows.report.numbers import (
    NOTHING,
    SMALLEST_GROUP,
    drawn,
    is_few,
    people_count,
    people_share,
    percent,
    rough,
    words,
)
from millstream.state.measurement.reading import FunnelStep, JourneyPath, RetentionCell

_COHORTS, _PERIODS = 14, 13


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
