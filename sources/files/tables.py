"""Batches of rows to Arrow tables: types as the stream declares them, and the rows that do not fit set aside."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from millstream.sources.files.formats import Batch, BrokenRow
from millstream.sources.files.settings import FileStream
from millstream.sources.from_project import DELETED, deleted_rows
from millstream.sources.typed_values import as_json, storable, typed
from millstream.state.errors import SchemaError
from millstream.state.suggestions import did_you_mean

FILE, LINE, VERSION = "_file", "_line", "_file_version"


class TableMaker:
    """Makes the tables of one file.

    Args:
        stream: How the file is written, and what its columns are.
        primary_key: Columns that must have a value.
        zone: Time zone of times that name none.
        path: The file, as rows name it.
        version: Its version.

    Attributes:
        left_out: Columns that hold bytes, which are not stored.
    """

    def __init__(
        self, stream: FileStream, primary_key: tuple[str, ...], zone: ZoneInfo, path: str, version: str
    ) -> None:
        self._stream = stream
        self._key = [name for name in primary_key if name not in (FILE, LINE)]
        self._zone = zone
        self._path = path
        self._version = version
        self._seen: set[str] = set()
        self.left_out: set[str] = set()
        self.needed = [name for name in (*self._key, *stream.columns_needed()) if name not in stream.constants]

    def table(self, batch: Batch) -> tuple[pa.Table, list[BrokenRow]]:
        """The rows that can be used as a table, and the others.

        Raises:
            SchemaError: A column that is needed is not in the file.
        """
        names = batch.columns.column_names if isinstance(batch.columns, pa.Table) else list(batch.columns)
        self._seen.update(names)
        if batch.fixed:
            self._require(names)
        rows = len(batch.lines)
        arrays, reasons = self._typed(batch.columns)
        for name, value in self._stream.constants.items():
            arrays[name] = pa.array([value] * rows, pa.string())
        self._find_missing_keys(arrays, rows, reasons)
        if self._stream.tells_deleted:
            arrays[DELETED] = deleted_rows(self._stream.deleted, arrays, rows)
        arrays |= {
            FILE: pa.array([self._path] * rows, pa.string()),
            LINE: pa.array(batch.lines, pa.int64()),
            VERSION: pa.array([self._version] * rows, pa.string()),
        }
        table = pa.table(arrays)
        if not reasons:
            return table, batch.broken
        broken = [BrokenRow(batch.lines[at], reason, _text(batch.columns, at)) for at, reason in reasons.items()]
        good = pa.array([at not in reasons for at in range(rows)], pa.bool_())
        return table.filter(good), [*batch.broken, *broken]

    def never_seen(self) -> list[str]:
        """Columns that are needed and stood in no row."""
        return [name for name in self.needed if name not in self._seen]

    def _require(self, names: list[str]) -> None:
        for name in self.needed:
            if name not in names:
                raise SchemaError(
                    f"There is no column {name!r}.",
                    allowed=names,
                    remedy=did_you_mean(name, names) or "name a column that is there, or leave it out of the stream.",
                )

    def _typed(self, columns: dict[str, list[Any]] | pa.Table) -> tuple[dict[str, pa.Array], dict[int, str]]:
        """The columns by name, and what is wrong in which row."""
        types = self._stream.types()
        if isinstance(columns, pa.Table):
            stored, left_out = storable(columns, self._zone)
            self.left_out.update(left_out)
            arrays = dict(zip(stored.column_names, stored.columns, strict=True))
            given: dict[str, list[Any]] = {
                name: columns[name].to_pylist() for name in types if name in columns.column_names
            }
        else:
            arrays, given = {}, columns
        reasons: dict[int, str] = {}
        for name, values in given.items():
            arrays[name], wrong = typed(self._without_missing(values), self._stream.form(name, self._zone))
            for at in wrong:
                reasons.setdefault(at, f"{name} is no {types.get(name, 'text')}")
        return arrays, reasons

    def _without_missing(self, values: list[Any]) -> list[Any]:
        words = self._stream.missing
        return [None if value in words else value for value in values] if words else values

    def _find_missing_keys(self, arrays: dict[str, pa.Array], rows: int, reasons: dict[int, str]) -> None:
        for name in self._key:
            array = arrays.get(name, pa.nulls(rows, pa.string()))
            if array.null_count:
                for at, absent in enumerate(array.is_null().to_pylist()):
                    if absent:
                        reasons.setdefault(at, f"has no {name}, which is part of the key")


def _text(columns: dict[str, list[Any]] | pa.Table, at: int) -> str:
    if isinstance(columns, pa.Table):
        return as_json(columns.slice(at, 1).to_pylist()[0])
    return as_json({name: values[at] for name, values in columns.items() if values[at] is not None})
