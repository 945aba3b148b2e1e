"""Ranked reports: from hits to rows."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from millstream.sandbox.adobe_analytics import catalogue, visits
from millstream.sandbox.adobe_analytics.catalogue import DIMENSIONS, METRICS
from millstream.sandbox.adobe_analytics.dimensions import (
    GRAINS,
    UNSPECIFIED,
    Facts,
    Items,
    period,
    periods,
)
from millstream.sandbox.adobe_analytics.errors import invalid, refusal
from millstream.sandbox.adobe_analytics.requests import (
    LARGEST_LIMIT,
    ReportFilter,
    ReportMetric,
    ReportRequest,
    date_range,
    whole_number,
)
from millstream.sandbox.adobe_analytics.visits import Flags, Longs
from millstream.sandbox.draws import share
from millstream.sandbox.system import Answer, Call, JsonObject

Numbers = NDArray[np.float64]
_QUOTED = re.compile(r"'([^']*)'")
_PRICES = np.asarray([price for _, price in visits.PRODUCTS], np.int64)


@dataclass(slots=True)
class Row:
    """One item with a number for each column."""

    item_id: str
    value: str
    data: list[float]
    place: int


@dataclass(slots=True)
class Column:
    """A column that can be shown, and the hits it counts."""

    metric: ReportMetric
    column_id: str
    wanted: Flags


class Report:
    """One request, checked and carried out.

    Args:
        facts: What happened.
        request: What is asked for.
        now: The present on the report suite's clock.
        hidden: Metrics that the caller may not see.

    Raises:
        ApiError: Unknown components, impossible dates, ...
    """

    def __init__(self, facts: Facts, request: ReportRequest, now: datetime, hidden: frozenset[str]) -> None:
        self._facts = facts
        self._request = request
        self._now = now
        self._hits = facts.hits
        self._errors: list[JsonObject] = []
        self._ranges = [
            date_range(one.date_range, now, formulas=True) for one in request.global_filters if one.type == "dateRange"
        ]
        if not self._ranges:
            raise invalid("globalFilters must hold a dateRange")
        self._dimension = dimension_name(request.dimension) if request.dimension is not None else None
        within = self._global()
        self._columns = self._make_columns(within, hidden)

    def _global(self) -> Flags:
        wanted = ~self._hits.excluded
        if self._request.rsid != catalogue.SUITE:
            wanted &= False
        inside = np.zeros(len(wanted), np.bool_)
        for start, end in self._ranges:
            inside |= (self._hits.local >= start) & (self._hits.local < end)
        for one in self._request.global_filters:
            if one.type != "dateRange":
                inside &= self._let_through(one)
        return np.asarray(wanted & inside, np.bool_)

    def _make_columns(self, within: Flags, hidden: frozenset[str]) -> list[Column]:
        container = self._request.metric_container
        filters = {one.id: one for one in container.metric_filters}
        made = []
        for place, metric in enumerate(container.metrics):
            column_id = metric.column_id if metric.column_id is not None else str(place)
            name = metric_name(metric.id)
            if name not in METRICS or name in hidden:
                self._errors.append(_column_error(column_id, metric.id, unknown=name not in METRICS))
                continue
            wanted = within.copy()
            for filter_id in metric.filters:
                if filter_id not in filters:
                    raise invalid(f"Metric {metric.id} names the filter {filter_id!r}, which metricFilters lack")
                wanted &= self._let_through(filters[filter_id])
            made.append(Column(metric, column_id, wanted))
        return made

    def _let_through(self, one: ReportFilter) -> Flags:
        if one.type == "dateRange":
            start, end = date_range(one.date_range, self._now, formulas=False)
            return np.asarray((self._hits.local >= start) & (self._hits.local < end), np.bool_)
        if one.type == "segment":
            return self._in_segment(one.segment_id)
        if one.type == "breakdown" and (one.item_id is None) != (one.item_value is None):
            items = self._facts.items(dimension_name(one.dimension or ""))
            return np.asarray(items.codes == items.find(one.item_id, one.item_value), np.bool_)
        raise invalid(f"A filter of type {one.type} needs a dimension and an itemId or an itemValue")

    def _in_segment(self, segment_id: str | None) -> Flags:
        if segment_id == catalogue.BUYERS:
            bought = np.zeros(len(self._facts.visits.device), np.bool_)
            bought[self._hits.visit[self._hits.page == visits.ORDER]] = True
            return np.asarray(bought[self._hits.visit], np.bool_)
        if segment_id == catalogue.MOBILE:
            kinds = self._facts.items("mobiledevicetype")
            return np.asarray(kinds.codes == kinds.find(None, "Mobile Phone"), np.bool_)
        raise refusal(400, "invalid_segment_ids_found", f"Invalid segment ids found: {segment_id}")

    # The answer

    def answer(self, call: Call) -> Answer:
        """The body of the answer; 206 where a column could not be shown."""
        totals = [self._total(column) for column in self._columns]
        ids: JsonObject = {"columnIds": [column.column_id for column in self._columns]}
        if self._errors:
            ids["columnErrors"] = self._errors
        status = 206 if self._errors else 200
        if self._dimension is None:
            return Answer({"columns": ids, "summaryData": {"totals": totals}}, status)
        rows = self._searched(self._rows(self._dimension))
        settings = self._request.settings
        limit = call.page_limit(whole_number(settings.limit, "limit", 1, LARGEST_LIMIT))
        number = whole_number(settings.page, "page", 0, 10**9)
        pages = math.ceil(len(rows) / limit)
        page = rows[number * limit : (number + 1) * limit]
        kind = DIMENSIONS[self._dimension].type
        body: JsonObject = {
            "totalPages": pages,
            "firstPage": number == 0,
            "lastPage": number >= pages - 1,
            "numberOfElements": len(page),
            "number": number,
            "totalElements": len(rows),
            "columns": {"dimension": {"id": f"variables/{self._dimension}", "type": kind}, **ids},
            "rows": [{"itemId": row.item_id, "value": row.value, "data": row.data} for row in page],
            "summaryData": self._summary(rows, totals),
        }
        return Answer(body, status)

    def _summary(self, rows: list[Row], totals: list[float]) -> JsonObject:
        summary: JsonObject = {"totals": totals}
        columns = [[row.data[place] for row in rows] for place in range(len(self._columns))]
        if self._request.search.clause or self._request.search.item_ids is not None:
            summary["filteredTotals"] = [round(math.fsum(column), 2) for column in columns]
        reductions: dict[str, Callable[[list[float]], float]] = {
            "col-max": max,
            "col-min": min,
            "col-sum": math.fsum,
            "mean": lambda column: math.fsum(column) / len(column),
        }
        for name in self._request.statistics.functions:
            summary[name] = [reductions[name](column) if column else 0.0 for column in columns]
        return summary

    # Numbers

    def _total(self, column: Column) -> float:
        return float(self._measured(column, np.zeros(len(self._hits.time), np.int64), 1)[0])

    def _measured(self, column: Column, codes: Longs, count: int) -> Numbers:
        """The metric for each code."""
        name, hits = metric_name(column.metric.id), self._hits
        chosen = np.flatnonzero(column.wanted & (codes >= 0))
        if name in {"visits", "visitors", "bounces"}:
            if name == "bounces":
                chosen = chosen[hits.count[chosen] == 1]
            what = self._facts.device[chosen] if name == "visitors" else hits.visit[chosen]
            different = np.unique(codes[chosen] * np.int64(len(hits.visit) + 1) + what)
            counted = np.bincount(different // (len(hits.visit) + 1), minlength=count)
            return np.asarray(counted, np.float64)
        sums = np.bincount(codes[chosen], self._weights(name, chosen), count)
        return np.asarray(np.round(sums, 2), np.float64)

    def _weights(self, name: str, chosen: Longs) -> Numbers:
        hits = self._hits
        page, bits = hits.page[chosen], hits.bits[chosen]
        ordered = page == visits.ORDER
        units = ordered * quantity(bits)
        measures: dict[str, NDArray[np.int64] | NDArray[np.bool_] | Numbers] = {
            "occurrences": np.ones(len(chosen)),
            "pageviews": page >= 0,
            "cartadditions": page == visits.CART,
            "orders": ordered,
            "units": units,
            "revenue": units * _PRICES[hits.product[chosen]] / 100,
            "event1": hits.sign_in[chosen],
        }
        return np.asarray(measures[name], np.float64)

    # Rows

    def _rows(self, dimension: str) -> list[Row]:
        items = self._facts.items(dimension)
        exclude_nones = self._request.settings.nones_behavior == "exclude-nones"
        # The code after the last one stands for "no value".
        codes = np.where(items.codes < 0, -1 if exclude_nones else len(items.values), items.codes)
        count = len(items.values) + 1
        data = [self._measured(column, codes, count) for column in self._columns]
        seen = np.zeros(count, np.bool_)
        for column in self._columns:
            seen[np.unique(codes[column.wanted & (codes >= 0)])] = True
        rows = [_row(items, place, data) for place in np.flatnonzero(seen).tolist()]
        grain = dimension.removeprefix("daterange")
        if grain in GRAINS and grain != "minute":
            rows = self._with_empty_periods(grain, rows)
        return self._sorted(rows, of_time=grain in GRAINS)

    def _with_empty_periods(self, grain: str, rows: list[Row]) -> list[Row]:
        found = {row.item_id: row for row in rows}
        made = []
        for start in sorted({start for one in self._ranges for start in periods(grain, *one)}):
            item, value = period(grain, start)
            made.append(found.get(item) or Row(item, value, [0.0] * len(self._columns), 0))
        return made

    def _sorted(self, rows: list[Row], *, of_time: bool) -> list[Row]:
        settings = self._request.settings
        by_metric = next((place for place, one in enumerate(self._columns) if one.metric.sort), None)
        if by_metric is not None:
            descending = self._columns[by_metric].metric.sort == "desc"
            return sorted(rows, key=lambda row: row.data[by_metric], reverse=descending)
        if of_time:
            # Rows of time come in its order.
            return rows[::-1] if settings.dimension_sort == "desc" else rows
        if settings.dimension_sort is not None:
            return sorted(rows, key=lambda row: row.value, reverse=settings.dimension_sort == "desc")
        return sorted(rows, key=lambda row: row.data[0] if row.data else 0.0, reverse=True)

    def _searched(self, rows: list[Row]) -> list[Row]:
        search = self._request.search
        if search.item_ids is not None:
            wanted = {str(one) for one in search.item_ids}
            rows = [row for row in rows if row.item_id in wanted]
        excluded = {str(one) for one in search.exclude_item_ids}
        rows = [row for row in rows if row.item_id not in excluded]
        if search.clause:
            texts = [text.lower() for text in _QUOTED.findall(search.clause)]
            if not texts:
                raise invalid("search.clause needs a text in single quotes")
            rows = [row for row in rows if any(text in row.value.lower() for text in texts)]
        return rows


def quantity(bits: NDArray[np.uint64]) -> Longs:
    """How many pieces an order has."""
    return np.asarray(share(bits, 3) % 3, np.int64) + 1


def dimension_name(text: str) -> str:
    """A dimension as the catalogue calls it."""
    name = text.removeprefix("variables/")
    if name not in DIMENSIONS:
        raise refusal(400, "invalid_dimension_access", f"The dimension {text} is not known in this report suite")
    return name


def metric_name(text: str) -> str:
    """A metric as the catalogue calls it; it may not be there."""
    if not text.startswith("metrics/"):
        raise refusal(400, "invalid_metric_access", f"The metric {text} is not known")
    return text.removeprefix("metrics/")


def _row(items: Items, place: int, data: list[Numbers]) -> Row:
    numbers = [float(column[place]) for column in data]
    if place == len(items.values):
        return Row("0", UNSPECIFIED, numbers, place)
    return Row(items.ids[place], items.values[place], numbers, place)


def _column_error(column_id: str, metric: str, *, unknown: bool) -> JsonObject:
    return {
        "columnId": column_id,
        "errorCode": "not_enabled_metric" if unknown else "unauthorized_metric",
        "errorId": "5a1d0b6e-sandbox",
        "errorDescription": f"The metric {metric} is {'not enabled in this suite' if unknown else 'not permitted'}",
    }
