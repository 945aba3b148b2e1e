"""When a load will be finished: from what the vendor announced, what a request brings, and what may be asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from millstream.state.http import RateLimit

WORTH_SAYING = 60.0
"""Seconds: a load that is finished sooner needs no forecast."""

_ENOUGH_REQUESTS = 10
"""After so many requests, the pace of this load says more than the declared limit."""


@dataclass(frozen=True)
class Forecast:
    """What is left of a stream.

    Attributes:
        rows: Rows read so far.
        expected: Rows in all, as announced; None where requests were announced instead.
        requests: Requests that are still to be made, about.
        ends_at: When they will have been made, at the pace allowed and kept so far.
        left_today: Requests that the day's budget still allows; None where there is none.
        a_day: Requests allowed in a day; None where nobody says so.
    """

    rows: int
    expected: int | None
    requests: int
    ends_at: datetime
    left_today: int | None = None
    a_day: int | None = None

    @property
    def fits_today(self) -> bool:
        """Whether the day's budget is enough."""
        return self.left_today is None or self.requests <= self.left_today

    @property
    def days(self) -> int | None:
        """Days after this one that it will take; None where nobody can tell."""
        if self.fits_today:
            return 0
        return math.ceil((self.requests - (self.left_today or 0)) / self.a_day) if self.a_day else None

    @property
    def is_worth_saying(self) -> bool:
        """Whether it takes so long, or more than the day's budget, that people should know."""
        soon = datetime.now(UTC) + timedelta(seconds=WORTH_SAYING)
        return self.requests > 0 and (self.ends_at > soon or not self.fits_today)

    def __str__(self) -> str:
        """For people, while the load is on its way."""
        progress = f"{self._read}; about {_more(self.requests)}"
        if self.fits_today:
            return f"{progress}; at the allowed rate finished at {_moment(self.ends_at)}."
        return f"{progress}, and {self.left_today:,} are allowed today: {_days(self.days)}."

    def after_the_budget(self, renews_at: datetime | None) -> str:
        """For people, when the day's budget has ended the load."""
        when = f"continue after {_moment(renews_at)}" if renews_at else "continue when the budget renews"
        return f"{self._read}; {when}, {_days(self.days)}."

    @property
    def _read(self) -> str:
        of_all = "" if self.expected is None else f" of {self.expected:,}"
        return f"{self.rows:,}{of_all} rows read"

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "rows": self.rows,
            "expected": self.expected,
            "requests": self.requests,
            "ends_at": self.ends_at.isoformat(timespec="seconds") if self.fits_today else None,
            "days": self.days,
        }


@dataclass(frozen=True)
class Announced:
    """What a stream's reader knows of what is to come.

    Attributes:
        rows: Rows in all.
        requests: Requests in all.
    """

    rows: int | None = None
    requests: int | None = None

    def left(self, rows: int, made: int) -> int:
        """Requests that are still to be made after some rows and requests; 0 also where nobody knows."""
        if self.rows is not None:
            return math.ceil((self.rows - rows) * made / rows) if 0 < rows < self.rows else 0
        return max(0, (self.requests or 0) - made)


def forecast(
    announced: Announced, *, rows: int, made: int, seconds: float, limit: RateLimit, left_today: int | None
) -> Forecast | None:
    """What is left of a stream; None before its first rows, and where everything was read.

    Args:
        announced: What is to come in all.
        rows: Rows read so far.
        made: Requests that these rows took.
        seconds: Time that they took.
        limit: What the vendor allows.
        left_today: Requests that the day's budget still allows, where there is one.
    """
    requests = announced.left(rows, made)
    if made <= 0 or requests <= 0:
        return None
    rate = limit.requests / limit.seconds
    if made >= _ENOUGH_REQUESTS and seconds > 0:
        rate = min(rate, made / seconds)
    ends_at = datetime.now(UTC) + timedelta(seconds=requests / rate)
    return Forecast(rows, announced.rows, requests, ends_at, left_today, limit.daily)


def _more(requests: int) -> str:
    return f"{requests:,} more request{'' if requests == 1 else 's'}"


def _days(days: int | None) -> str:
    if days is None:
        return "over more than one day"
    return f"about {days:,} more day{'' if days == 1 else 's'}" if days else "and it is finished that day"


def _moment(moment: datetime) -> str:
    same_day = moment.date() == datetime.now(UTC).date()
    return f"{moment:%H:%M} UTC" if same_day else f"{moment:%Y-%m-%d %H:%M} UTC"
