"""Comma separated values, with all that calls itself so: other delimiters, encodings, quotes that never close."""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from collections.abc import Iterator
from typing import BinaryIO

from millstream.sources.files.formats.batches import ROWS_A_BATCH, Batch, BrokenRow
from millstream.sources.files.settings import FileStream
from millstream.sources.from_project import column_names
from millstream.state.errors import SchemaError

_DELIMITERS = (",", ";", "\t", "|")
_NOT_TEXT = re.compile("[\udc80-\udcff]")


class _Lines:
    """Lines of a text, counted, which may be given back to be read again."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self._again: deque[str] = deque()
        self.number = 0
        self.taken: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._text)
        self.number += 1
        self.taken.append(line)
        return line

    def begin_row(self) -> int:
        """Forget the lines of the row before; the line on which the next one begins."""
        self.taken.clear()
        return self.number + 1

    def give_back(self, count: int) -> None:
        """Read the last lines taken again."""
        for _ in range(count):
            self._again.appendleft(self.taken.pop())
            self.number -= 1


def read_delimited(file: BinaryIO, how: FileStream, after: int) -> Iterator[Batch]:
    """Rows of a csv file.

    Raises:
        SchemaError: Its header cannot be read.
    """
    with io.TextIOWrapper(file, encoding=how.encoding, errors="surrogateescape", newline="") as text:
        yield from _batches(_Lines(text), how, after)


def _batches(lines: _Lines, how: FileStream, after: int) -> Iterator[Batch]:
    for _ in range(how.skip_lines):
        next(lines, None)
    names, delimiter = _header(lines, how)
    if not names:
        return
    lines_of_rows: list[int] = []
    rows: list[list[str]] = []
    broken: list[BrokenRow] = []
    yielded = after > 0
    for line, row in _rows(lines, how, delimiter, len(names)):
        if line <= after:
            continue
        if isinstance(row, BrokenRow):
            broken.append(row)
        else:
            lines_of_rows.append(line)
            rows.append(row)
        if len(rows) + len(broken) >= ROWS_A_BATCH:
            yield _batch(names, rows, lines_of_rows, lines.number, broken)
            lines_of_rows, rows, broken, yielded = [], [], [], True
    if rows or broken or not yielded:
        yield _batch(names, rows, lines_of_rows, lines.number, broken)


def _batch(names: list[str], rows: list[list[str]], lines: list[int], last: int, broken: list[BrokenRow]) -> Batch:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    values = {name: [value or None for value in column] for name, column in zip(names, columns, strict=True)}
    return Batch(lines, values, last, broken)


def _header(lines: _Lines, how: FileStream) -> tuple[list[str], str]:
    """Names of the columns and the delimiter; no names for an empty file."""
    try:
        first = next(lines, "")
        while first and not first.strip():
            first = next(lines, "")
    except UnicodeError as error:
        raise _other_encoding(how) from error
    if "\0" in first or _NOT_TEXT.search(first):
        raise _other_encoding(how)
    if not first:
        return [], ","
    delimiter = how.delimiter or max(_DELIMITERS, key=first.count)
    if how.header:
        lines.give_back(1)
        return column_names(list(how.header)), delimiter
    fields = next(csv.reader([first], delimiter=delimiter, quotechar=how.quote))
    while len(fields) > 1 and not fields[-1].strip():
        fields.pop()  # a delimiter at the end of each line
    return column_names(fields), delimiter


def _other_encoding(how: FileStream) -> SchemaError:
    return SchemaError(
        f"The header is not {how.encoding.removesuffix('-sig')} text.",
        remedy="set the stream's `encoding`: cp1252 or latin-1 for exports of Windows programs, utf-16 for "
        "Excel's Unicode text.",
    )


def _rows(lines: _Lines, how: FileStream, delimiter: str, width: int) -> Iterator[tuple[int, list[str] | BrokenRow]]:
    reader = csv.reader(lines, delimiter=delimiter, quotechar=how.quote, strict=True)
    while True:
        line = lines.begin_row()
        try:
            row = next(reader)
        except StopIteration:
            return
        except (csv.Error, UnicodeError) as error:
            yield line, _broken(lines, line, f"cannot be read: {error}")
            continue
        if not row:
            continue
        if problem := _problem(lines, row, width):
            yield line, _broken(lines, line, problem)
        else:
            yield line, row[:width]


def _problem(lines: _Lines, row: list[str], width: int) -> str | None:
    if len(row) < width or any(row[width:]):
        return f"has {len(row)} fields, and the header has {width}"
    for text in lines.taken:
        if not text.isascii() and _NOT_TEXT.search(text):
            return "holds bytes that are no text in this encoding"
        if "\0" in text:
            return "holds a NUL character"
    return None


def _broken(lines: _Lines, line: int, reason: str) -> BrokenRow:
    """The row as broken: its first line only, since a quote that never closes would take the rest of the file along."""
    lines.give_back(len(lines.taken) - 1)
    text = lines.taken[0] if lines.taken else ""
    return BrokenRow(line, reason, text.rstrip("\r\n").encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
