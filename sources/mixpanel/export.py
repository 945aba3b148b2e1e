"""Raw events: exports of whole days, several at once, each kept in a temporary file until it has come whole."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from datetime import time as time_of_day
from typing import TYPE_CHECKING, Any

from millstream.sources.mixpanel.events import EventShape
from millstream.sources.mixpanel.whole_files import WholeFile
from millstream.sources.parallel import in_order
from millstream.state.http import Pacer, RateLimit

if TYPE_CHECKING:
    from millstream.sources.mixpanel.settings import MixpanelSettings
    from millstream.sources.pull import Pull

EVENTS_A_PART = 250_000
SECONDS_A_PART = 300.0
"""What was read is stored after so many events or so much time: so much is read again after a kill."""

_PROBED_DAYS_AGO = 2
"""A day that is over in every time zone."""


@dataclass(frozen=True)
class Days:
    """Some days of a project in one export, both included."""

    first: date
    last: date


class Exports:
    """Reads exports at the pace that the project has for all of them together.

    Attributes:
        shape: Makes columns of events.
    """

    def __init__(self, settings: MixpanelSettings) -> None:
        self._settings = settings
        self.shape = EventShape(settings)
        self._pace = Pacer(
            RateLimit(requests=settings.exports_per_hour, seconds=3600.0, concurrency=settings.exports_at_once)
        )

    def read(self, pull: Pull) -> Iterator[list[Any]]:
        """Pages of events, the days in order; moves the day to begin with in the notes.

        Raises:
            QuotaExhaustedError: The hour's exports are used up; the days read so far are kept.
        """
        today = self._settings.day_of(pull.pulled_at)
        first, last = self._first(pull, today), self._last(pull, today)
        if not pull.is_backfill:
            pull.since = datetime.combine(first, time_of_day.min, self._settings.clock)
        asked = list(_stretches(first, last, self._settings.days_a_request))
        self._say_how_long(pull, len(asked))
        events, started = 0, time.monotonic()
        exports = in_order(lambda days: self._ask(pull, days), asked, at_once=self._settings.exports_at_once)
        with closing(exports):  # type: ignore[type-var]
            for days, file in exports:
                with file:
                    for page in self._pages(pull, file):
                        events += len(page)
                        yield page
                self._reached(pull, days.last, today)
                if events >= EVENTS_A_PART or time.monotonic() - started > SECONDS_A_PART:
                    events, started = 0, time.monotonic()
                    yield pull.until_loaded()

    def look(self, pull: Pull) -> None:
        """Ask for one event of a day that is over."""
        day = self._settings.day_of(pull.pulled_at) - timedelta(days=_PROBED_DAYS_AGO)
        with self._ask(pull, Days(day, day), limit=1):
            return

    def _first(self, pull: Pull, today: date) -> date:
        if pull.is_backfill and pull.since is not None:
            return self._settings.day_of(pull.since)
        if kept := pull.state.get("next"):
            return min(date.fromisoformat(kept), today)
        return min(self._settings.start_date or today - timedelta(days=self._settings.initial_days - 1), today)

    def _last(self, pull: Pull, today: date) -> date:
        if pull.until is None:
            return today
        return min(self._settings.day_of(pull.until - timedelta(microseconds=1)), today)

    def _reached(self, pull: Pull, day: date, today: date) -> None:
        """Note that all days up to this one were read; the last ones are to be read again."""
        again = today - timedelta(days=self._settings.lookback_days)
        pull.state["next"] = min(day + timedelta(days=1), again).isoformat()
        pull.place = None if pull.is_backfill else day.isoformat()

    def _say_how_long(self, pull: Pull, exports: int) -> None:
        allowed = self._settings.exports_per_hour
        if exports <= allowed:
            return
        hours = math.ceil(exports / allowed) - 1
        done = pull.pulled_at + timedelta(hours=hours)
        pull.warn(
            f"{exports} exports are left to read and Mixpanel allows {allowed} an hour: run again until "
            f"{done:%Y-%m-%d %H:%M} UTC, or read more days in one export (`days_a_request`)."
        )

    def _ask(self, pull: Pull, days: Days, *, limit: int | None = None) -> WholeFile:
        params: dict[str, Any] = {
            **self._settings.project,
            "from_date": days.first.isoformat(),
            "to_date": days.last.isoformat(),
            "time_in_ms": "true",
        }
        if self._settings.events is not None:
            params["event"] = json.dumps(self._settings.events)
        if limit is not None:
            params["limit"] = limit
        headers = {"Accept": "text/plain", "Accept-Encoding": "gzip"}
        with self._pace:
            return pull.read_large(self._settings.export_url, WholeFile, params=params, headers=headers)

    def _pages(self, pull: Pull, file: WholeFile) -> Iterator[list[Any]]:
        for events in file.events():
            yield [event for event in events if self._is_in_window(pull, event)] if pull.is_backfill else events

    def _is_in_window(self, pull: Pull, event: Mapping[str, Any]) -> bool:
        time = event["properties"].get("time")
        if isinstance(time, bool) or not isinstance(time, int | float):
            return True  # its shape complains
        at = self.shape.moment(time)
        return (pull.since is None or pull.since <= at) and (pull.until is None or at < pull.until)


def _stretches(first: date, last: date, days: int) -> Iterator[Days]:
    while first <= last:
        end = min(first + timedelta(days=days - 1), last)
        yield Days(first, end)
        first = end + timedelta(days=1)
