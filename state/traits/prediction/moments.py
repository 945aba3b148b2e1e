"""The times that a prediction learns from and is tried on: what was known before a moment, what happened after it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

MOST_MOMENTS = 4
"""Moments to learn from. More of them say the same people's same habits again."""


@dataclass(frozen=True)
class Moments:
    """When to look at people.

    Attributes:
        learning: Moments whose outcomes were known when the model is tried, the earliest first.
        tried: The moment the model is tried at: what follows it lies wholly before the time of the run.
        horizon: How long after a moment is waited for the outcome.
    """

    learning: tuple[datetime, ...]
    tried: datetime
    horizon: timedelta

    @property
    def all(self) -> tuple[datetime, ...]:
        """What the model learns from at last, when it has been tried: the earliest first."""
        return (*self.learning, self.tried)

    @property
    def window(self) -> tuple[datetime, datetime]:
        """Begin and end of the time it learns from at last."""
        return self.learning[0], self.tried + self.horizon


def moments(as_of: datetime, horizon: timedelta, first: datetime) -> Moments | None:
    """The moments of a run, or None where the past is too short for one to learn from and one to try at.

    The last outcome of learning ends where the trial begins, so that nothing of the trial is known to the model.
    Earlier moments lie half a horizon apart, as long as a whole horizon of history stands before them.

    Args:
        as_of: The time of the run.
        horizon: How far the prediction looks ahead.
        first: When the history begins.
    """
    tried = as_of - horizon
    latest = tried - horizon
    if latest <= first:
        return None
    steps = (latest - horizon / 2 * number for number in range(MOST_MOMENTS))
    learning = [moment for moment in steps if moment == latest or moment - horizon >= first]
    return Moments(tuple(reversed(learning)), tried, horizon)
