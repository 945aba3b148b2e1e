"""What campaigns and variants changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from millstream.flows.report import charts
from millstream.flows.report.blocks import Block, Chart, Missing, Note, Section, Table
from millstream.flows.report.gather import ReportData
from millstream.flows.report.numbers import (
    NOTHING,
    is_few,
    people_count,
    points,
    words,
)
from millstream.state.measurement.comparing import Lift


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
