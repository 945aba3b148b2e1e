"""Searches, which match days where we need seconds.

Intercom compares the times in a query by calendar day, in the workspace's own time zone: "later than" begins with the
day after the one that was named, "earlier than" ends before it. So every query asks for a day more on each side than it
needs, whatever that zone is, and what lies outside the moments asked for is dropped here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from millstream.sources.contract import Endpoint
from millstream.sources.parallel import in_order
from millstream.sources.pull import records_at
from millstream.state.errors import IncompleteError, SchemaError
from millstream.state.vendors.intercom import LARGEST_PAGE

if TYPE_CHECKING:
    from millstream.sources.pull import Pull

ROWS_A_PAGE = LARGEST_PAGE
PARTS = 8
FOUNDED = datetime(2011, 1, 1, tzinfo=UTC)
"""Nothing in Intercom is older."""

_DAY = timedelta(days=1)
_MARGIN = timedelta(hours=26)
"""A day, and the hour by which some days are longer."""

Found = list[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Searched:
    """What is searched.

    Attributes:
        path: The search.
        records: Where the rows stand in its answer.
    """

    path: str
    records: str

    @property
    def endpoint(self) -> Endpoint:
        """For reading the records of an answer."""
        return Endpoint(path=self.path, records=self.records, method="POST")


CONTACTS = Searched(path="contacts/search?include_merge_history=true", records="data")
CONVERSATIONS = Searched(path="conversations/search", records="conversations")


@dataclass(frozen=True)
class Window:
    """Moments of creation from ``start`` to ``end`` (exclusive); None: no bound."""

    start: datetime | None
    end: datetime | None

    def parts(self, now: datetime) -> tuple[Window, ...]:
        """The window cut into parts of whole days; itself where it is too short for that."""
        start, end = self.start or FOUNDED, self.end or now + _DAY
        days = (end - start) // _DAY
        if days <= 1:
            return (self,)
        cuts = sorted({start + _DAY * round(days * n / PARTS) for n in range(1, PARTS)} - {start, end})
        bounds = [self.start, *cuts, self.end]
        return tuple(Window(one, other) for one, other in pairwise(bounds))


def changed(pull: Pull, what: Searched, since: datetime, until: datetime | None = None) -> Iterator[Found]:
    """Pages of rows whose last change lies in these moments, in the order of their change."""
    for page, _ in _pages(pull, what, "updated_at", Window(since, until)):
        yield page


def created(
    pull: Pull, what: Searched, window: Window, *, most: int, at_once: int
) -> Iterator[tuple[Found, Window | None]]:
    """Rows created in a window, read in parts at the same time; with the last rows of a part, the part.

    Args:
        pull: The pull.
        what: What is searched.
        window: When they were created.
        most: Rows of a part, unless they are of one day.
        at_once: Parts that are read at the same time.

    Raises:
        IncompleteError: Fewer rows came than were announced.
    """
    for part, found in in_order(partial(_whole, pull, what, most), window.parts(pull.pulled_at), at_once=at_once):
        if found is not None:
            yield found, part
        elif len(part.parts(pull.pulled_at)) > 1:
            yield from created(pull, what, part, most=most, at_once=at_once)
        else:
            for page, _ in _pages(pull, what, "created_at", part):
                yield page, None
            yield [], part


def count(pull: Pull, what: Searched, since: datetime | None = None) -> int:
    """How many rows there are, or were created since about a moment."""
    body = pull.post(what.path, _query("created_at", Window(since, None), {"per_page": 1}))
    records_at(body, what.endpoint)
    return int(body.get("total_count") or 0)


def one(pull: Pull, what: Searched) -> Found:
    """One row, if there is any."""
    return records_at(pull.post(what.path, _query("created_at", Window(None, None), {"per_page": 1})), what.endpoint)


def moment(row: Mapping[str, Any], field: str) -> datetime:
    """A time of a row.

    Raises:
        SchemaError: It is missing.
    """
    value = row.get(field)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SchemaError(
            f"A {row.get('type') or 'row'} has no {field!r} in seconds.",
            remedy="the API may have changed: update the connector, or leave the stream out for now.",
        )
    return datetime.fromtimestamp(value, UTC)


def _whole(pull: Pull, what: Searched, most: int, window: Window) -> Found | None:
    """Every row of a window, or None if there are too many to hold."""
    rows: Found = []
    for page, announced in _pages(pull, what, "created_at", window):
        if announced > most:
            return None
        rows.extend(page)
    return rows


def _pages(pull: Pull, what: Searched, field: str, window: Window) -> Iterator[tuple[Found, int]]:
    """Pages of rows of which a time lies in the window, and how many the search has found, margins included."""
    read = 0
    pagination: dict[str, Any] = {"per_page": ROWS_A_PAGE}
    while True:
        body = pull.post(what.path, _query(field, window, pagination))
        rows = records_at(body, what.endpoint)
        read, announced = read + len(rows), int(body.get("total_count") or 0)
        yield [row for row in rows if _within(moment(row, field), window)], announced
        after = _next(body)
        if after is None:
            if read < announced:
                raise IncompleteError(
                    f"A search announced {announced} rows and gave {read}.",
                    remedy="run again; the stream's place was not moved beyond what was read.",
                )
            return
        if after == pagination.get("starting_after"):
            raise IncompleteError("A search gave the same page twice.", remedy="run again.")
        pagination = {"per_page": ROWS_A_PAGE, "starting_after": after}


def _next(body: Mapping[str, Any]) -> str | None:
    following = (body.get("pages") or {}).get("next") or {}
    after = following.get("starting_after")
    return str(after) if after else None


def _within(value: datetime, window: Window) -> bool:
    return (window.start is None or value >= window.start) and (window.end is None or value < window.end)


def _query(field: str, window: Window, pagination: Mapping[str, Any]) -> dict[str, Any]:
    start = int((window.start - _MARGIN).timestamp()) if window.start else 0
    filters: list[dict[str, Any]] = [{"field": field, "operator": ">", "value": max(start, 0)}]
    if window.end is not None:
        filters.append({"field": field, "operator": "<", "value": int((window.end + _MARGIN).timestamp())})
    return {
        "query": filters[0] if len(filters) == 1 else {"operator": "AND", "value": filters},
        "pagination": dict(pagination),
        "sort": {"field": field, "order": "ascending"},
    }
