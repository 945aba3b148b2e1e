"""The raw export: the events of some days as JSON Lines."""

from __future__ import annotations

import gzip
from datetime import UTC, date, datetime, timedelta

import numpy as np
import orjson

from millstream.sandbox.company import Company
from millstream.sandbox.mixpanel.behaviour import DAY, Events, event_row, make_events
from millstream.sandbox.mixpanel.errors import refusal
from millstream.sandbox.system import Answer, Call

PARAMETERS = {"project_id", "workspace_id", "from_date", "to_date", "event", "limit", "time_in_ms"}
"""The vendor's `where` is not here and is refused."""

LARGEST_LIMIT = 100_000


class Export:
    """Handler of the export, and the events behind it."""

    def __init__(self, company: Company) -> None:
        self._company = company
        self._advances = -1
        self._events: Events

    @property
    def events(self) -> Events:
        """Everything that happened and has arrived by now."""
        if self._advances != self._company.advances:
            self._events, self._advances = make_events(self._company), self._company.advances
        return self._events

    def answer(self, call: Call) -> Answer:
        """`GET /api/2.0/export`."""
        unknown = sorted(set(call.query) - PARAMETERS)
        if unknown:
            raise refusal(400, f"Unknown parameter: {unknown[0]}")
        first, last = self._days(call)
        names, limit = _names(call), _limit(call)
        events = self.events
        start, end = (int(np.searchsorted(events.time, _second(day))) for day in (first, last + timedelta(days=1)))
        lines = []
        for place in range(start, end):
            row = event_row(self._company, events, place, milliseconds=_flag(call, "time_in_ms"))
            if names is None or row["event"] in names:
                lines.append(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
            if limit and len(lines) == limit:
                break
        return _lines_answer(call, b"".join(lines))

    def _days(self, call: Call) -> tuple[date, date]:
        days = []
        for name in ("from_date", "to_date"):
            try:
                days.append(datetime.strptime(call.query.get(name, ""), "%Y-%m-%d").replace(tzinfo=UTC).date())
            except ValueError as error:
                raise refusal(400, f"Invalid argument: '{name}' must be a date in the form YYYY-MM-DD") from error
        if days[1] > datetime.now(UTC).date():
            raise refusal(400, "to_date cannot be later than today")
        if days[0] > days[1]:
            raise refusal(400, "from_date cannot be later than to_date")
        return days[0], days[1]


def _lines_answer(call: Call, body: bytes) -> Answer:
    if call.strike.get("truncated") is not None:
        body = body[: len(body) * 2 // 3]
    headers = {}
    if "gzip" in call.headers.get("accept-encoding", ""):
        body, headers = gzip.compress(body, 1), {"Content-Encoding": "gzip"}
    return Answer(body, 200, headers, "text/plain")


def _second(day: date) -> int:
    return (day - date(1970, 1, 1)).days * DAY


def _names(call: Call) -> set[str] | None:
    text = call.query.get("event")
    if text is None:
        return None
    try:
        names = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise refusal(400, "event must be a JSON array") from error
    if not isinstance(names, list):
        raise refusal(400, "event must be a JSON array")
    return {str(name) for name in names}


def _limit(call: Call) -> int:
    text = call.query.get("limit", "0")
    if not (text.isascii() and text.isdigit() and int(text) <= LARGEST_LIMIT):
        raise refusal(400, f"limit must be a whole number up to {LARGEST_LIMIT}")
    return int(text)


def _flag(call: Call, name: str) -> bool:
    text = call.query.get(name, "false").lower()
    if text not in ("true", "false"):
        raise refusal(400, f"{name} must be true or false")
    return text == "true"
