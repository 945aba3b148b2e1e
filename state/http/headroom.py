"""What the vendor's own count of requests left allows, where somebody else spends from the same budget."""

from __future__ import annotations

from dataclasses import dataclass

SOON = 0.02
"""Seconds until an answer that is on its way may have told more."""


RESERVE = 20
"""One part in so many of the window is left to others where they are there."""


@dataclass(frozen=True, slots=True)
class Own:
    """Our own requests, at one moment.

    Attributes:
        used: Those that the vendor still counts, with those on their way.
        in_flight: Those on their way.
        begun: All that were ever begun.
    """

    used: int
    in_flight: int
    begun: int


class Headroom:
    """How many requests the vendor's count leaves us.

    As long as what is left and what we used ourselves make up our whole share, nobody else spends, and our own window
    says all: the count of an answer is old when it arrives. So it does where there is room for all that everybody may
    ask for, as with a vendor that allows more than its connector declares. Where less is left, the count decides, and
    a little of it is kept for what others do until the next one. A request on its way when an answer was given may not
    be in it.

    Args:
        slack: Seconds added to a wait for the vendor's window.
    """

    def __init__(self, slack: float) -> None:
        self._slack = slack
        self._largest = 0
        self._left: int | None = None
        self._at = Own(0, 0, 0)
        self._renews = self._stale = 0.0
        self._same_window = True
        self._reserve = 0
        # What the vendor names as the time of renewal may only be when a first request leaves its window, whose room
        # others may take. So a wait that brought nothing is followed by a longer one, which is kept in mind.
        self._patience = 0.0
        self._waited = False

    def heard(
        self, remaining: int, renews_in: float, own: Own, *, share: int, allowed: int, window: float, now: float
    ) -> None:
        """Take over a count.

        Args:
            remaining: Requests left by the vendor's count.
            renews_in: Seconds until it renews.
            own: Our requests, that of this answer no longer on its way.
            share: Requests in a window that are ours.
            allowed: Requests in a window that are everybody's.
            window: Seconds that a window lasts.
            now: The present.
        """
        self._largest = max(self._largest, remaining + 1)
        # More than our window holds: what the vendor counts here is another window, or a larger one.
        self._same_window = self._largest <= allowed
        if remaining >= allowed or (self._same_window and remaining + own.used >= share):
            self._left, self._waited = None, False
            return
        # What is left is left to all of us; each takes its part of it.
        left = remaining * share // allowed if share < allowed else remaining
        self._left, self._at, self._renews = left, own, now + renews_in + self._slack
        self._reserve = -(-share // RESERVE)
        if self._waited:
            self._learn(left > self._reserve + own.in_flight, window)
        self._renews = max(self._renews, now + self._patience)
        self._stale = now + window / RESERVE

    def delay(self, own: Own, now: float) -> float:
        """Seconds until the next request may be made, or more is known; 0: now."""
        if self._left is None:
            return 0.0
        left = self._left - self._at.in_flight
        left += (self._at.used - own.used) if self._same_window else (self._at.begun - own.begun)
        if left > self._reserve:
            # Of an old count only that others have spent since is sure: one request brings a new one.
            return SOON if own.in_flight and now > self._stale else 0.0
        if own.in_flight:
            return SOON
        self._waited = True
        return max(0.0, self._renews - now)

    def _learn(self, it_helped: bool, window: float) -> None:
        self._waited = False
        if it_helped:
            self._patience *= 0.9
        else:
            self._patience = min(window, max(2 * self._patience, window / 8))
