"""The charts of the report, in Altair: few kinds, drawn plainly.

Colours are custom properties of the page's style sheet, so that a chart follows dark, light and print without being
drawn anew. Series differ by colour (chosen for the colour-blind) and by dashes. Bars begin at zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import altair as alt

from millstream.flows.report.blocks import Specification

INK, MUTED, GRID, HEAT, ON_HEAT, ALARM = (
    f"var(--{name})" for name in ("ink", "muted", "grid", "heat", "on-heat", "alarm")
)
SERIES = tuple(f"var(--series-{number})" for number in range(1, 8))
DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [4, 2], [1, 3], [10, 4])
MOST_SERIES = len(SERIES)
"""More lines cannot be told apart in one picture."""

_SIGNED = "datum.value === 0 ? 'no difference' : format(datum.value, '+~f')"
_FEW_DAYS, _MANY_DAYS = 16, 100
_BAR, _CELL = 26, 34
_CONFIG: dict[str, Any] = {
    "aria": False,  # the chart as a whole has a description; its hundreds of marks would drown a reader
    "background": "transparent",
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "domain": False,
        "ticks": False,
        "gridColor": GRID,
        "labelColor": MUTED,
        "labelFontSize": 12,
        "labelPadding": 7,
        "title": None,
    },
    "legend": {
        "title": None,
        "orient": "top",
        "columns": 3,
        "labelColor": INK,
        "labelFontSize": 12,
        "labelLimit": 150,
        "symbolType": "stroke",
        "symbolSize": 220,
        "symbolStrokeWidth": 2.5,
    },
    "text": {"color": INK, "fontSize": 12},
}


@dataclass(frozen=True)
class Bar:
    """A bar: what it is of, how long, and what is written at its end."""

    label: str
    value: float
    text: str


@dataclass(frozen=True)
class Point:
    """A value of a series on a day, and as it is read; None leaves a gap."""

    series: str
    day: date
    value: float | None
    text: str
    marked: bool = False


@dataclass(frozen=True)
class Cell:
    """A cell of a heat map.

    Attributes:
        row: The row it is in.
        column: The column.
        share: From 0 to 1: how deep its colour is; None for one that is not told.
        text: What is written in it.
        hint: What it means, in words.
    """

    row: str
    column: str
    share: float | None
    text: str
    hint: str


@dataclass(frozen=True)
class Interval:
    """An estimate with the interval it lies in."""

    label: str
    low: float
    middle: float
    high: float


def bars(values: Sequence[Bar], *, most: float | None = None) -> Specification:
    """Bars from left to right, in the order given, with their values written at their ends.

    Args:
        values: The bars.
        most: The length of the scale, where that is not the longest bar, as 1 for shares.
    """
    labels = [one.label for one in values]
    rows = [{"label": one.label, "value": one.value, "text": one.text} for one in values]
    longest = most or max((one.value for one in values), default=0) or 1
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        y=alt.Y("label:N", sort=labels, axis=alt.Axis(labelLimit=170, labelColor=INK, grid=False)),
        x=alt.X("value:Q", scale=alt.Scale(domain=[0, longest * 1.3]), axis=None),
        tooltip=[alt.Tooltip("label:N", title="what"), alt.Tooltip("text:N", title="value")],
    )
    drawn = base.mark_bar(color=SERIES[0], height={"band": 0.62}, cornerRadiusEnd=2)
    return _finished(drawn + base.mark_text(align="left", dx=6).encode(text="text:N"), height=_BAR * len(labels))


def lines(
    points: Sequence[Point], *, axis_format: str = ",.0f", low: float | None = 0, height: int = 220
) -> Specification:
    """Lines over days, one a series in the order in which they first come, at most ``MOST_SERIES``.

    Args:
        points: The values; marked ones get a ring.
        axis_format: How the values are written at the axis.
        low: Where the axis begins; None where the values say it, for those that may be negative.
        height: In pixels.
    """
    names = list(dict.fromkeys(point.series for point in points))[:MOST_SERIES]
    rows = [
        {"series": one.series, "day": one.day.isoformat(), "value": one.value, "text": one.text, "marked": one.marked}
        for one in points
        if one.series in names
    ]
    highest = max((one.value for one in points if one.value is not None), default=0)
    domain: dict[str, Any] = {} if low is None else {"domainMin": low}
    if low is not None and highest <= low:
        domain["domainMax"] = low + 1
    several = len(names) > 1
    legend = alt.Legend() if several else None
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X("day:T", axis=_days_axis(rows)),
        y=alt.Y("value:Q", scale=alt.Scale(**domain, nice=True), axis=alt.Axis(format=axis_format, tickCount=4)),
        color=alt.Color("series:N", sort=names, scale=alt.Scale(domain=names, range=list(SERIES)), legend=legend),
        tooltip=[
            alt.Tooltip("series:N", title="what"),
            alt.Tooltip("day:T", title="day", format="%-d %b %Y"),
            alt.Tooltip("text:N", title="value"),
        ],
    )
    days = len({row["day"] for row in rows})
    # Points that are not seen are for the pointer; so many days have too many of them, and a table of their own.
    seen, unseen = {"size": 36, "filled": True}, {"size": 60, "filled": True, "opacity": 0}
    drawn: alt.Chart | alt.LayerChart = base.mark_line(
        strokeWidth=2 if days <= _MANY_DAYS else 1.25,
        point=seen if days <= _FEW_DAYS else unseen if days <= _MANY_DAYS else False,
    ).encode(
        strokeDash=alt.StrokeDash(
            "series:N", sort=names, scale=alt.Scale(domain=names, range=list(DASHES)), legend=legend
        )
    )
    if any(row["marked"] for row in rows):
        rings = base.mark_point(size=120, filled=False, strokeWidth=2, color=ALARM).transform_filter("datum.marked")
        drawn = drawn + rings.encode(color=alt.value(ALARM))
    return _finished(drawn, height=height)


def heat(cells: Sequence[Cell], *, most: float = 1.0) -> Specification:
    """A table of shares whose cells are the deeper the larger the share, with the share written in each.

    Args:
        cells: Row by row.
        most: The share that has the deepest colour.
    """
    down = list(dict.fromkeys(cell.row for cell in cells))
    across = list(dict.fromkeys(cell.column for cell in cells))
    rows = [
        {"row": one.row, "column": one.column, "share": one.share, "text": one.text, "hint": one.hint} for one in cells
    ]
    labels: dict[str, Any] = {"labelColor": INK, "grid": False, "labelLimit": 150}
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        y=alt.Y("row:N", sort=down, axis=alt.Axis(**labels)),
        x=alt.X(
            "column:N",
            sort=across,
            axis=alt.Axis(orient="top", labelAngle=-40 if _is_wordy(across) else 0, labelOverlap=False, **labels),
        ),
        tooltip=[alt.Tooltip("hint:N", title="")],
    )
    depth = alt.FillOpacity("share:Q", scale=alt.Scale(domain=[0, most], range=[0.04, 1], clamp=True), legend=None)
    squares = base.mark_rect(color=HEAT, stroke=None).encode(fillOpacity=depth)
    words = base.mark_text(fontSize=11).encode(
        text="text:N", color=alt.condition(f"datum.share > {0.7 * most}", alt.value(ON_HEAT), alt.value(INK))
    )
    # Slanted labels reach beyond the last column.
    return _finished(squares + words, height=_CELL * len(down), right=70 if _is_wordy(across) else 5)


def intervals(values: Sequence[Interval], *, unit: str) -> Specification:
    """Estimates as points on the lines of their intervals, beside the line of no difference.

    Args:
        values: In the order in which they stand.
        unit: What the axis is in.
    """
    labels = [one.label for one in values]
    rows = [{"label": one.label, "low": one.low, "middle": one.middle, "high": one.high} for one in values]
    widest = max((max(abs(one.low), abs(one.high)) for one in values), default=1) or 1
    scale = alt.Scale(domain=[-widest * 1.1, widest * 1.1], nice=True)
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        y=alt.Y("label:N", sort=labels, axis=alt.Axis(labelLimit=200, labelColor=INK, grid=False)),
        tooltip=[
            alt.Tooltip("label:N", title="what"),
            alt.Tooltip("middle:Q", title="difference", format="+.2f"),
            alt.Tooltip("low:Q", title="from", format="+.2f"),
            alt.Tooltip("high:Q", title="to", format="+.2f"),
        ],
    )
    axis = alt.Axis(title=unit, titleColor=MUTED, titleFontWeight="normal", tickCount=5, labelExpr=_SIGNED)
    spans = base.mark_rule(strokeWidth=2, color=SERIES[0]).encode(x=alt.X("low:Q", scale=scale, axis=axis), x2="high:Q")
    middles = base.mark_point(filled=True, size=90, color=SERIES[0], opacity=1).encode(x=alt.X("middle:Q", scale=scale))
    zero = (
        alt.Chart(alt.InlineData(values=[{"zero": 0}]))
        .mark_rule(color=MUTED, strokeDash=[3, 3])
        .encode(x=alt.X("zero:Q", scale=scale))
    )
    return _finished(zero + spans + middles, height=_CELL * len(labels) + 20)


def _finished(chart: alt.Chart | alt.LayerChart, *, height: int, right: int = 5) -> Specification:
    """As wide as its place, and in the report's style."""
    made: dict[str, Any] = chart.properties(
        width="container", height=height, autosize=alt.AutoSizeParams(type="fit-x", contains="padding")
    ).to_dict()
    made.pop("$schema", None)
    return {**made, "padding": {"left": 5, "top": 5, "bottom": 5, "right": right}, "config": _CONFIG}


def _days_axis(rows: Sequence[dict[str, Any]]) -> alt.Axis:
    """Months for long times, days for short ones."""
    if _long(rows):
        ticks: dict[str, Any] = {"tickCount": {"interval": "month", "step": 1}, "format": "%b %y"}
    else:
        ticks = {"tickCount": 5, "format": "%-d %b"}
    return alt.Axis(grid=False, labelOverlap=True, labelSeparation=8, **ticks)


def _long(rows: Sequence[dict[str, Any]]) -> bool:
    """Whether the days are best told as months."""
    days = sorted(str(row["day"]) for row in rows)
    return bool(days) and (date.fromisoformat(days[-1]) - date.fromisoformat(days[0])).days > 92


def _is_wordy(labels: Sequence[str]) -> bool:
    return max((len(label) for label in labels), default=0) > 6
