"""What is left of a day's budget by the vendor's word."""

from __future__ import annotations

FRESH = 60.0
"""Seconds after which a count that is a little higher is believed: until then it is an older answer, come late."""


def supersedes(count: int, known: int, age: float) -> bool:
    """Whether a count of what is left takes the place of one that was heard ``age`` seconds before.

    Counts fall; answers come in another order than the vendor counted. One that is much higher is of another day.
    """
    return count <= known or age > FRESH or count > known + known // 2 + 100


class DayCount:
    """The latest count of the day.

    Attributes:
        left: Requests left; None: not heard of.
        heard_at: When it was heard.
    """

    def __init__(self) -> None:
        self.left: int | None = None
        self.heard_at = 0.0

    def heard(self, left: int, now: float) -> None:
        """Take over a count."""
        if self.left is None or supersedes(left, self.left, now - self.heard_at):
            self.left, self.heard_at = left, now

    def renew(self) -> None:
        """A new day has begun."""
        self.left = None
