"""Requests side by side: for vendors that answer one thing at a time, slowly, and allow many at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Found = TypeVar("Found")


def in_order(work: Callable[[Item], Found], items: Iterable[Item], *, at_once: int) -> Iterator[tuple[Item, Found]]:
    """Each item with what ``work`` found of it, in the items' order; a few items ahead are worked on meanwhile.

    The session's pacer keeps the vendor's limits for all threads together.

    Args:
        work: Makes the requests of one item; it must not touch the pull's notes.
        items: What to work on; they are taken as they are needed.
        at_once: How many at the same time.

    Raises:
        MillstreamError: The first one that an item met, in their order; items after it are given up.
    """
    waiting: deque[tuple[Item, Future[Found]]] = deque()
    rest = iter(items)
    with ThreadPoolExecutor(at_once) as threads:
        try:
            waiting.extend((item, threads.submit(work, item)) for item in islice(rest, at_once))
            while waiting:
                item, found = waiting.popleft()
                result = found.result()
                waiting.extend((one, threads.submit(work, one)) for one in islice(rest, 1))
                yield item, result
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
