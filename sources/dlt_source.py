"""A source as an ordinary dlt source: reads its streams, keeps their places, and says what became of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any

from dlt.sources.helpers.rest_client.client import RESTClient

from millstream.sources.contract import Stream
from millstream.sources.pages import PULLED_AT, PageReader, last_of_each_key
from millstream.sources.pull import AnySource, Pull, Window, client_of
from millstream.state.errors import (
    AuthenticationError,
    IncompleteError,
    MillstreamError,
    PermissionDeniedError,
    QuotaExhaustedError,
    UnreachableError,
)
from millstream.state.http import Pacer, Retries

if TYPE_CHECKING:
    import pyarrow as pa
    from dlt.common.schema.typing import TColumnSchema
    from dlt.extract import DltResource, DltSource

CHUNK_ROWS = 2_000


@dataclass
class StreamReport:
    """What became of one stream in a pull.

    Attributes:
        rows: Rows read.
        distinct: Different primary keys read.
        loaded: Rows found in the store after the load; None before.
        status: ``complete``, ``partial`` (a budget ended it; what was read is kept), ``skipped`` (a scope is
            missing) or ``failed``.
        error: What ended it early; None also for a failed one that was not begun, because an earlier stream's error
            stopped the source.
        since: Where it started, or None for a full read.
        cursor: The place kept for the next pull.
    """

    stream: str
    rows: int = 0
    distinct: int = 0
    loaded: int | None = None
    status: str = "complete"
    error: MillstreamError | None = None
    since: datetime | None = None
    cursor: str | None = None

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "stream": self.stream,
            "status": self.status,
            "rows": self.rows,
            "loaded": self.loaded,
            "since": self.since.isoformat() if self.since else None,
            "cursor": self.cursor,
            "error": str(self.error) if self.error else None,
        }


Progress = Callable[[str, int], None]
"""Called with a stream's name and its rows so far, after each page."""


