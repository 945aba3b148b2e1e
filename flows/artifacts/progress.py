"""How far a pull is, while it is on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from prefect.artifacts import (
    create_progress_artifact,
    update_progress_artifact,
)
from prefect.logging import get_run_logger

if TYPE_CHECKING:
    from millstream.sources.forecast import Forecast

_LONG_PULL_SECONDS = 5.0
_UPDATE_SECONDS = 3.0


class PullProgress:
    """Logs how far a pull is, and shows a progress bar in the UI once the pull turns out to be a long one.

    The bar counts streams; of one whose rows the vendor has announced, its share.

    Args:
        source: Name of the source, for the log.
        key: Artifact key.
        streams: The streams in the order in which they are read.
    """

    def __init__(self, source: str, key: str, streams: Sequence[str]) -> None:
        self._source = source
        self._key = key
        self._streams = list(streams)
        self._logger = get_run_logger()
        self._bar: UUID | None = None
        self._started = self._told = time.monotonic()
        self._left: dict[str, Forecast] = {}

    def foretell(self, source: str, stream: str, left: Forecast) -> None:
        """The vendor has announced how many rows there are: what is left of a stream after a page."""
        self._left[stream] = left

    def __call__(self, source: str, stream: str, rows: int) -> None:
        """A page of the source was read: ``rows`` of the stream so far."""
        now = time.monotonic()
        if now - self._told < _UPDATE_SECONDS:
            return
        self._told = now
        left = self._left.get(stream)
        how_far = str(left) if left else f"{rows:,} rows so far"
        self._logger.info("%s.%s: %s", source, stream, how_far)
        if now - self._started >= _LONG_PULL_SECONDS:
            self._show(self._share(stream), f"{source}: reading {stream}, {how_far}")

    def finish(self, rows: int) -> None:
        """The pull is over."""
        if self._bar:
            self._show(100.0, f"{self._source}: {rows:,} rows pulled")

    def _share(self, stream: str) -> float:
        done: float = self._streams.index(stream) if stream in self._streams else 0
        left = self._left.get(stream)
        if left and left.expected:
            done += min(1.0, left.rows / left.expected)
        return 100.0 * done / max(len(self._streams), 1)

    def _show(self, percent: float, description: str) -> None:
        if self._bar is None:
            made = create_progress_artifact(percent, key=self._key, description=description)
            assert isinstance(made, UUID), "outside of an event loop Prefect answers at once"
            self._bar = made
        else:
            update_progress_artifact(self._bar, percent, description=description)
