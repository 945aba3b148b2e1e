"""The incremental exports: everything that changed since a moment, in the order of its change, 1,000 rows a page.

Users and tickets are read by cursor: the vendor's place between two rows, from which the next pull goes on. The other
exports are read by time: the next page starts at the second in which the last one ended, so its rows come again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any

from millstream.sources.contract import Endpoint, Page
from millstream.sources.pull import records_at
from millstream.state.errors import IncompleteError, MalformedAnswerError, RefusedError, SchemaError
from millstream.state.http import Pacer, RateLimit

if TYPE_CHECKING:
    from millstream.sources.pull import Pull
    from millstream.sources.zendesk.settings import ZendeskSettings

PAGES_A_PART = 200
SECONDS_A_PART = 120.0
"""What was read is stored after so many pages or so much time: so much is read again after a kill."""

_TOO_RECENT = timedelta(seconds=90)
"""The vendor refuses to start within the last minute; our clock may be ahead of its."""

_FROM_THE_BEGINNING = 1
_RUN_AGAIN = "run again; what was read so far is kept."


@dataclass(frozen=True, kw_only=True)
class Export:
    """An export.

    Attributes:
        path: Below the account's root.
        records: Where the rows stand in the answer.
        at: The field of a row that the export goes by: epoch seconds or ISO 8601.
        params: More parameters of each request.
    """

    path: str
    records: str
    at: str
    params: Mapping[str, str] = field(default_factory=dict)

    @property
    def endpoint(self) -> Endpoint:
        """For reading the records of an answer."""
        return Endpoint(path=self.path, records=self.records)

    def moment(self, row: Mapping[str, Any]) -> datetime:
        """When a row changed.

        Raises:
            SchemaError: It does not say so.
        """
        value = row.get(self.at)
        try:
            if isinstance(value, int):
                return datetime.fromtimestamp(value, UTC)
            return datetime.fromisoformat(str(value))
        except ValueError as error:
            raise SchemaError(
                f"A row of {self.records} has no readable {self.at!r}.",
                remedy="the API may have changed: update the connector, or leave the stream out for now.",
            ) from error


@dataclass(frozen=True)
class Read:
    """One page: its rows, as far as they are in the pull's window, and the answer they came in."""

    rows: Page
    body: Mapping[str, Any]


