"""Ingest: pull a source through dlt into the store, and reconcile what was read with what was loaded."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millstream.sources.contract import Stream
from millstream.sources.dlt_settings import set_dlt
from millstream.sources.dlt_source import SourcePull
from millstream.sources.dlt_store import dlt_destination, file_format, fit_to_store
from millstream.sources.first_load import FirstLoads
from millstream.sources.pages import PULLED_AT
from millstream.sources.stored import StoredRows
from millstream.sources.stream_report import StreamReport
from millstream.state.errors import MISTAKES, IncompleteError, MillstreamError, SchemaError, mistaken
from millstream.state.store import Store

if TYPE_CHECKING:
    import dlt

_importing = threading.Lock()
"""Sources are pulled side by side; their libraries are imported by one of them."""


@dataclass
class IngestReport:
    """What an ingest brought.

    Attributes:
        source: Name of the source in the project.
        streams: What became of each stream.
        seconds: Wall time.
        error: What stopped the whole source.
        skipped: Another run was pulling it, so nothing was done here.
    """

    source: str
    streams: list[StreamReport] = field(default_factory=list)
    seconds: float = 0.0
    error: MillstreamError | None = None
    skipped: bool = False

    @property
    def rows(self) -> int:
        """Rows read from all streams."""
        return sum(stream.rows for stream in self.streams)

    @property
    def ok(self) -> bool:
        """Whether every stream was read and loaded whole."""
        return self.error is None and all(stream.status == "complete" for stream in self.streams)

    @property
    def errors(self) -> list[MillstreamError]:
        """What stopped the source, or ended streams early."""
        return [error for error in (self.error, *(stream.error for stream in self.streams)) if error]

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "source": self.source,
            "ok": self.ok,
            "skipped": self.skipped,
            "rows": self.rows,
            "seconds": round(self.seconds, 3),
            "error": str(self.error) if self.error else None,
            "streams": [stream.as_json() for stream in self.streams],
        }


def ingest(pull: SourcePull, store: Store, *, name: str, pipelines: Path) -> IngestReport:
    """Pull a source and load it into ``raw_<name>``.

    The vendor is read while the store is closed; only the load holds it. A run that died after reading is loaded
    by the next one before it reads anew; resumable streams are read and loaded in parts, and go on after the last one.

    Args:
        pull: The connector and what to read of it.
        store: Where rows go.
        name: Name of the source in the project.
        pipelines: Folder for dlt's working files.

    Raises:
        MillstreamError: The load failed; what was stored before stays.
    """
    started = time.monotonic()
    pipeline = _pipeline(name, store, pipelines)
    pull.stored, pull.name = StoredRows(store, name), name
    firsts, streams = FirstLoads(store, name, Path(pipeline.working_dir)), pull.source.selected_streams()
    # The store stays open while dlt works with it, or each of its many connections would open the file anew.
    with _dlt_errors(name), store.open():
        pipeline.sync_destination()
        if pipeline.has_pending_data:
            pipeline.normalize()
            pipeline.load()
        firsts.mend(pull.source.streams())
        pull.appended = firsts.begin(streams)
    more = True
    try:
        while more:
            with _dlt_errors(name):
                source = fit_to_store(pull.dlt_source(), streams, store)
                pipeline.extract(source, loader_file_format=file_format(store))
                pipeline.normalize()
                with store.open():
                    pipeline.load()
                    twice = [one.stream for one in pull.reports.values() if one.rows > one.distinct]
                    firsts.end(streams, since=pull.pulled_at, twice=twice)
                    _reconcile(pull, store, name)
                    more = pull.next_part()
                    if more:
                        pull.appended = firsts.begin(streams)
    finally:
        pull.close_part()
    return IngestReport(name, list(pull.reports.values()), time.monotonic() - started)


def _pipeline(name: str, store: Store, pipelines: Path) -> dlt.Pipeline:
    set_dlt()
    with _importing:
        import dlt
        import pyarrow as pa

        # Where pandas is installed, pyarrow imports it at its first array; dlt in another thread would see half of it.
        pa.array([0])
    return dlt.pipeline(
        pipeline_name=name,
        destination=dlt_destination(store),
        dataset_name=f"raw_{name}",
        pipelines_dir=str(pipelines),
    )


class _dlt_errors:  # noqa: N801 - reads as a statement
    """Lets our own errors out of dlt's wrappers, and names the source in dlt's."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        from dlt.common.exceptions import DltException

        if not isinstance(error, DltException):
            return
        for cause in _causes(error):
            if isinstance(cause, MillstreamError):
                raise cause.at(self._name) from error
        causes = list(_causes(error))
        deepest, stream = causes[-1], _unread(causes)
        if isinstance(deepest, MISTAKES) and stream:
            raise mistaken(deepest).at(f"{self._name}.{stream}") from error
        raise SchemaError(
            f"dlt could not load the rows: {type(deepest).__name__}: {str(deepest)[:300]}",
            where=self._name,
            remedy="what was stored before is kept; run again, or report the connector's declaration.",
        ) from error


def _unread(causes: Iterable[BaseException]) -> str | None:
    """The stream whose reader dlt could not read to the end."""
    from dlt.extract.exceptions import ResourceExtractionError

    return next((cause.pipe_name for cause in causes if isinstance(cause, ResourceExtractionError)), None)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = getattr(error, "exception", None) or error.__cause__ or error.__context__


def _reconcile(pull: SourcePull, store: Store, name: str) -> None:
    """Count the loaded rows of this pull; a stream that lost some has failed."""
    streams = {stream.name: stream for stream in pull.source.selected_streams()}
    with store.open() as connection:
        for report in pull.reports.values():
            if not report.rows or (report.status == "failed" and _holds_back(streams[report.stream])):
                report.loaded = 0
                continue
            row = connection.execute(
                f'SELECT count(*) FROM "raw_{name}"."{report.stream}" WHERE {PULLED_AT} BETWEEN ? AND ?',
                [pull.pulled_at, pull.pulled_at + timedelta(microseconds=report.rows)],
            ).fetchone()
            report.loaded = row[0] if row else 0
            if report.loaded != report.distinct:
                report.status = "failed"
                report.error = IncompleteError(
                    f"{report.distinct} rows were read and {report.loaded} are in the store.",
                    where=f"{name}.{report.stream}",
                    remedy="run again with --full for this source.",
                )


def _holds_back(stream: Stream) -> bool:
    return stream.disposition == "replace"
