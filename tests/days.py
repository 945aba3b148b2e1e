"""The day on which a test runs, where what is compared has to be of one day."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from time import sleep

_LONGEST = timedelta(minutes=2)
"""A test's world is built and run in less."""


def today() -> date:
    """A day (UTC) of which enough is left: sandboxes of one day have the same people, runs the same audiences.

    The product asks the clock, so that just before midnight there is only to wait.
    """
    now = datetime.now(UTC)
    until_midnight = datetime.combine(now.date() + timedelta(days=1), time(), UTC) - now
    if until_midnight < _LONGEST:
        sleep(until_midnight.total_seconds())
    return datetime.now(UTC).date()
