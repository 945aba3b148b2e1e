"""The spool: a folder of files to which messages are appended, one a line.

A line is a kind, a checksum and JSON: ``track 1a2b3c4d {...}``. A process appends to files of its own, which nobody
else ever writes to, and holds a lock on the one it is writing; whatever has no lock will not grow any more. So a
process that was killed needs no repair: its last line may be torn, and was never answered for.
"""

from __future__ import annotations

import fcntl
import os
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

SUFFIX = ".spool"
BLOCK = 1024 * 1024


def line(kind: str, record: Mapping[str, Any]) -> bytes:
    """A message as the spool keeps it, with the end of its line."""
    text = orjson.dumps(record)
    return b"%b %08x %b\n" % (kind.encode(), zlib.crc32(text), text)


def read_line(found: bytes) -> dict[str, Any] | None:
    """The record of a line; None where it is not as it was written."""
    _, checksum, text = (*found.split(b" ", 2), b"", b"")[:3]
    try:
        if int(checksum, 16) != zlib.crc32(text):
            return None
        record = orjson.loads(text)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def files(folder: Path) -> list[Path]:
    """The spool's files, the oldest first."""
    return sorted(path for path in folder.iterdir() if path.suffix == SUFFIX)


def size(folder: Path) -> int:
    """Bytes of all files; one that goes away meanwhile counts nothing."""
    total = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                total += entry.stat().st_size
            except FileNotFoundError:
                continue
    return total


def take_lock(descriptor: int) -> bool:
    """Whether nobody else writes to an open file; it is locked then, until it is closed."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_closed(path: Path) -> bool:
    """Whether a file will not grow any more: nobody holds its lock."""
    with path.open("rb") as file:
        return take_lock(file.fileno())


@dataclass(frozen=True)
class Found:
    """A line, or a stretch of lines that are of another kind.

    Attributes:
        end: Where in the file the next one begins.
        record: Of a line of a kind that was asked for.
        broken: The line is of such a kind, and not as it was written.
    """

    end: int
    record: dict[str, Any] | None = None
    broken: bool = False


def read(path: Path, start: int, kinds: tuple[str, ...]) -> Iterator[Found]:
    """Lines of some kinds from a place on, and last the place up to which all was read.

    A line without its end is left for later; in a file that nobody writes to, it was torn, and is passed over.
    """
    wanted = tuple(kind.encode() + b" " for kind in kinds)
    closed = is_closed(path)  # before it is read: what is closed now ends where it ends
    with path.open("rb") as file:
        file.seek(start)
        at, rest = start, b""
        while block := file.read(BLOCK):
            *lines, rest = (rest + block).split(b"\n")
            for found in lines:
                at += len(found) + 1
                if found.startswith(wanted):
                    record = read_line(found)
                    yield Found(at, record, broken=record is None)
        yield Found(at + len(rest) if closed else at)
