"""HubSpot's long lists, read from several ids on at once."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millstream.sources.hubspot.stretches import NotByIdError, SideBySide, cursor_of, goes_by_id
from millstream.state.errors import QuotaExhaustedError, RefusedError

PAGE = 3


class Listing:
    """A list by id; its cursor is the last id of a page, or the id after it."""

    def __init__(self, ids: list[int], *, names_next: bool = False) -> None:
        self.ids = sorted(ids)
        self.names_next = names_next
        self.asked: list[str] = []
        self._lock = threading.Lock()

    def ask(self, after: str) -> Mapping[str, Any]:
        with self._lock:
            self.asked.append(after)
        start = bisect_left(self.ids, int(after) if self.names_next else int(after) + 1)
        found = self.ids[start : start + PAGE]
        paging = {"next": {"after": str(found[-1] + self.names_next)}} if start + PAGE < len(self.ids) else {}
        return {"results": [{"id": str(one)} for one in found], "paging": paging}

    def read(self, ask: Callable[[str], Mapping[str, Any]] | None = None, *, at_once: int = 4) -> Iterator[int]:
        """The ids that are read, after those of the first page."""
        reader = SideBySide(ask or self.ask, lambda body: list(body["results"]), at_once=at_once)
        after = cursor_of(self.ask("0"))
        assert after
        for page in reader.read(after, self.ids[-1]):
            yield from (int(one["id"]) for one in page)


@pytest.mark.parametrize("names_next", [False, True])
@settings(max_examples=60, deadline=None)
@given(
    ids=st.lists(
        st.one_of(st.integers(1, 3_000), st.integers(10**11, 10**11 + 5_000)), min_size=4, max_size=200, unique=True
    ),
    at_once=st.integers(1, 6),
)
def test_every_record_is_read_once(names_next: bool, ids: list[int], at_once: int) -> None:
    listing = Listing(ids, names_next=names_next)
    assert sorted(listing.read(at_once=at_once)) == listing.ids[PAGE:]


def test_records_above_the_highest_known_id_are_read_too() -> None:
    listing = Listing(list(range(1, 2_000)))
    reader = SideBySide(listing.ask, lambda body: list(body["results"]), at_once=4)
    assert sum(len(page) for page in reader.read("3", 1_500)) == 1_996


def test_ids_that_lie_far_apart_cost_few_requests_more() -> None:
    listing = Listing([*range(1, 10), *range(10**12, 10**12 + 3_000)])
    assert len(list(listing.read())) == 3_006
    assert len(listing.asked) < 1_003 * 1.2


def test_a_cursor_that_is_no_id_is_noticed_before() -> None:
    rows = [{"id": "4"}, {"id": "9"}]
    assert goes_by_id(rows, "9")
    assert goes_by_id(rows, "10")
    assert not goes_by_id(rows, "12")
    assert not goes_by_id(rows, "NTI1Cg")
    assert not goes_by_id([{"id": "a"}], "9")


def test_pages_that_do_not_keep_to_the_ids_are_noticed() -> None:
    listing = Listing(list(range(1, 2_000)))

    def from_the_start(after: str) -> Mapping[str, Any]:
        return listing.ask("0" if int(after) > 500 else after)

    with pytest.raises(NotByIdError):
        list(listing.read(from_the_start))


def test_a_refused_cursor_means_that_it_is_no_id() -> None:
    listing = Listing(list(range(1, 2_000)))

    def known_only(after: str) -> Mapping[str, Any]:
        if int(after) > 500:
            raise RefusedError("unknown cursor", status=400)
        return listing.ask(after)

    with pytest.raises(NotByIdError):
        list(listing.read(known_only))


def test_what_was_read_comes_before_the_error() -> None:
    listing = Listing(list(range(1, 2_000)))
    left = iter(range(40))

    def until_the_budget_ends(after: str) -> Mapping[str, Any]:
        if next(left, None) is None:
            raise QuotaExhaustedError("no more today")
        return listing.ask(after)

    got: list[int] = []
    with pytest.raises(QuotaExhaustedError):
        deque(map(got.append, listing.read(until_the_budget_ends)), maxlen=0)
    assert len(got) >= 39 * PAGE


def test_who_stops_taking_pages_stops_the_readers() -> None:
    listing = Listing(list(range(1, 60_000)))
    pages = listing.read()
    assert next(pages)
    pages.close()  # type: ignore[attr-defined]
    assert threading.active_count() < 10
    assert len(listing.asked) < 100
