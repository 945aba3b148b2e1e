"""`runReport`: from the cube to rows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from millstream.sandbox.ga4.errors import invalid
from millstream.sandbox.ga4.fields import FieldFacts, compatible, dimension, metric
from millstream.sandbox.ga4.filters import Flags, decide, fields_of, matches_number, matches_text
from millstream.sandbox.ga4.measures import Groups, Numbers, measure, written
from millstream.sandbox.ga4.requests import DateRange, Filter, OrderBy, ReportRequest, rows_of_page
from millstream.sandbox.ga4.traffic import DAYS, EVENTS, Dimension, Ints, Traffic
from millstream.sandbox.system import Call, JsonObject

CURRENCY = "EUR"
TIME_ZONE = "Etc/UTC"
RATES = {"": 1.0, "EUR": 1.0, "USD": 1.1, "GBP": 0.85}
DATE_RANGE = "dateRange"
_DAYS_AGO = re.compile(r"(\d{1,5})daysAgo")


@dataclass(slots=True)
class Table:
    """Rows before paging: dimension values as texts, one array a metric."""

    keys: list[tuple[str, ...]]
    numbers: list[Numbers]


class Report:
    """One request, checked and carried out.

    Args:
        traffic: The cube.
        request: What is asked for.
        today: The property's present day.

    Raises:
        ApiError: Unknown or incompatible fields, impossible dates, ...
    """

    def __init__(self, traffic: Traffic, request: ReportRequest, today: date) -> None:
        self._traffic = traffic
        self._request = request
        self._today = today
        self._dimensions = [dimension(one.name) for one in request.dimensions if one.name != DATE_RANGE]
        self._metrics = [metric(one.name) for one in request.metrics]
        self._names = [one.name for one in self._dimensions]
        self._asked = [one.name for one in request.metrics]
        self._ranges = [self._days(one) for one in request.date_ranges]
        self._range_names = [one.name or f"date_range_{place}" for place, one in enumerate(request.date_ranges)]
        self._several = len(self._ranges) > 1 or any(one.name == DATE_RANGE for one in request.dimensions)
        self._check()
        self._load()

    @property
    def cost(self) -> int:
        """Quota tokens: more days and dimensions cost more."""
        days = sum(end - start + 1 for start, end in self._ranges)
        return 1 + len(self._dimensions) // 2 + max(0, days) // 10

    def _check(self) -> None:
        request = self._request
        if not request.metrics and not request.dimensions:
            raise invalid("A report needs at least one dimension or metric.")
        if not request.date_ranges:
            raise invalid("A report needs at least one dateRange.")
        if len(set(self._names)) < len(self._names) or len(set(self._asked)) < len(self._asked):
            raise invalid("A field appears more than once.")
        if request.currency_code not in RATES:
            raise invalid(f"Currency {request.currency_code} is not known here.")
        filtered = [dimension(name) for name in fields_of(request.dimension_filter)]
        for name in fields_of(request.metric_filter):
            if name not in self._asked:
                raise invalid(f"The metric {name} of metricFilter must be in metrics.")
        check_compatible([*self._dimensions, *filtered, *self._metrics])

    def _days(self, asked: DateRange) -> tuple[int, int]:
        start, end = self._day(asked.start_date), self._day(asked.end_date)
        if start > end:
            raise invalid(f"startDate {asked.start_date} is after endDate {asked.end_date}.")
        if asked.name is not None and (asked.name.startswith(("date_range_", "RESERVED_")) or not asked.name):
            raise invalid(f"{asked.name!r} cannot be the name of a date range.")
        return (start - self._traffic.first_day).days, (end - self._traffic.first_day).days

    def _day(self, text: str) -> date:
        ago = _DAYS_AGO.fullmatch(text)
        if text in {"today", "yesterday"} or ago is not None:
            days = int(ago[1]) if ago is not None else int(text == "yesterday")
            return self._today - timedelta(days=days)
        try:
            if len(text) != 10:
                raise ValueError
            return date.fromisoformat(text)
        except ValueError as error:
            raise invalid(f"Invalid date {text!r}: use YYYY-MM-DD, NdaysAgo, yesterday or today.") from error

    # Cells

    def _load(self) -> None:
        traffic = self._traffic
        cells = np.arange(len(traffic.day))
        self._events: Ints | None = None
        self._sums = traffic.sums
        if "eventName" in [*self._names, *fields_of(self._request.dimension_filter)]:
            cells, self._events, self._sums = traffic.by_event()
        self._cells = cells
        self._day_of = traffic.day[cells]
        self._wanted = np.ones(len(cells), dtype=np.bool_)
        if self._metrics and all(one.of_items for one in self._metrics):
            self._wanted &= self._sums["purchases"] > 0
        if self._request.dimension_filter is not None:
            self._wanted &= decide(self._request.dimension_filter, self._let_through)

    def _value(self, name: str) -> Dimension:
        if name == "eventName":
            events = self._events if self._events is not None else np.empty(0, dtype=np.int64)
            return Dimension(events, EVENTS)
        made = self._traffic.dimension(name)
        return Dimension(made.codes[self._cells], made.values)

    def _let_through(self, condition: Filter) -> Flags:
        value = self._value(condition.field_name)
        return np.asarray(matches_text(condition, value.values)[value.codes], dtype=np.bool_)

    # Rows

    def table(self, *, grouped: bool = True) -> Table:
        """All rows, or (not grouped) one row for each date range with the totals."""
        keys: list[tuple[str, ...]] = []
        numbers: list[list[Numbers]] = []
        for (start, end), name in zip(self._ranges, self._range_names, strict=True):
            chosen = self._wanted & (self._day_of >= max(start, 0)) & (self._day_of <= min(end, DAYS - 1))
            found, groups, count = self._grouped(np.flatnonzero(chosen), grouped=grouped)
            keys += [(*key, name) for key in found] if self._several else found
            numbers.append([measure(groups, one.name)[:count] for one in self._metrics])
        return Table(keys, [np.concatenate(columns) for columns in zip(*numbers, strict=True)])

    def _grouped(self, rows: Ints, *, grouped: bool) -> tuple[list[tuple[str, ...]], Groups, int]:
        code = np.zeros(len(rows), dtype=np.int64)
        values = [self._value(name) for name in self._names] if grouped else []
        for value in values:
            code = code * len(value.values) + value.codes[rows]
        present, first, place = np.unique(code, return_index=True, return_inverse=True)
        columns = [[value.values[at] for at in value.codes[rows[first]].tolist()] for value in values]
        keys: list[tuple[str, ...]] = list(zip(*columns, strict=True)) if columns else [() for _ in present]
        rate = RATES[self._request.currency_code]
        sums = {name: column[rows] for name, column in self._sums.items()}
        return keys, Groups(place, len(present), self._day_of[rows], sums, rate), len(present)

    def answer(self, call: Call) -> JsonObject:
        """The body of the answer, without the quota."""
        request = self._request
        table = self.table()
        order = self._order(table)
        if table.numbers and not request.keep_empty_rows:
            order = order[np.any(np.stack(table.numbers) != 0, axis=0)[order]]
        if request.metric_filter is not None:
            through = decide(request.metric_filter, lambda one: self._metric_through(one, table))
            order = order[through[order]]
        start, limit = rows_of_page(request.offset, request.limit)
        page = order[start : start + call.page_limit(limit)]
        body: JsonObject = {"dimensionHeaders": [{"name": name} for name in self._headers()]}
        body["metricHeaders"] = [
            {"name": asked, "type": one.type} for asked, one in zip(self._asked, self._metrics, strict=True)
        ]
        # As in all of protobuf's JSON, what is empty or nought is not there at all.
        body = {name: value for name, value in body.items() if value}
        if len(page):
            body["rows"] = self._rows(table, page.tolist())
        if len(order):
            body["rowCount"] = len(order)
            body |= self._aggregations(table, order)
        body["metadata"] = {"currencyCode": request.currency_code or CURRENCY, "timeZone": TIME_ZONE}
        return {**body, "kind": "analyticsData#runReport"}

    def _headers(self) -> list[str]:
        return [*self._names, DATE_RANGE] if self._several else self._names

    def _rows(self, table: Table, places: list[int]) -> list[JsonObject]:
        texts = [
            [written(one.name, number) for number in column[places].tolist()]
            for one, column in zip(self._metrics, table.numbers, strict=True)
        ]
        columns = list(zip(*texts, strict=True)) if texts else [()] * len(places)
        return [_row(table.keys[place], numbers) for place, numbers in zip(places, columns, strict=True)]

    def _metric_through(self, condition: Filter, table: Table) -> Flags:
        return matches_number(condition, table.numbers[self._asked.index(condition.field_name)])

    # Order

    def _order(self, table: Table) -> Ints:
        places = list(range(len(table.keys)))
        keys = self._request.order_bys
        for one in reversed(keys):
            values = self._sort_values(one, table)
            places.sort(key=values.__getitem__, reverse=one.desc)
        if not keys and table.numbers:
            places.sort(key=table.numbers[0].tolist().__getitem__, reverse=True)
        return np.asarray(places, dtype=np.int64)

    def _sort_values(self, one: OrderBy, table: Table) -> list[float] | list[str]:
        if one.metric is not None and one.metric.metric_name in self._asked:
            numbers: list[float] = table.numbers[self._asked.index(one.metric.metric_name)].tolist()
            return numbers
        if one.dimension is None or one.dimension.dimension_name not in self._headers():
            raise invalid("orderBys may only name dimensions and metrics of the report.")
        column = self._headers().index(one.dimension.dimension_name)
        texts = [key[column] for key in table.keys]
        if one.dimension.order_type == "NUMERIC":
            return [float(text) if text.isdigit() else -1.0 for text in texts]
        return texts if one.dimension.order_type == "ALPHANUMERIC" else [text.lower() for text in texts]

    # Totals

    def _aggregations(self, table: Table, order: Ints) -> JsonObject:
        found: JsonObject = {}
        wanted = set(self._request.metric_aggregations)
        if "TOTAL" in wanted:
            totals = self.table(grouped=False)
            found["totals"] = [
                self._reserved("TOTAL", [column[place] for column in totals.numbers], place)
                for place in range(len(totals.keys))
            ]
        for kind, key, reduce in (("MINIMUM", "minimums", np.min), ("MAXIMUM", "maximums", np.max)):
            if kind in wanted:
                found[key] = [self._reserved(kind[:3], [float(reduce(column[order])) for column in table.numbers], 0)]
        return found

    def _reserved(self, kind: str, numbers: list[float], place: int) -> JsonObject:
        key = [f"RESERVED_{kind}" for _ in self._names]
        key += [self._range_names[place]] if self._several else []
        texts = [written(one.name, number) for one, number in zip(self._metrics, numbers, strict=True)]
        return _row(tuple(key), tuple(texts))


def check_compatible(fields: list[FieldFacts]) -> None:
    """Refuse fields that cannot stand in one report."""
    for place, one in enumerate(fields):
        bad = [other.name for other in fields[place + 1 :] if not compatible(one, other)]
        if bad:
            raise invalid(
                f"Please remove {', '.join(bad)} to make the request compatible: "
                f"the fields cannot be reported together with {one.name}."
            )


def _row(dimensions: tuple[str, ...], metrics: tuple[str, ...]) -> JsonObject:
    row: JsonObject = {}
    if dimensions:
        row["dimensionValues"] = [{"value": value} for value in dimensions]
    if metrics:
        row["metricValues"] = [{"value": value} for value in metrics]
    return row
