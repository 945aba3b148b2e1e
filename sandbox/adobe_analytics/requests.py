"""The body of a report request, and its date ranges. Fields not named here are let pass, as Adobe does."""

from __future__ import annotations

import calendar
import re
from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from millstream.sandbox.adobe_analytics.errors import invalid

LARGEST_LIMIT, DEFAULT_LIMIT = 50_000, 50
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BASE = re.compile(r"t([hdwmqy])((?:[+-]\d+[hdwmqy])*)")
_SHIFT = re.compile(r"([+-]\d+)([hdwmqy])")
_MONTHS = {"m": 1, "q": 3, "y": 12}


class _Part(BaseModel):
    model_config = ConfigDict(populate_by_name=True)


class ReportFilter(_Part):
    """One of `globalFilters`, or of a metric container's `metricFilters`."""

    type: Literal["dateRange", "breakdown", "segment", "excludeItemIds"]
    id: str | None = None
    dimension: str | None = None
    item_id: str | None = Field(None, alias="itemId")
    item_value: str | None = Field(None, alias="itemValue")
    segment_id: str | None = Field(None, alias="segmentId")
    date_range: str | None = Field(None, alias="dateRange")


class ReportMetric(_Part):
    """One column."""

    id: str
    column_id: str | None = Field(None, alias="columnId")
    filters: list[str] = []
    sort: Literal["asc", "desc"] | None = None


class MetricContainer(_Part):
    """All columns."""

    metrics: list[ReportMetric] = Field(min_length=1)
    metric_filters: list[ReportFilter] = Field([], alias="metricFilters")


class Search(_Part):
    """Which items to show."""

    clause: str | None = None
    item_ids: list[str | int] | None = Field(None, alias="itemIds")
    exclude_item_ids: list[str | int] = Field([], alias="excludeItemIds")


class Settings(_Part):
    """Paging and order."""

    limit: int | str = DEFAULT_LIMIT
    page: int | str = 0
    dimension_sort: Literal["asc", "desc"] | None = Field(None, alias="dimensionSort")
    nones_behavior: Literal["return-nones", "exclude-nones"] = Field("return-nones", alias="nonesBehavior")


class Statistics(_Part):
    """Columns' smallest and largest numbers."""

    functions: list[Literal["col-max", "col-min", "col-sum", "mean"]] = []


class ReportRequest(_Part):
    """What `POST /reports` takes."""

    rsid: str
    global_filters: list[ReportFilter] = Field(alias="globalFilters", min_length=1)
    metric_container: MetricContainer = Field(alias="metricContainer")
    dimension: str | None = None
    search: Search = Search()
    settings: Settings = Settings()
    statistics: Statistics = Statistics()


def whole_number(value: int | str, name: str, smallest: int, largest: int) -> int:
    """A number of `settings` or of a query, which may be written as a text."""
    text = str(value)
    if not (text.isascii() and text.isdigit() and smallest <= int(text) <= largest):
        raise invalid(f"{name} must be a whole number from {smallest} to {largest}, not {text!r}")
    return int(text)


def date_range(text: str | None, now: datetime, *, formulas: bool) -> tuple[int, int]:
    """A stretch of time in seconds on the suite's clock, its end left out.

    Args:
        text: `start/end`, each a moment without an offset or, where allowed, a formula such as `td-7d`.
        now: The present on the suite's clock.
        formulas: Whether formulas are allowed.
    """
    start, _, end = (text or "").partition("/")
    moments = [_moment(one, now, formulas=formulas) for one in (start, end)]
    if moments[0] >= moments[1]:
        raise invalid(f"The date range {text!r} does not end after its start")
    return moments[0], moments[1]


def _moment(text: str, now: datetime, *, formulas: bool) -> int:
    formula = _BASE.fullmatch(text)
    if formula is not None and formulas:
        return _seconds(_worked_out(formula[1], formula[2], now))
    try:
        if "T" not in text:
            raise ValueError
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise invalid(f"Invalid date range: {text!r} is not YYYY-MM-DDTHH:MM:SS.sss") from error
    if at.tzinfo is not None:
        raise invalid(f"Invalid date range: {text!r} must have no offset")
    # 23:59:59.999 is a day's last moment, the end of which is midnight.
    return _seconds(at.replace(tzinfo=UTC) + timedelta(milliseconds=999))


def _seconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(seconds=1)


def _worked_out(unit: str, shifts: str, now: datetime) -> datetime:
    at = now.replace(minute=0, second=0, microsecond=0, tzinfo=UTC)
    if unit != "h":
        at = at.replace(hour=0)
    if unit == "w":
        at -= timedelta(days=(at.weekday() + 1) % 7)
    elif unit in _MONTHS:
        at = at.replace(day=1, month={"m": at.month, "q": (at.month - 1) // 3 * 3 + 1, "y": 1}[unit])
    for shift in _SHIFT.finditer(shifts):
        at = _shifted(at, int(shift[1]), shift[2])
    return at


def _shifted(at: datetime, count: int, unit: str) -> datetime:
    if unit in _MONTHS:
        months = at.year * 12 + at.month - 1 + count * _MONTHS[unit]
        year, month = months // 12, months % 12 + 1
        return at.replace(year=year, month=month, day=min(at.day, calendar.monthrange(year, month)[1]))
    return at + timedelta(**{{"h": "hours", "d": "days", "w": "weeks"}[unit]: count})
