"""Rows into a file on this machine: CSV, JSON Lines or Parquet; equal rows always give equal bytes."""

from __future__ import annotations

import codecs
import gzip
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from millstream.destinations.files.settings import Compression, FileFormat, FilesSettings
from millstream.destinations.files.values import Cell, MisfitError, as_text
from millstream.state.errors import ConfigurationError

_ENDINGS: Mapping[FileFormat, str] = {"csv": ".csv", "jsonl": ".jsonl", "parquet": ".parquet"}
_PACKED: Mapping[Compression, str] = {"none": "", "gzip": ".gz", "zstd": ".zst"}
_PARQUET: Mapping[str, pa.DataType] = {
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}
_ROWS_A_GROUP = 50_000
_FORMULA = re.compile(r"[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")


def ending_of(settings: FilesSettings) -> str:
    """How the names of files end."""
    packed = "" if settings.format == "parquet" else _PACKED[settings.compression]
    return _ENDINGS[settings.format] + packed


class Writer(ABC):
    """Writes rows of the same columns."""

    @abstractmethod
    def add(self, row: Mapping[str, Cell]) -> None:
        """Write a row; a column that is not in it has no value.

        Raises:
            MisfitError: It cannot be written; the others are not touched by it.
        """

    @abstractmethod
    def end(self) -> None:
        """Write what is held back."""


@contextmanager
def writing(path: Path, settings: FilesSettings, columns: Sequence[str]) -> Iterator[Writer]:
    """A writer of a file, which is whole when the context ends.

    Args:
        path: Where to write.
        settings: How.
        columns: Its columns, in order.
    """
    if settings.format == "parquet":
        schema = pa.schema([(name, _PARQUET.get(settings.types.get(name, ""), pa.string())) for name in columns])
        with pq.ParquetWriter(path, schema, compression=settings.compression) as parquet:
            writer: Writer = _Parquet(parquet, schema)
            yield writer
            writer.end()
        return
    with _packed(path, settings.compression) as stream:
        writer = _Csv(stream, settings, columns) if settings.format == "csv" else _JsonLines(stream)
        yield writer
        writer.end()


@contextmanager
def _packed(path: Path, compression: Compression) -> Iterator[IO[bytes]]:
    if compression == "gzip":
        with path.open("wb") as raw, gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as stream:
            yield cast("IO[bytes]", stream)
    else:
        with pa.output_stream(str(path), compression="zstd" if compression == "zstd" else None) as stream:
            yield cast("IO[bytes]", stream)


def unpacked(content: bytes, compression: Compression) -> bytes:
    """Content as it was before it was packed."""
    if compression == "gzip":
        return gzip.decompress(content)
    if compression == "zstd":
        with pa.input_stream(pa.BufferReader(content), compression="zstd") as stream:
            return cast("bytes", stream.read())
    return content


def packed(content: bytes, compression: Compression) -> bytes:
    """Content, packed."""
    if compression == "gzip":
        return gzip.compress(content, mtime=0)
    if compression == "zstd":
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, "zstd") as stream:
            stream.write(content)
        return cast("bytes", sink.getvalue().to_pybytes())
    return content


class _Csv(Writer):
    """As RFC 4180 has it. An empty text stands in quotes, so that it can be told from no value."""

    def __init__(self, stream: IO[bytes], settings: FilesSettings, columns: Sequence[str]) -> None:
        self._stream = stream
        self._columns = columns
        self._delimiter = settings.delimiter
        self._end = "\n" if settings.line_end == "lf" else "\r\n"
        self._null = settings.null
        self._guards = settings.guard_formulas
        self._odd = re.compile(rf'[\r\n"{re.escape(settings.delimiter)}]|^\s|\s$')
        self._encoding = settings.encoding
        self._encoder = codecs.getincrementalencoder(settings.encoding)()
        try:
            self._write(self._delimiter.join(self._quoted(name) for name in columns))
        except UnicodeEncodeError as error:
            raise ConfigurationError(
                f"{self._culprit(columns)} has a name with characters that {self._encoding} does not have.",
                remedy="map another name, or choose another encoding.",
            ) from error

    def add(self, row: Mapping[str, Cell]) -> None:
        cells = [self._cell(row.get(name)) for name in self._columns]
        try:
            self._write(self._delimiter.join(cells))
        except UnicodeEncodeError as error:
            raise MisfitError(
                "not_in_encoding", f"{self._culprit(cells)} has characters that {self._encoding} does not have."
            ) from error

    def end(self) -> None:
        """Nothing is held back."""

    def _write(self, line: str) -> None:
        (line + self._end).encode(self._encoding)  # before the encoder, which would keep half of what it refuses
        self._stream.write(self._encoder.encode(line + self._end))

    def _cell(self, value: Cell) -> str:
        if value is None:
            return self._null
        text = as_text(value)
        if self._guards and isinstance(value, str) and _FORMULA.match(text) and not _NUMBER.fullmatch(text):
            text = f"'{text}"
        return self._quoted(text)

    def _quoted(self, text: str) -> str:
        if text in ("", self._null) or self._odd.search(text):
            return '"' + text.replace('"', '""') + '"'
        return text

    def _culprit(self, cells: Sequence[str]) -> str:
        for name, cell in zip(self._columns, cells, strict=True):
            try:
                cell.encode(self._encoding)
            except UnicodeEncodeError:
                return f"Column {name}"
        return "The row"


class _JsonLines(Writer):
    """An object a line. A field to be cleared is null; one without a value that is to be left alone is not there."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def add(self, row: Mapping[str, Cell]) -> None:
        try:
            line = orjson.dumps(row, option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE)
        except TypeError as error:
            raise MisfitError("not_in_encoding", "The row has characters that UTF-8 does not have.") from error
        self._stream.write(line)

    def end(self) -> None:
        """Nothing is held back."""


class _Parquet(Writer):
    def __init__(self, parquet: pq.ParquetWriter, schema: pa.Schema) -> None:
        self._parquet = parquet
        self._schema = schema
        self._rows: list[Mapping[str, Any]] = []

    def add(self, row: Mapping[str, Cell]) -> None:
        for value in row.values():
            if isinstance(value, str) and not _is_unicode(value):
                raise MisfitError("not_in_encoding", "The row has characters that UTF-8 does not have.")
        self._rows.append(row)
        if len(self._rows) == _ROWS_A_GROUP:
            self.end()

    def end(self) -> None:
        if self._rows:
            self._parquet.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._rows = []


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
