"""Blocks of a DuckDB file that were half written when a process was killed: they are made whole again.

DuckDB writes what has changed to free blocks, and then a header that points at them: until the header is there, the
file holds what it held before. Blocks of metadata (the catalog, which block holds which rows) are parted in 64, and
DuckDB writes new parts into free ones of a block that the last header still points at. The parts in use stay as they
are, but the checksum at the head of a block is of all of it. Killed in the middle of such a write, a process leaves
good parts under a wrong checksum, and DuckDB refuses the file for ever. So the checksum is made anew, for blocks of
metadata alone, and only in a file that somebody left open.

Of the file's format this needs: two headers of 4,096 bytes after a first page, each with the size of blocks at byte
40; then the blocks, each with its checksum in the first eight bytes.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

import duckdb
import numpy as np

HEADERS = 3 * 4096
"""Bytes before the first block."""
_BLOCK_SIZE_AT = 4096 + 40
_WORD = 8
_TOLD = re.compile(r"Corrupt database file: computed checksum .* in block at location (\d+)")

_log = logging.getLogger(__name__)


def mend(path: Path, metadata_blocks: Callable[[], Iterable[int]]) -> int:
    """Make blocks of metadata whole that a killed process left half written.

    Args:
        path: The file, which no process has open.
        metadata_blocks: Opens the file, says which blocks are of metadata, and closes it again.

    Returns:
        How many there were.

    Raises:
        duckdb.IOException: The file cannot be opened: another process has it, or it is damaged otherwise; it is left
            as it was found then.
    """
    before: dict[int, bytes] = {}
    with path.open("r+b") as file:
        try:
            metadata = _metadata(path, file, metadata_blocks, before)
        except BaseException:
            _write(file, before)  # also where somebody presses Ctrl+C
            raise
        for location in metadata:
            _renew_checksum(file, location, before)
    if before:
        told = "%s: %d block(s) of metadata were half written when a process was killed; their checksums are made anew."
        _log.warning(told, path, len(before))
    return len(before)


def _metadata(
    path: Path, file: BinaryIO, metadata_blocks: Callable[[], Iterable[int]], before: dict[int, bytes]
) -> set[int]:
    """Where the blocks of metadata are; those without which the file cannot be opened are mended on the way."""
    while True:
        try:
            numbers = metadata_blocks()
        except duckdb.IOException as error:
            found = _TOLD.search(str(error))
            if found is None or not _renew_checksum(file, int(found[1]), before):
                raise
            continue
        size = _block_size(file)
        metadata = {HEADERS + number * size for number in numbers}
        if not before.keys() <= metadata:
            raise duckdb.IOException(f"Corrupt database file: {path.name} has damaged blocks that are no metadata.")
        return metadata


def _renew_checksum(file: BinaryIO, location: int, before: dict[int, bytes]) -> bool:
    """Make the checksum of a block anew; False if it was right."""
    file.seek(location)
    told = file.read(_WORD)
    right = _checksum(file.read(_block_size(file) - _WORD))
    if told == right:
        return False
    before[location] = told
    _write(file, {location: right})
    return True


def _block_size(file: BinaryIO) -> int:
    here = file.tell()
    file.seek(_BLOCK_SIZE_AT)
    size = int.from_bytes(file.read(_WORD), "little")
    file.seek(here)
    return size


def _checksum(content: bytes) -> bytes:
    """As DuckDB makes it: the words of eight bytes, each multiplied, in one by exclusive or."""
    words = np.frombuffer(content, dtype="<u8") * np.uint64(0xBF58476D1CE4E5B9)
    return (5381 ^ int(np.bitwise_xor.reduce(words))).to_bytes(_WORD, "little")


def _write(file: BinaryIO, words: dict[int, bytes]) -> None:
    for location, word in words.items():
        file.seek(location)
        file.write(word)
    file.flush()
