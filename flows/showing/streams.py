"""What was pulled."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millstream.flows.showing.cells import Row
    from millstream.sources.ingest import IngestReport


def pull_rows(report: IngestReport) -> list[Row]:
    """One row for each stream."""
    return [
        {
            "source": report.source,
            "stream": stream.stream,
            "status": stream.status,
            "rows": stream.rows,
            "loaded": stream.loaded,
            "problem": str(stream.error) if stream.error else "",
        }
        for stream in report.streams
    ]
