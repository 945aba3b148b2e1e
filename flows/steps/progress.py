"""Who is told how far the long steps are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millstream.destinations.delivery import Progress as DeliveryProgress
    from millstream.sources.dlt_source import Forecasts
    from millstream.sources.dlt_source import Progress as PullProgress
    from millstream.sources.forecast import Forecast


@dataclass
class Progress:
    """Who is told how far the long steps are; the command line draws bars from it, the flows artifacts."""

    pulled: Callable[[str, str, int], None] | None = None
    """Source, stream and its rows so far."""
    sent: DeliveryProgress | None = None
    """Sync, rows that have an outcome, and all rows of its plan."""
    foretold: Callable[[str, str, Forecast], None] | None = None
    """Source, stream and what is left of it, where the vendor has announced its rows."""

    def of_source(self, source: str) -> PullProgress | None:
        """The callback for one source's pull."""
        if self.pulled is None:
            return None
        pulled = self.pulled
        return lambda stream, rows: pulled(source, stream, rows)

    def forecasts_of(self, source: str) -> Forecasts | None:
        """The callback for the forecasts of one source's pull."""
        if self.foretold is None:
            return None
        foretold = self.foretold
        return lambda stream, left: foretold(source, stream, left)