class Exports:
    """Reads exports at the pace that the account has for all of them together."""

    def __init__(self, settings: ZendeskSettings) -> None:
        self._settings = settings
        self._pace = Pacer(RateLimit(requests=settings.exports_per_minute, seconds=60.0))

    def by_cursor(self, pull: Pull, export: Export) -> Iterator[Read]:
        """Pages after the kept cursor, or after the start of the window; moves the place in the notes.

        Raises:
            IncompleteError: There is more, and the vendor does not say where.
        """
        _say_since(pull)
        cursor: str | None = pull.state.get("after_cursor")
        body = self._first(pull, export, cursor)
        with ThreadPoolExecutor(1) as ahead:
            while True:
                read, is_past = _in_window(pull, export, body)
                is_last, after = is_past or _ended(body, export), body.get("after_cursor")
                asked = None
                if not is_last and after and after != cursor:
                    # The next page is on its way while this one is stored.
                    asked = ahead.submit(self._get, pull, export, {"cursor": after})
                if after:
                    pull.state["after_cursor"] = cursor = after
                yield read
                if is_last:
                    return
                if asked is None:
                    raise IncompleteError(
                        f"Zendesk says that there are more {export.records} and not where.", remedy=_RUN_AGAIN
                    )
                body = asked.result()

    def by_time(self, pull: Pull, export: Export) -> Iterator[Read]:
        """Pages from the second in which the last one ended, or from the start of the window.

        Raises:
            IncompleteError: There is more within one second than a page holds.
        """
        start: int = pull.state.get("end_time") or self._start(pull)
        _say_since(pull)
        while True:
            body = self._get(pull, export, {"start_time": start})
            read, is_past = _in_window(pull, export, body)
            end = body.get("end_time")
            if end:
                pull.state["end_time"] = int(end)
            yield read
            if is_past or _ended(body, export):
                return
            if not end or int(end) <= start:
                raise IncompleteError(
                    f"Zendesk says that there are more {export.records} and ends where it began.", remedy=_RUN_AGAIN
                )
            start = int(end)

    def look(self, pull: Pull, export: Export) -> None:
        """Ask for a row of the last minutes, to see whether the credential may."""
        start = int((pull.pulled_at - _TOO_RECENT).timestamp())
        with self._pace:
            pull.get(export.path, {**export.params, "per_page": 1, "start_time": start})

    def _first(self, pull: Pull, export: Export, cursor: str | None) -> Mapping[str, Any]:
        if cursor is None:
            return self._get(pull, export, {"start_time": self._start(pull)})
        try:
            return self._get(pull, export, {"cursor": cursor})
        except RefusedError as error:
            if error.status not in (400, 422) or "reached" not in pull.state:
                raise
            pull.warn(f"Zendesk no longer knows the kept cursor of {export.records}; went on by time.")
            reached = datetime.fromisoformat(pull.state["reached"])
            return self._get(pull, export, {"start_time": int(reached.timestamp())})

    def _get(self, pull: Pull, export: Export, place: Mapping[str, str | int]) -> Mapping[str, Any]:
        with self._pace:
            body = pull.get(export.path, {**export.params, "per_page": self._settings.page_size, **place})
        if not isinstance(body, dict):
            raise MalformedAnswerError(
                f"GET {export.path} answered without an object.", remedy="check the base_url of the connection."
            )
        return body

    def _start(self, pull: Pull) -> int:
        first = self._settings.start_date
        begin = pull.since or (datetime.combine(first, time.min, UTC) if first else None)
        if begin is None:
            return _FROM_THE_BEGINNING
        return int(min(begin, pull.pulled_at - _TOO_RECENT).timestamp())


def in_parts(pull: Pull, pages: Iterator[Page]) -> Iterator[Page]:
    """Pages, with the wish to have them stored now and then, so that a pull that is killed goes on from there."""
    read, started = 0, monotonic()
    for page in pages:
        yield page
        read += 1
        if read >= PAGES_A_PART or monotonic() - started >= SECONDS_A_PART:
            yield pull.until_loaded()
            read, started = 0, monotonic()


def _in_window(pull: Pull, export: Export, body: Mapping[str, Any]) -> tuple[Read, bool]:
    """The rows within the pull's window, and whether the export has come to its end."""
    rows = records_at(body, export.endpoint)
    moments = [export.moment(row) for row in (rows if pull.until else _newest(rows, export))]
    if moments:
        reached = max(moments).isoformat()
        pull.state["reached"] = max(reached, pull.state.get("reached", reached))
    if pull.until is None:
        pull.place = pull.state.get("reached")
        return Read(rows, body), False
    inside = [row for row, moment in zip(rows, moments, strict=True) if _begun(pull, moment) and moment < pull.until]
    return Read(inside, body), bool(moments) and max(moments) >= pull.until


def _newest(rows: Page, export: Export) -> Page:
    """The row that changed last, where all write the time alike, so that it shows without reading each; else all."""
    times: list[Any] = [row.get(export.at) for row in rows]
    alike = {(type(at), len(at), at[-1:]) if isinstance(at, str) else type(at) for at in times}
    if alike not in ({int}, {(str, len("2026-01-05T10:00:00Z"), "Z")}):
        return rows
    return [rows[times.index(max(times))]]


def _say_since(pull: Pull) -> None:
    """For the report: where a pull goes on that has a place in its notes."""
    if not pull.is_backfill and "reached" in pull.state:
        pull.since = datetime.fromisoformat(pull.state["reached"])


def _begun(pull: Pull, moment: datetime) -> bool:
    return pull.since is None or moment >= pull.since


def _ended(body: Mapping[str, Any], export: Export) -> bool:
    ended = body.get("end_of_stream")
    if not isinstance(ended, bool):
        raise MalformedAnswerError(
            f"GET {export.path} does not say whether it has come to an end.",
            remedy="the API may have changed: update the connector, or check the base_url.",
        )
    return ended
