"""Columns as dlt knows them: those a stream declares, and the types that stored ones have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from millstream.sources.contract import Stream
from millstream.sources.pages import PULLED_AT

if TYPE_CHECKING:
    from dlt.common.schema.typing import TColumnSchema

_PLAIN = {"text": pa.string(), "bigint": pa.int64(), "double": pa.float64(), "date": pa.date32()}


def declared_columns(stream: Stream) -> list[TColumnSchema]:
    """What a stream declares, and the time of the pull."""
    columns: list[TColumnSchema] = [
        {"name": c.name, "data_type": c.type, "nullable": not c.required} for c in stream.columns
    ]
    return [*columns, {"name": PULLED_AT, "data_type": "timestamp", "nullable": False, "dedup_sort": "desc"}]


def stored_types(stream: Stream) -> dict[str, pa.DataType]:
    """The types of a stream's stored columns, as far as tables could differ from them; asked while dlt extracts."""
    import dlt

    types: dict[str, pa.DataType] = {}
    for name, column in dlt.current.source_schema().tables.get(stream.name, {}).get("columns", {}).items():
        kind = column.get("data_type")
        if kind == "decimal":
            types[name] = pa.decimal128(column.get("precision") or 38, column.get("scale") or 9)
        elif kind in _PLAIN:
            types[name] = _PLAIN[kind]
    return types