@dataclass
class SourcePull:
    """One reading of a source: builds the dlt resources and keeps what became of each stream.

    Attributes:
        source: The connector with its settings.
        window: A backfill's window, or None to go on from the kept cursors.
        full: Read everything again, whatever the cursors say.
        accept_empty: Let a ``replace`` stream that used to have rows become empty.
        progress: Told after each page.
        reports: What became of each stream, by name.
    """

    source: AnySource
    window: Window | None = None
    full: bool = False
    accept_empty: bool = False
    progress: Progress | None = None
    retries: Retries | None = None
    pulled_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    reports: dict[str, StreamReport] = field(default_factory=dict)
    _place_before: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    _stopped: bool = False
    _dlt_source: DltSource | None = None

    def dlt_source(self) -> DltSource:
        """The source for ``dlt.pipeline(...).run(...)``."""
        import dlt

        client, pacer = client_of(self.source, retries=self.retries)
        streams = self.source.selected_streams()

        @dlt.source(name=self.source.name)
        def pulled() -> list[DltResource]:
            return [self._resource(stream, client, pacer) for stream in streams]

        source = pulled()
        # One stream after the other, since some follow others; dlt would else take a page of each in turn.
        dlt.config[f"sources.{source.section}.{source.name}.extract.next_item_mode"] = "fifo"
        self._dlt_source = source
        return source

    def _resource(self, stream: Stream, client: RESTClient, pacer: Pacer) -> DltResource:
        import dlt

        def tables() -> Iterator[pa.Table]:
            states = dlt.current.source_state().setdefault("streams", {})
            yield from self._tables(stream, client, pacer, states)

        return dlt.resource(
            tables,
            name=stream.name,
            primary_key=stream.primary_key,
            write_disposition=stream.disposition,
            columns=_dlt_columns(stream),
        )

    def _tables(
        self, stream: Stream, client: RESTClient, pacer: Pacer, states: MutableMapping[str, Any]
    ) -> Iterator[pa.Table]:
        before = dict(states.get(stream.name, {}))
        # A copy: what a reader notes must not change the kept state before its stream has succeeded.
        state: dict[str, Any] = {} if self.full or self.window else deepcopy(before)
        pull = Pull(
            stream,
            client,
            pacer=pacer,
            since=self._since(stream, state),
            until=self.window.until if self.window else None,
            state=state.setdefault("notes", {}),
            pulled_at=self.pulled_at,
        )
        reader = PageReader(stream, self.pulled_at)
        report = self.reports[stream.name] = StreamReport(stream.name, since=pull.since)
        held: list[pa.Table] = []
        if self._stopped:
            report.status = "failed"
            self._leave_table(stream)
            self._keep_state(stream, states, before, state, reader)
            return
        try:
            for table in self._read(stream, pull, reader):
                held.append(table)
                # Rows that lack a declared column must not replace good ones.
                if stream.disposition == "merge" and not reader.lacks_columns:
                    yield from held
                    held.clear()
            self._check(stream, pull, reader, before)
            # dlt keeps one row a key only where it merges.
            yield from held if stream.disposition == "merge" else last_of_each_key(stream, held)
            held.clear()
        except MillstreamError as error:
            report.error = error.at(f"{self.source.name}.{stream.name}")
            report.status = "failed" if held and stream.disposition == "merge" else _status_after(error)
            # The other streams would only say the same, after as many attempts.
            self._stopped = isinstance(error, AuthenticationError | UnreachableError)
            self._leave_table(stream)
        report.rows, report.distinct = (0, 0) if held else (reader.rows, reader.distinct_keys())
        self._keep_state(stream, states, before, state, reader)

    def _leave_table(self, stream: Stream) -> None:
        """Keep a replaced table as it is: dlt would empty it, because the stream gave no rows."""
        if stream.disposition == "replace" and self._dlt_source is not None:
            self._dlt_source.resources[stream.name].apply_hints(write_disposition="append")

    def _read(self, stream: Stream, pull: Pull, reader: PageReader) -> Iterator[pa.Table]:
        for rows in _in_chunks(stream.read(pull) if stream.read else pull.pages()):
            yield reader.table([stream.shape(row) for row in rows] if stream.shape else rows)
            if self.progress:
                self.progress(stream.name, reader.rows)

    def _since(self, stream: Stream, state: Mapping[str, Any]) -> datetime | None:
        if self.window:
            return self.window.since
        if stream.cursor is None or "cursor" not in state:
            return None
        return datetime.fromisoformat(state["cursor"]) - stream.cursor.lookback

    def _check(self, stream: Stream, pull: Pull, reader: PageReader, before: Mapping[str, Any]) -> None:
        reader.check_complete()
        if pull.expected is not None and reader.rows < pull.expected:
            raise IncompleteError(
                f"The vendor announced {pull.expected} rows and {reader.rows} arrived.",
                remedy="run again; the stream's place was not moved, so that nothing is missed.",
            )
        if stream.disposition == "replace" and not reader.rows and before.get("rows") and not self.accept_empty:
            raise IncompleteError(
                f"The answer is empty, and the last pull had {before['rows']} rows; the stored ones were kept.",
                remedy="if the account really is empty now, run `millstream ingest --accept-empty`.",
            )

    def _keep_state(
        self,
        stream: Stream,
        states: MutableMapping[str, Any],
        before: Mapping[str, Any],
        state: dict[str, Any],
        reader: PageReader,
    ) -> None:
        """Move the stream's place forward, where what was read allows it."""
        report = self.reports[stream.name]
        if self.window:
            return
        if stream.follows in self._place_before and report.status in ("failed", "partial"):
            states[stream.follows] = self._place_before[stream.follows]
        self._place_before[stream.name] = before
        ordered = stream.cursor is not None and stream.cursor.ordered
        if report.status == "complete" or (report.status == "partial" and ordered):
            kept = before.get("cursor")
            moment = _as_moment(reader.highest) if reader.highest else None
            if moment and not ordered:
                # Rows read early in this pull may have changed since: no place is kept after it began.
                moment = min(moment, self.pulled_at)
            highest = moment.isoformat() if moment else None
            new = max(filter(None, (kept, highest)), default=None)
            states[stream.name] = {"notes": state["notes"], "rows": reader.rows or before.get("rows", 0)}
            if new:
                states[stream.name]["cursor"] = report.cursor = new
        elif report.status == "partial":
            states[stream.name] = {**before, "notes": state["notes"]}


def _in_chunks(pages: Iterable[list[Any]]) -> Iterator[list[Any]]:
    """Pages put together to some thousand rows: dlt's cost is by table, not by row.

    An error comes after the rows read before it, so that a pull that a budget ends keeps them.
    """
    chunk: list[Any] = []
    try:
        for page in pages:
            chunk.extend(page)
            if len(chunk) >= CHUNK_ROWS:
                yield chunk
                chunk = []
    except MillstreamError as error:
        if chunk:
            yield chunk
        raise error
    if chunk:
        yield chunk


def _status_after(error: MillstreamError) -> str:
    if isinstance(error, QuotaExhaustedError):
        return "partial"
    return "skipped" if isinstance(error, PermissionDeniedError) else "failed"


def _as_moment(value: datetime | date) -> datetime:
    return value if isinstance(value, datetime) else datetime.combine(value, time.min, UTC)


def _dlt_columns(stream: Stream) -> list[TColumnSchema]:
    columns: list[TColumnSchema] = [
        {"name": c.name, "data_type": c.type, "nullable": not c.required} for c in stream.columns
    ]
    return [*columns, {"name": PULLED_AT, "data_type": "timestamp", "nullable": False, "dedup_sort": "desc"}]
