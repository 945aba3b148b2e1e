"""What became of one stream in a pull."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from millstream.sources.forecast import Forecast
from millstream.state.errors import MillstreamError


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
        broken: Rows put aside in quarantine.
        warnings: What is worth knowing although nothing failed.
        forecast: What is left, where a budget ended it.
    """

    stream: str
    rows: int = 0
    distinct: int = 0
    loaded: int | None = None
    status: str = "complete"
    error: MillstreamError | None = None
    since: datetime | None = None
    cursor: str | None = None
    broken: int = 0
    warnings: list[str] = field(default_factory=list)
    forecast: Forecast | None = None

    def after(self, earlier: StreamReport) -> StreamReport:
        """This part's report with the counts of the parts before it."""
        self.rows += earlier.rows
        self.distinct += earlier.distinct
        self.broken += earlier.broken
        if earlier.loaded is not None:
            self.loaded = earlier.loaded + (self.loaded or 0)
        self.since, self.warnings = earlier.since, [*earlier.warnings, *self.warnings]
        return self

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "stream": self.stream,
            "status": self.status,
            "rows": self.rows,
            "loaded": self.loaded,
            "since": self.since.isoformat() if self.since else None,
            "cursor": self.cursor,
            "quarantined": self.broken,
            "warnings": self.warnings,
            "forecast": self.forecast.as_json() if self.forecast else None,
            "error": str(self.error) if self.error else None,
        }
