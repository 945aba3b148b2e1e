"""Reading the spool in a pull: each stream from its own place on; what all have loaded is removed.

A stream's notes hold ``places``: for each file of the spool, up to where it was read. Files have names that are never
used again, so that a spool that was emptied by hand, moved or put back from a copy is read right.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millstream.sources.contract import Page, Row
from millstream.sources.receiving import spool
from millstream.sources.receiving.contract import ReceiverSettings
from millstream.state.errors import NotFoundError

if TYPE_CHECKING:
    from millstream.sources.pull import Pull

Places = dict[str, int]
Shape = Callable[[dict[str, Any]], list[Row]]


class SpoolReader:
    """Reads one spool for the streams of one pull.

    Args:
        settings: Where the spool is.
        streams: Names of all streams that read it in this pull; a file is removed when all have loaded it.
    """

    def __init__(self, settings: ReceiverSettings, streams: Collection[str]) -> None:
        self._settings = settings
        self._folder = settings.spool_folder
        self._streams = tuple(streams)
        self._before: dict[str, Places] = {}
        self._reached: dict[str, Places] = {}
        self._pages = 0

    def check(self) -> list[Path]:
        """The spool's files.

        Raises:
            NotFoundError: There is no such folder.
        """
        try:
            return spool.files(self._folder)
        except OSError as error:
            raise NotFoundError(
                f"There is no spool {self._folder} that could be read: {error.strerror}.",
                remedy="start `millstream receive`, which makes it; or mount the disk that it is on.",
            ) from error

    def pages(self, pull: Pull, kinds: tuple[str, ...], shape: Shape) -> Iterator[Page]:
        """Rows of the messages of some kinds that the stream has not read yet.

        Args:
            pull: The stream's pull; its notes are in step with each page.
            kinds: Which messages.
            shape: Makes rows of a record.
        """
        found = {path.name: path for path in self.check()}
        kept: Mapping[str, int] = pull.state.get("places", {})
        places = {name: place for name, place in kept.items() if name in found}
        pull.state["places"] = dict(places)
        self._before[pull.stream.name] = dict(places)
        broken, page = 0, []
        for name, path in found.items():
            for one in spool.read(path, places.get(name, 0), kinds):
                places[name] = one.end
                broken += one.broken
                if one.record is not None and _is_asked_for(pull, one.record):
                    page += shape(one.record)
                if len(page) >= self._settings.chunk_rows:
                    self._pages += 1
                    pull.state["places"] = dict(places)
                    yield page
                    page = []
        pull.state["places"] = dict(places)
        if broken:
            pull.warn(f"{broken} lines of the spool are damaged and were passed over.")
        yield page
        yield pull.until_shaped()
        self._reached[pull.stream.name] = dict(places)

    def remove_loaded(self, pull: Pull) -> Iterator[Page]:
        """Remove files that every stream has loaded; for the stream that is read last, after its rows."""
        if pull.is_backfill:
            return
        loaded = self._before
        if pull.stored is not None:
            yield from self._until_all_are_read(pull)
            if not any(True for _ in self._removable(self._reached)):
                return
            yield pull.until_loaded()
            loaded = self._reached
        for path in self._removable(loaded):
            path.unlink()

    def _until_all_are_read(self, pull: Pull) -> Iterator[Page]:
        """Streams that are loaded in parts go on after this one; one that has failed does not."""
        seen = None
        while set(self._reached) != set(self._streams) and self._pages != seen:
            seen = self._pages
            yield pull.until_loaded()

    def _removable(self, loaded: Mapping[str, Places]) -> Iterator[Path]:
        if set(loaded) != set(self._streams):
            return
        youngest = time.time() - self._settings.keep_loaded_hours * 3600
        for path in spool.files(self._folder):
            read_up_to = min((places.get(path.name, 0) for places in loaded.values()), default=0)
            # Whether it is closed is asked first: what is closed does not grow before its size is looked at.
            if spool.is_closed(path) and read_up_to >= path.stat().st_size and path.stat().st_mtime <= youngest:
                yield path


def _is_asked_for(pull: Pull, record: Mapping[str, Any]) -> bool:
    """Whether a message is in a backfill's window; outside of one, all are."""
    if pull.since is None or pull.until is None:
        return True
    return pull.since <= datetime.fromisoformat(str(record["received_at"])) < pull.until
