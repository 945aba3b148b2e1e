"""Asking for one day of a report: one dimension a request, each further one for every item of the one before."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from millstream.sources.parallel import in_order
from millstream.state.errors import IncompleteError, MalformedAnswerError, RefusedError, SchemaError

if TYPE_CHECKING:
    from millstream.sources.adobe_analytics.company import Company
    from millstream.sources.adobe_analytics.settings import AdobeAnalyticsSettings, Report
    from millstream.sources.pull import Pull

_CHANGED = "the API may have changed: update the connector, or leave the report out for now."


@dataclass(frozen=True)
class Item:
    """An item of a dimension."""

    item_id: str
    value: str


@dataclass(frozen=True)
class Figures:
    """A row: its items, one for each dimension so far, and the metrics."""

    items: tuple[Item, ...]
    metrics: tuple[float | None, ...]


@dataclass
class Found:
    """Rows of a day, or of one item on it.

    Attributes:
        rows: The rows.
        left_out: Items that a limit left out.
        requests: How many it took.
    """

    rows: list[Figures] = field(default_factory=list)
    left_out: int = 0
    requests: int = 0


@dataclass(frozen=True)
class _Question:
    """What is asked: a day of a report, down to a dimension."""

    pull: Pull
    report: Report
    day: date
    depth: int = 0

    @property
    def most(self) -> int | None:
        """How many items are wanted; None: all, as of the last dimension."""
        return None if self.depth == len(self.report.dimensions) - 1 else self.report.most_items


class Asker:
    """Reads days of reports."""

    def __init__(self, settings: AdobeAnalyticsSettings, company: Company) -> None:
        self._settings = settings
        self._company = company

    def day(self, pull: Pull, report: Report, day: date) -> Found:
        """All rows of a day."""
        if not report.dimensions:
            body = self._ask(_Question(pull, report, day))
            totals = (body.get("summaryData") or {}).get("totals")
            return Found([Figures((), _metrics(body, totals, report))], requests=1)
        found = Found([Figures((), ())])
        for depth in range(len(report.dimensions)):
            work = partial(self._level, _Question(pull, report, day, depth))
            parents = [row.items for row in found.rows]
            found.rows = []
            for _, level in in_order(work, parents, at_once=self._settings.requests_at_once):
                found.rows.extend(level.rows)
                found.left_out += level.left_out
                found.requests += level.requests
        return found

    def look(self, pull: Pull, report: Report, day: date) -> None:
        """Ask for one row of a report's first dimension."""
        self._ask(_Question(pull, report, day))

    def _level(self, question: _Question, above: tuple[Item, ...]) -> Found:
        """The items that an item breaks down into, page by page.

        Raises:
            IncompleteError: Fewer rows came than were announced.
        """
        most = question.most
        limit = min(self._settings.page_size, most or self._settings.page_size)
        level = Found()
        while True:
            answer = self._ask(question, above, limit=limit, page=level.requests)
            level.requests += 1
            rows = [_figures(row, answer, question.report, above) for row in _rows(answer)]
            level.rows.extend(rows)
            announced = int(answer.get("totalElements") or 0)
            if most is not None and len(level.rows) >= most:
                level.left_out = max(announced - most, 0)
                level.rows = level.rows[:most]
                return level
            if answer.get("lastPage") is True or not rows or 0 < announced <= len(level.rows):
                if len(level.rows) < announced:
                    name = question.report.dimensions[question.depth]
                    raise IncompleteError(
                        f"Adobe announced {announced} items of {name} and gave {len(level.rows)}.",
                        remedy="run again; the day was not counted as read.",
                    )
                return level

    def _ask(
        self, question: _Question, above: tuple[Item, ...] = (), *, limit: int = 1, page: int = 0
    ) -> Mapping[str, Any]:
        body = self._body(question, above)
        body["settings"] |= {"limit": limit, "page": page}
        return _checked(question.pull.post(self._company.path(question.pull, "reports"), body), body)

    def _body(self, question: _Question, above: tuple[Item, ...]) -> dict[str, Any]:
        report, day = question.report, question.day
        filters = [
            {"id": str(n), "type": "breakdown", "dimension": f"variables/{name}", "itemId": item.item_id}
            for n, (name, item) in enumerate(zip(report.dimensions, above, strict=False))
        ]
        filtered = {"filters": [one["id"] for one in filters]} if filters else {}
        metrics: list[dict[str, Any]] = [
            {"columnId": str(n), "id": f"metrics/{name}", **filtered} for n, name in enumerate(report.metrics)
        ]
        body: dict[str, Any] = {
            "rsid": self._settings.rsid,
            "globalFilters": [
                {"type": "dateRange", "dateRange": f"{day}T00:00:00.000/{day + timedelta(days=1)}T00:00:00.000"},
                *({"type": "segment", "segmentId": one} for one in report.segments),
            ],
            "metricContainer": {"metrics": metrics} | ({"metricFilters": filters} if filters else {}),
            "settings": {"countRepeatInstances": True},
        }
        if report.dimensions:
            dimension = report.dimensions[question.depth]
            body["dimension"] = f"variables/{dimension}"
            body["settings"]["nonesBehavior"] = "exclude-nones" if dimension in report.identifiers else "return-nones"
            if question.most is not None:
                metrics[0]["sort"] = "desc"
            else:
                # By its name an item stays where it is while pages are read; ranks may change.
                body["settings"]["dimensionSort"] = "asc"
        return body


