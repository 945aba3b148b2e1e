"""Requests side by side."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from millstream.sources.parallel import in_order
from millstream.state.errors import NotFoundError


def test_what_is_found_comes_in_the_items_order() -> None:
    def slow_first(item: int) -> int:
        time.sleep(0.02 if item == 0 else 0)
        return item * 10

    assert list(in_order(slow_first, range(5), at_once=3)) == [(item, item * 10) for item in range(5)]


def test_items_are_worked_on_at_the_same_time() -> None:
    meeting = threading.Barrier(3, timeout=5)
    assert len(list(in_order(lambda _: meeting.wait(), range(3), at_once=3))) == 3


def test_items_are_taken_only_as_they_are_needed() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(100):
            taken.append(item)
            yield item

    found = in_order(lambda item: item, items(), at_once=2)
    assert next(found) == (0, 0)
    assert len(taken) == 3


def test_the_first_error_ends_it_and_gives_up_what_follows() -> None:
    done: list[int] = []

    def work(item: int) -> int:
        if item == 1:
            raise NotFoundError("It is gone.")
        done.append(item)
        return item

    found = in_order(work, range(100), at_once=2)
    assert next(found) == (0, 0)
    with pytest.raises(NotFoundError):
        list(found)
    assert len(done) < 5
