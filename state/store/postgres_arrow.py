"""Rows between Arrow and PostgreSQL: which type is which, and what COPY reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

NUMERIC_OID = 1700


def arrow_schema(description: Sequence[Any]) -> pa.Schema:
    """The columns that a cursor describes."""
    import pyarrow as pa

    moment = pa.timestamp("us", tz="UTC")
    types: dict[int, pa.DataType] = {
        16: pa.bool_(), 20: pa.int64(), 21: pa.int16(), 23: pa.int32(), 700: pa.float32(), 701: pa.float64(),
        NUMERIC_OID: pa.float64(), 1082: pa.date32(), 1114: pa.timestamp("us"), 1184: moment,
        1009: pa.list_(pa.string()), 1015: pa.list_(pa.string()), 17: pa.binary(),
    }  # fmt: skip
    return pa.schema([(column[0], types.get(column[1], pa.string())) for column in description])


def sql_type(kind: pa.DataType) -> str:
    """The type of a column that keeps such values."""
    import pyarrow as pa

    known: list[tuple[Callable[[pa.DataType], bool], str]] = [
        (pa.types.is_boolean, "boolean"),
        (pa.types.is_int16, "smallint"),
        (pa.types.is_int32, "integer"),
        (pa.types.is_integer, "bigint"),
        (pa.types.is_floating, "double precision"),
        (pa.types.is_decimal, "numeric"),
        (pa.types.is_date, "date"),
        (pa.types.is_list, "text[]"),
    ]
    if pa.types.is_timestamp(kind):
        return "timestamptz" if kind.tz else "timestamp"
    return next((name for fits, name in known if fits(kind)), "text")


def copied(batch: pa.RecordBatch) -> bytes:
    """The rows as COPY reads them: nothing for NULL, quotes around every text."""
    import pyarrow as pa
    import pyarrow.csv

    arrays = [_plain(column) for column in batch.columns]
    plain = pa.RecordBatch.from_arrays(arrays, names=[str(number) for number in range(len(arrays))])
    sink = pa.BufferOutputStream()
    pyarrow.csv.write_csv(plain, sink, pyarrow.csv.WriteOptions(include_header=False))
    return bytes(sink.getvalue())


def _plain(column: pa.Array) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_list(column.type):
        return pa.array([None if row is None else _array_text(row) for row in column.to_pylist()], pa.string())
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        # The one character that PostgreSQL cannot keep.
        return pc.replace_substring(column, "\x00", "")
    return column


def _array_text(values: Sequence[str | None]) -> str:
    quoted = (
        "NULL" if value is None else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values
    )
    return "{" + ",".join(quoted) + "}"
