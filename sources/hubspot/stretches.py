"""Reading a long list from several places at once: HubSpot's lists go by id, and their cursor is one.

That the cursor is an id is seen and not promised. So it is looked at first, every page must keep to it, and where one
does not the list is read as a chain: each page from the cursor of the one before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import Queue
from threading import Lock
from typing import Any

from millstream.sources.contract import Row
from millstream.state.errors import RefusedError

ALONE = 5
"""Pages read one after the other first: most lists are short."""

PAGES_AHEAD = 4
"""Pages that each reader may be ahead of who takes them."""

_SMALLEST = 400
"""A stretch of fewer ids is not cut any more."""

Ask = Callable[[str], Mapping[str, Any]]
"""Asks for the page after a cursor."""


class NotByIdError(Exception):
    """The cursor is no id, so that the list can only be read as a chain."""


@dataclass(eq=False)
class Stretch:
    """Part of the ids.

    Attributes:
        after: Cursor of its next page.
        at: All ids up to this one are read, or are another stretch's.
        end: Its last id; None: it has no end.
    """

    after: str
    at: int
    end: int | None

    def length_up_to(self, highest: int) -> int:
        """How many of its ids are left, where none is higher."""
        return (highest if self.end is None else min(self.end, highest)) - self.at


def id_of(record: Mapping[str, Any]) -> int:
    """A record's id.

    Raises:
        NotByIdError: It is no number.
    """
    value = str(record.get("id", ""))
    if not value.isdigit():
        raise NotByIdError
    return int(value)


def cursor_of(body: Mapping[str, Any]) -> str | None:
    """The cursor of the next page, if there is one."""
    after = ((body.get("paging") or {}).get("next") or {}).get("after")
    return str(after) if after else None


def goes_by_id(rows: list[Row], after: str) -> bool:
    """Whether the cursor after these rows is the last one's id, or the number after it."""
    if not rows or not after.isdigit():
        return False
    try:
        return int(after) - id_of(rows[-1]) in (0, 1)
    except NotByIdError:
        return False


class SideBySide:
    """Reads a list from several places at once; each reader goes on by itself, some pages ahead of who takes them.

    Args:
        ask: Makes one request; called from several threads.
        records: The records of an answer.
        at_once: Requests in flight at once.
    """

    def __init__(self, ask: Ask, records: Callable[[Any], list[Row]], *, at_once: int) -> None:
        self._ask = ask
        self._records = records
        self._at_once = at_once
        self._pages = 0
        self._in_vain = 0
        self._lock = Lock()
        self._open: list[Stretch] = []
        self._is_over = False
        self._taken_pages: Queue[list[Row] | None] = Queue(PAGES_AHEAD * at_once)

    def read(self, after: str, highest: int) -> Iterator[list[Row]]:
        """Pages of what comes after a cursor, in no order.

        Args:
            after: The cursor.
            highest: The highest id that is known; there may be higher ones.

        Raises:
            NotByIdError: A page does not keep to the ids.
            MillstreamError: A request failed; what the others had read comes before it.
        """
        self._open = _cut(Stretch(after, int(after) - 1, None), highest, self._at_once)
        with ThreadPoolExecutor(self._at_once) as threads:
            readers = [threads.submit(self._follow, stretch, highest) for stretch in tuple(self._open)]
            left = len(readers)
            try:
                while left:
                    page = self._taken_pages.get()
                    if page is None:
                        left -= 1
                    else:
                        yield page
            finally:
                self._is_over = True
                while left:  # readers that wait for room
                    left -= self._taken_pages.get() is None
        for reader in readers:
            reader.result()

    def _follow(self, stretch: Stretch | None, highest: int) -> None:
        """Read a stretch to its end, then a part of another one's."""
        try:
            while stretch and not self._is_over:
                body = self._answer(stretch.after)
                with self._lock:
                    rows, goes_on = self._taken(stretch, body)
                    if not goes_on:
                        self._open.remove(stretch)
                        stretch = self._taken_from(self._open, highest)
                        self._open += [stretch] if stretch else []
                if rows:
                    self._taken_pages.put(rows)
        except BaseException:
            self._is_over = True
            raise
        finally:
            self._taken_pages.put(None)

    def _answer(self, after: str) -> Mapping[str, Any]:
        try:
            return self._ask(after)
        except RefusedError as error:
            raise NotByIdError from error

    def _taken(self, stretch: Stretch, body: Mapping[str, Any]) -> tuple[list[Row], bool]:
        """What a page brings the stretch, and whether there is more of it."""
        found = self._records(body)
        ids = [id_of(record) for record in found]
        # Where the cursor means "from this id on", its own row comes again; it is another stretch's.
        if ids != sorted(ids) or (ids and ids[0] < stretch.at):
            raise NotByIdError
        end = stretch.end if stretch.end is not None else max(ids, default=0)
        rows = [record for record, one in zip(found, ids, strict=True) if stretch.at < one <= end]
        self._pages += 1
        self._in_vain += not rows
        after = cursor_of(body)
        if not after or not ids or (stretch.end is not None and ids[-1] >= stretch.end):
            return rows, False
        if after == stretch.after:
            raise NotByIdError
        stretch.after, stretch.at = after, ids[-1]
        return rows, True

    def _taken_from(self, others: Iterable[Stretch], highest: int) -> Stretch | None:
        """The further half of the longest stretch, for a reader that has come to the end of its own.

        Ids may lie far apart: no more than a tenth of the requests are spent on looking where there are none.
        """
        if self._in_vain > self._at_once + self._pages // 10:
            return None
        longest = max(others, key=lambda one: one.length_up_to(highest), default=None)
        if longest is None or longest.length_up_to(highest) < _SMALLEST:
            return None
        middle = longest.at + longest.length_up_to(highest) // 2
        further = Stretch(str(middle), middle, longest.end)
        longest.end = middle
        return further


def _cut(whole: Stretch, highest: int, parts: int) -> list[Stretch]:
    """Stretches of as many ids each; the last one has no end."""
    ids = max(0, highest - whole.at)
    if ids < _SMALLEST or parts == 1:
        return [whole]
    edges = [whole.at + ids * number // parts for number in range(1, parts)]
    ends = [*edges[1:], None]
    return [
        Stretch(whole.after, whole.at, edges[0]),
        *(Stretch(str(edge), edge, end) for edge, end in zip(edges, ends, strict=True)),
    ]
