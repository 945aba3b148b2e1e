"""JSON Lines: one object a line."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, BinaryIO, cast

import orjson

from millstream.sources.files.formats.batches import Batch, BrokenRow, batches_of_rows
from millstream.sources.files.settings import FileStream
from millstream.sources.from_project import column_name

_name = lru_cache(maxsize=10_000)(column_name)


def read_json_lines(file: BinaryIO, how: FileStream, after: int) -> Iterator[Batch]:
    """Rows of a file with one JSON object a line; nested values stay nested."""
    return batches_of_rows(_rows(file, how, after))


def _rows(file: BinaryIO, how: FileStream, after: int) -> Iterator[tuple[int, dict[str, Any] | BrokenRow]]:
    is_utf8 = how.encoding.startswith("utf-8")
    with file if is_utf8 else io.TextIOWrapper(file, how.encoding, "replace") as lines:
        for number, line in enumerate(cast("Iterable[bytes | str]", lines), 1):
            if number <= after:
                continue
            text = line.removeprefix(codecs.BOM_UTF8) if isinstance(line, bytes) else line.removeprefix("\ufeff")
            if text.strip():
                yield number, _row(number, text)


def _row(number: int, text: bytes | str) -> dict[str, Any] | BrokenRow:
    try:
        row = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return BrokenRow(number, f"is not JSON: {error.msg}", _shown(text))
    if not isinstance(row, dict):
        return BrokenRow(number, f"is a JSON {type(row).__name__} and not an object", _shown(text))
    return {_name(key) or "column": value for key, value in row.items()}


def _shown(text: bytes | str) -> str:
    return (text.decode("utf-8", "replace") if isinstance(text, bytes) else text).rstrip("\r\n")
