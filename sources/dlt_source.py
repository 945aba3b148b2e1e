"""A source as an ordinary dlt source: reads its streams, keeps their places, and says what became of each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any

from dlt.sources.helpers.rest_client.client import RESTClient

from millstream.sources.contract import Stream
from millstream.sources.dlt_columns import declared_columns, stored_types
from millstream.sources.forecast import Forecast
from millstream.sources.pages import PageReader, last_of_each_key
from millstream.sources.portions import Portion, as_table, in_chunks
from millstream.sources.pull import AnySource, Pull, Window, client_of
from millstream.sources.stored import StoredRows
from millstream.sources.stream_report import StreamReport
from millstream.state.errors import (
    AuthenticationError,
    IncompleteError,
    MillstreamError,
    PermissionDeniedError,
    QuotaExhaustedError,
    UnreachableError,
)
from millstream.state.http import Budgets, Pacer, Retries

if TYPE_CHECKING:
    import pyarrow as pa
    from dlt.extract import DltResource, DltSource

CHUNK_ROWS = 10_000
PART_ROWS = 500_000
"""Rows after which a resumable stream is loaded before it is read on."""


Progress = Callable[[str, int], None]
"""Called with a stream's name and its rows so far, after each page."""

Forecasts = Callable[[str, Forecast], None]
"""Called with a stream's name and what is left of it, after each page, where the vendor has announced its rows."""

SAID_EVERY = 60.0
"""Seconds between two lines in the log about one load."""

log = logging.getLogger(__name__)


@dataclass
class _Reading:
    """A stream that is being read: it goes on where the part before was loaded.

    ``notes`` are those of the last portion that has become a table. The reader's own may say more already: that a page
    was read which then could not be shaped, or was never given because a further request about it failed. ``highest``
    is that of the cursor's column in all parts so far.
    """

    pull: Pull
    portions: Iterator[Portion]
    state: dict[str, Any]
    notes: Mapping[str, Any]
    highest: datetime | date | None = None


