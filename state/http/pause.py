"""Waiting because the vendor said so, and beginning anew after it: one request first, then ever more at once."""

from __future__ import annotations

SOON = 0.02
"""Seconds until an answer that is on its way may have allowed more."""


class Pause:
    """A pause that was asked for, and the ramp after it.

    Args:
        concurrency: Requests at once at which the ramp is over.
    """

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._until = 0.0
        self._at_once: int | None = None

    def until(self, moment: float) -> None:
        """Let nothing through before a moment."""
        self._until = max(self._until, moment)
        self._at_once = 1

    def delay(self, in_flight: int, now: float) -> float:
        """Seconds until the next request may be made, or more is known; 0: now."""
        if now < self._until:
            return self._until - now
        if self._at_once is not None and in_flight >= self._at_once:
            return SOON
        return 0.0

    def taken(self, now: float) -> None:
        """The vendor took a request. Answers that come during the pause were asked for before it."""
        if self._at_once is None or now < self._until:
            return
        self._at_once *= 2
        if self._at_once > self._concurrency:
            self._at_once = None
