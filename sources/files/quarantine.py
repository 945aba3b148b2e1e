"""Rows that could not be read: kept with file, line and reason, so that they are neither lost nor in the way."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from millstream.sources.contract import Column, Page, Row, Stream
from millstream.sources.files.formats import BrokenRow
from millstream.sources.files.settings import QUARANTINE

if TYPE_CHECKING:
    from millstream.sources.pull import Pull

COLUMNS = (
    Column("id", required=True),
    Column("stream", required=True),
    Column("file", required=True),
    Column("line", "bigint", required=True, description="Where the row begins, counted from 1."),
    Column("reason", required=True, description="What is wrong with it, without its values."),
    Column("text_sha256", optional=True, description="Hash of the row, to find it without keeping it."),
    Column("text", optional=True, description="The row itself, where keep_broken_text asks for it."),
    Column("found_at", "timestamp", required=True),
    Column("resolved", "bool", required=True, description="The file was read again and the row was not broken."),
)


@dataclass
class Quarantine:
    """Broken rows of one pull, until they are yielded.

    Attributes:
        keeps_text: Keep the rows themselves, and not only a hash.
        reading: Streams that have not been read to their end.
    """

    keeps_text: bool
    reading: set[str] = field(default_factory=set)
    _rows: list[Row] = field(default_factory=list)
    _read_whole: list[tuple[str, str, datetime]] = field(default_factory=list)

    def add(self, stream: str, file: str, broken: BrokenRow, found_at: datetime, *, part: str) -> None:
        """Set a row of a file, or of a part of an archive, aside."""
        self._rows.append(
            {
                "id": hashlib.sha256(f"{stream}|{part}|{broken.line}".encode()).hexdigest()[:32],
                "stream": stream,
                "file": file,
                "line": broken.line,
                "reason": broken.reason,
                "text_sha256": hashlib.sha256(broken.text.encode()).hexdigest(),
                "text": broken.text if self.keeps_text else None,
                "found_at": found_at,
                "resolved": False,
            }
        )

    def read_whole(self, stream: str, file: str, since: datetime) -> None:
        """A file was read whole since a time: rows found broken in it before are so no more."""
        self._read_whole.append((stream, file, since))

    def stream(self) -> Stream:
        """The table of them, read after all the others."""
        return Stream(
            name=QUARANTINE,
            description="A row of a file that could not be used, with its line and the reason.",
            primary_key=("id",),
            columns=COLUMNS,
            read=self._read,
            resumable=True,
        )

    def _read(self, pull: Pull) -> Iterator[Page]:
        while True:
            yield [*self._resolved(pull), *self._rows]
            self._rows.clear()
            if not self.reading:
                return
            yield pull.until_loaded()

    def _resolved(self, pull: Pull) -> Iterator[Row]:
        for stream, file, since in self._read_whole if pull.stored is not None else ():
            assert pull.stored is not None
            stored = pull.stored.rows(QUARANTINE, equal={"stream": stream, "file": file, "resolved": False})
            yield from ({**row, "resolved": True} for row in stored.to_pylist() if row["found_at"] < since)
        self._read_whole.clear()