def _checked(answer: Any, body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The answer, if it has every column that was asked for.

    Raises:
        RefusedError: A metric cannot be had; the other columns came all the same.
    """
    columns = answer.get("columns") if isinstance(answer, dict) else None
    if not isinstance(answer, dict) or not isinstance(columns, dict):
        raise MalformedAnswerError("POST reports answered without columns.", remedy=_CHANGED)
    for error in columns.get("columnErrors") or []:
        metric = next(
            (one["id"] for one in body["metricContainer"]["metrics"] if one["columnId"] == error.get("columnId")), "?"
        )
        raise RefusedError(
            f"Adobe gives no {metric}: {error.get('errorCode')} - {error.get('errorDescription')}",
            status=400,
            remedy="take it out of the report, or have it enabled in the report suite and in the product profile.",
        )
    return answer


def _rows(answer: Mapping[str, Any]) -> list[Any]:
    rows = answer.get("rows")
    if not isinstance(rows, list):
        raise MalformedAnswerError("POST reports answered without rows.", remedy=_CHANGED)
    return rows


def _figures(row: Mapping[str, Any], answer: Mapping[str, Any], report: Report, above: tuple[Item, ...]) -> Figures:
    if "itemId" not in row or "value" not in row:
        raise SchemaError("A report's row has no itemId and value.", remedy=_CHANGED)
    item = Item(str(row["itemId"]), str(row["value"]))
    return Figures((*above, item), _metrics(answer, row.get("data"), report))


def _metrics(answer: Mapping[str, Any], data: Any, report: Report) -> tuple[float | None, ...]:
    """The metrics in the report's order: the answer says which of its numbers is which."""
    ids = answer["columns"].get("columnIds")
    if not isinstance(ids, list) or not isinstance(data, list) or len(ids) != len(data):
        raise SchemaError("A report's numbers do not go with its columnIds.", remedy=_CHANGED)
    by_id = dict(zip(map(str, ids), data, strict=True))
    missing = [name for n, name in enumerate(report.metrics) if str(n) not in by_id]
    if missing:
        raise SchemaError(f"The report has no column for {missing[0]}.", remedy=_CHANGED)
    return tuple(_number(by_id[str(n)]) for n in range(len(report.metrics)))


def _number(value: Any) -> float | None:
    """A figure; quotients of nothing are no number."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def days_between(first: date, last: date) -> Iterator[date]:
    """Days, the last one included."""
    return (first + timedelta(days=n) for n in range((last - first).days + 1))
