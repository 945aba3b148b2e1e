"""How many requests a vendor still counts: each from when it was begun until it has left the vendor's window."""

from __future__ import annotations

import math
from heapq import heappop, heappush, nsmallest


class SlidingWindow:
    """At most ``capacity`` requests in any ``seconds``, as the vendor counts them.

    Nobody here knows when a request reached the vendor, only that it did between its beginning and its answer. So its
    place is free again ``seconds`` after the answer. Where answers usually take longer than ``margin``, what they
    take beyond it is taken for the vendor's work, done after it had counted. This holds for windows that slide and for
    those that begin anew at fixed times: any of the latter lies within one of the former.

    Args:
        capacity: Requests allowed; may be changed at any time.
        seconds: Length of the window.
        margin: Longest usual way of a request to the vendor.
    """

    def __init__(self, capacity: int, seconds: float, *, margin: float = 0.0) -> None:
        self.capacity = capacity
        self.seconds = seconds
        self.margin = margin
        self._leaving: list[float] = []
        self._begun: dict[int, float] = {}
        self._numbers = 0
        self._usual = 0.0

    def delay(self, now: float) -> float:
        """Seconds until there may be a free place; 0: there is one now, infinity: there never is."""
        self._forget(now)
        over = len(self._leaving) + len(self._begun) + 1 - self.capacity
        if over <= 0:
            return 0.0
        if self.capacity <= 0:
            return math.inf
        ends = self._leaving[:1] if over == 1 else nsmallest(over, self._leaving)
        ends = ends if len(ends) == over else []
        return max(min(ends[-1] if ends else math.inf, self._first_end(now)) - now, 0.001)

    def _first_end(self, now: float) -> float:
        """When the oldest request on its way may leave: it takes as long as the window at least."""
        end = next(iter(self._begun.values()), math.inf) + self.seconds
        return end if end > now else end + self._overdue

    def begin(self, now: float) -> int:
        """A request is on its way; the number is for ``end``."""
        self._numbers += 1
        self._begun[self._numbers] = now
        return self._numbers

    def end(self, number: int, now: float) -> None:
        """The request was answered."""
        begun = self._begun.pop(number, None)
        if begun is None:
            return
        took = now - begun
        heappush(self._leaving, begun + self.seconds + took - max(0.0, min(took, self._usual) - self.margin))
        self._usual += (min(took, 4 * self._usual + self.margin) - self._usual) / 10

    def cancel(self, number: int) -> None:
        """The request was not made after all."""
        self._begun.pop(number, None)

    def used(self, now: float) -> int:
        """Requests that the vendor still counts."""
        self._forget(now)
        return len(self._leaving) + len(self._begun)

    def take_over(self, leaves: float) -> None:
        """A place that somebody else has used comes here; it is free at ``leaves``."""
        self.capacity += 1
        heappush(self._leaving, leaves)

    def give_back(self, places: int, now: float) -> list[float]:
        """Do with fewer places: free ones go first, then those that are free soonest, and when each of these is.

        Places of requests on their way stay.
        """
        self._forget(now)
        free = min(places, max(0, self.capacity - len(self._leaving) - len(self._begun)))
        later: list[float] = []
        while free + len(later) < places and self._leaving:
            later.append(heappop(self._leaving))
        self.capacity -= free + len(later)
        return later

    def drop(self) -> None:
        """Have no places any more."""
        self.capacity = 0
        self._leaving.clear()
        self._begun.clear()

    def _forget(self, now: float) -> None:
        while self._leaving and self._leaving[0] <= now:
            heappop(self._leaving)
        while self._begun:
            number, begun = next(iter(self._begun.items()))
            if begun + self.seconds + self._overdue > now:
                return
            del self._begun[number]

    @property
    def _overdue(self) -> float:
        """How much longer than the window an answer may be awaited before its request counts as long counted."""
        return 5 * self.margin + self._usual
