"""What is left of a day's budget by the vendor's word."""

from __future__ import annotations

FRESH = 60.0
"""Seconds after which a higher count is believed: until then it is an older answer that took longer."""


class DayCount:
    """The latest count of the day: answers come in another order than the vendor counted, and counts only fall."""

    def __init__(self) -> None:
        self.left: int | None = None
        self._lowered_at = 0.0

    def heard(self, left: int, now: float) -> None:
        """Take over a count."""
        if self.left is None or left <= self.left or now - self._lowered_at > FRESH:
            self.left, self._lowered_at = left, now

    def renew(self) -> None:
        """A new day has begun."""
        self.left = None