@dataclass
class SourcePull:
    """One reading of a source: builds the dlt resources and keeps what became of each stream.

    Attributes:
        source: The connector with its settings.
        window: A backfill's window, or None to go on from the kept cursors.
        name: What the source is called in messages; the connector's own name when left out.
        full: Read everything again, whatever the cursors say.
        accept_empty: Let a ``replace`` stream that used to have rows become empty.
        progress: Told after each page.
        forecasts: Told when the load will be finished.
        budgets: Share the vendor's limits with all others who use the credential.
        stored: Rows stored before. Given by the engine, which then loads resumable streams in parts.
        part_rows: Size of such a part.
        appended: Streams whose rows need not be merged, since their tables are not there yet. Given by the engine.
        reports: What became of each stream, by name.
    """

    source: AnySource
    window: Window | None = None
    name: str | None = None
    full: bool = False
    accept_empty: bool = False
    progress: Progress | None = None
    forecasts: Forecasts | None = None
    retries: Retries | None = None
    budgets: Budgets | None = None
    pulled_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    stored: StoredRows | None = None
    part_rows: int = PART_ROWS
    appended: frozenset[str] = frozenset()
    reports: dict[str, StreamReport] = field(default_factory=dict)
    _earlier: dict[str, StreamReport] = field(default_factory=dict)
    _readings: dict[str, _Reading] = field(default_factory=dict)
    _place_before: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    _said_at: dict[str, float] = field(default_factory=dict)
    _stopped: bool = False
    _dlt_source: DltSource | None = None

    def dlt_source(self) -> DltSource:
        """The source for ``dlt.pipeline(...).run(...)``."""
        import dlt

        client, pacer = client_of(self.source, retries=self.retries, budgets=self.budgets)
        streams = [
            stream for stream in self.source.selected_streams() if not self._earlier or stream.name in self._readings
        ]

        @dlt.source(name=self.source.name)
        def pulled() -> list[DltResource]:
            return [self._resource(stream, client, pacer) for stream in streams]

        source = pulled()
        # One stream after the other, since some follow others; dlt would else take a page of each in turn.
        dlt.config[f"sources.{source.section}.{source.name}.extract.next_item_mode"] = "fifo"
        self._dlt_source = source
        return source

    def next_part(self) -> bool:
        """After a part was loaded: get ready for the next one; False when every stream was read to its end."""
        self.close_part()
        if not self._readings:
            return False
        largest = max(report.rows for report in self.reports.values())
        self._earlier, self.reports = self.reports, {}
        # What was read in full stays read; later parts go on from there, and their rows count as newer.
        self.full = False
        self.pulled_at = max(datetime.now(UTC), self.pulled_at + timedelta(microseconds=largest + 1))
        return True

    def close_part(self) -> None:
        """Make the reports those of the whole pull so far."""
        for name, report in self.reports.items():
            if name in self._earlier:
                report.after(self._earlier.pop(name))
        self.reports, self._earlier = {**self._earlier, **self.reports}, {}

    def _resource(self, stream: Stream, client: RESTClient, pacer: Pacer) -> DltResource:
        import dlt

        def tables() -> Iterator[pa.Table]:
            states = dlt.current.source_state().setdefault("streams", {})
            yield from self._tables(stream, client, pacer, states)

        return dlt.resource(
            tables,
            name=stream.name,
            primary_key=stream.primary_key,
            write_disposition="append" if stream.name in self.appended else stream.disposition,
            columns=declared_columns(stream),
        )

    def _tables(
        self, stream: Stream, client: RESTClient, pacer: Pacer, states: MutableMapping[str, Any]
    ) -> Iterator[pa.Table]:
        before = dict(states.get(stream.name, {}))
        reading = self._readings.pop(stream.name, None) or self._begin(stream, client, pacer, before)
        pull, state = reading.pull, reading.state
        reader = PageReader(stream, self.pulled_at, stored=stored_types(stream))
        report = self.reports[stream.name] = StreamReport(stream.name, since=pull.since)
        held: list[pa.Table] = []
        if self._stopped:
            report.status = "failed"
            self._leave_table(stream)
            self._keep_state(stream, states, before, state, reader)
            return
        try:
            for table in self._read(stream, reading, reader):
                held.append(table)
                # Rows that lack a declared column must not replace good ones.
                if stream.disposition == "merge" and not reader.lacks_columns:
                    yield from held
                    held.clear()
            self._check(stream, pull, reader, before)
            # dlt keeps one row a key only where it merges.
            yield from held if stream.disposition == "merge" else last_of_each_key(stream, held)
            held.clear()
            if stream.name in self._readings:
                report.status = "partial"
        except MillstreamError as error:
            report.error = error.at(f"{self.name or self.source.name}.{stream.name}")
            report.status = "failed" if held and stream.disposition == "merge" else _status_after(error)
            if isinstance(error, QuotaExhaustedError):
                report.forecast = _said_by_budget(error, pull, self._rows_before(stream) + reader.rows)
            # The other streams would only say the same, after as many attempts.
            self._stopped = isinstance(error, AuthenticationError | UnreachableError)
            self._leave_table(stream)
        report.rows, report.distinct = (0, 0) if held else (reader.rows, reader.distinct_keys())
        report.since, report.cursor = pull.since, pull.place
        report.broken, pull.broken = pull.broken, 0
        report.warnings, pull.warnings = pull.warnings, []
        in_step = reading.notes if stream.resumable and not held else None
        reader.highest = reading.highest = _later(reading.highest, reader.highest)
        self._keep_state(stream, states, before, state, reader, in_step=in_step)

    def _begin(self, stream: Stream, client: RESTClient, pacer: Pacer, before: Mapping[str, Any]) -> _Reading:
        # A copy: what a reader notes must not change the kept state before its stream has succeeded.
        state: dict[str, Any] = {} if self.full or self.window else deepcopy(dict(before))
        pull = Pull(
            stream,
            client,
            pacer=pacer,
            since=self._since(stream, state),
            until=self.window.until if self.window else None,
            state=state.setdefault("notes", {}),
            pulled_at=self.pulled_at,
            stored=self.stored,
            accept_empty=self.accept_empty,
        )
        portions = in_chunks(
            stream.read(pull) if stream.read else pull.pages(), pull, most=min(CHUNK_ROWS, self.part_rows)
        )
        return _Reading(pull, portions, state, deepcopy(state["notes"]))

    def _leave_table(self, stream: Stream) -> None:
        """Keep a replaced table as it is: dlt would empty it, because the stream gave no rows."""
        if stream.disposition == "replace" and self._dlt_source is not None:
            self._dlt_source.resources[stream.name].apply_hints(write_disposition="append")

    def _read(self, stream: Stream, reading: _Reading, reader: PageReader) -> Iterator[pa.Table]:
        earlier = self._rows_before(stream)
        for rows, notes in reading.portions:
            table = None
            if not isinstance(rows, list):
                table = reader.given(rows)
            elif rows:
                table = as_table(reader, rows)
            reading.notes = notes
            if table is not None:
                yield table
            self._foretell(stream, reading.pull, earlier + reader.rows)
            if self.progress:
                self.progress(stream.name, earlier + reader.rows)
            if self._ends_part(stream, reading.pull, reader):
                self._readings[stream.name] = reading
                return

    def _foretell(self, stream: Stream, pull: Pull, rows: int) -> None:
        """Say when the load will be finished, where that is not soon."""
        left = pull.forecast(rows)
        if left is None:
            return
        if self.forecasts:
            self.forecasts(stream.name, left)
        now, said = monotonic(), self._said_at.get(stream.name)
        if left.is_worth_saying and (said is None or now - said >= SAID_EVERY):
            self._said_at[stream.name] = now
            level = logging.WARNING if said is None and not left.fits_today else logging.INFO
            log.log(level, "%s.%s: %s", self.name or self.source.name, stream.name, left)

    def _rows_before(self, stream: Stream) -> int:
        """Rows of the parts that were loaded before."""
        return self._earlier[stream.name].rows if stream.name in self._earlier else 0

    def _ends_part(self, stream: Stream, pull: Pull, reader: PageReader) -> bool:
        """Whether what was read so far should be in the store before the stream is read on."""
        wanted, pull.wants_load = pull.wants_load, False
        return stream.resumable and self.stored is not None and (wanted or reader.rows >= self.part_rows)

    def _since(self, stream: Stream, state: Mapping[str, Any]) -> datetime | None:
        if self.window:
            return self.window.since
        if stream.cursor is None or "cursor" not in state:
            return None
        return datetime.fromisoformat(state["cursor"]) - stream.cursor.lookback

    def _check(self, stream: Stream, pull: Pull, reader: PageReader, before: Mapping[str, Any]) -> None:
        reader.check_complete()
        rows = reader.rows + self._rows_before(stream)
        if pull.expected is not None and rows < pull.expected and stream.name not in self._readings:
            raise IncompleteError(
                f"The vendor announced {pull.expected} rows and {rows} arrived.",
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
        *,
        in_step: Mapping[str, Any] | None = None,
    ) -> None:
        """Move the stream's place forward, where what was read allows it.

        Notes that are ``in_step`` say no more than what was read, so that they hold however it ended.
        """
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
            states[stream.name] = {"notes": deepcopy(state["notes"]), "rows": reader.rows or before.get("rows", 0)}
            if new:
                states[stream.name]["cursor"] = report.cursor = new
        elif report.status == "partial" or in_step is not None:
            notes = state["notes"] if in_step is None else in_step
            states[stream.name] = {**before, "notes": deepcopy(notes)}


def _said_by_budget(error: QuotaExhaustedError, pull: Pull, rows: int) -> Forecast | None:
    """What is left of a stream that a budget has ended; the error says it, too."""
    left = pull.forecast(rows)
    if left:
        renews_at = None if error.resets_in is None else datetime.now(UTC) + timedelta(seconds=error.resets_in)
        error.what = f"{error.what} {left.after_the_budget(renews_at)}"
    return left


def _status_after(error: MillstreamError) -> str:
    if isinstance(error, QuotaExhaustedError):
        return "partial"
    return "skipped" if isinstance(error, PermissionDeniedError) else "failed"


def _later(one: datetime | date | None, other: datetime | date | None) -> datetime | date | None:
    return max((value for value in (one, other) if value is not None), default=None)


def _as_moment(value: datetime | date) -> datetime:
    return value if isinstance(value, datetime) else datetime.combine(value, time.min, UTC)
