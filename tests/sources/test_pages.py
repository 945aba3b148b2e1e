"""A column read at once holds what its values read one by one come to."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millstream.sources.contract import Column, ColumnType, Stream
from millstream.sources.pages import _READERS, PageReader
from millstream.state.errors import SchemaError

VALUES: dict[ColumnType, list[Any]] = {
    "text": [None, "", "a", 1, True, 1.5, 2**70, -3, "ü", 1e20, [1]],
    "bigint": [None, "", 1, -5, "7", "007", "0x1F", " 7", 1.0, 1.5, True, 2**70, "x", "1_000"],
    "double": [None, "", 1, 1.5, "2.5", "nan", "0x1p3", " 3 ", True, 2**53 + 1, "x", "1e5"],
    "bool": [None, "", True, False, "true", "FALSE", "1", "0", "yes", " true ", "t", 1, 0, 1.0, "x"],
    "timestamp": [
        *(None, "", "x", "2026-01-05T10:00:00Z", "2026-01-05T10:00:00.123456789Z", "2026-01-05T10:00:00-0330"),
        *("2026-01-05T10:00:00+02:00", "2026-01-05", "2026-01-05T10:00", "2026-W01-1", "1767430861000"),
        *(1_767_430_861_000, 1_767_430_861, -1, 1_767_430_861.5, 253_402_300_800_000, True),
        *(datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 5, tzinfo=timezone(timedelta(hours=3)))),
    ],
    "date": [None, "", "x", "2026-01-05", "2026-01-05T10:00:00Z", date(2026, 1, 5), "20260105", "2026-1-5"],
}


@pytest.mark.parametrize("kind", VALUES)
@settings(deadline=None)
@given(data=st.data())
def test_it_is_as_one_by_one(kind: ColumnType, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.sampled_from(VALUES[kind]), min_size=1, max_size=4))
    assert read_at_once(kind, values) == one_by_one(kind, values)


def read_at_once(kind: ColumnType, values: list[Any]) -> str:
    columns = (Column("id", required=True), Column("value", kind))
    things = Stream(name="things", description="", primary_key=("id",), columns=columns, read=lambda _: ())
    rows = [{"id": str(number), "value": value} for number, value in enumerate(values)]
    try:
        return shown(PageReader(things, datetime(2026, 1, 5, tzinfo=UTC)).table(rows)["value"].combine_chunks())
    except SchemaError:
        return "misfit"


def one_by_one(kind: ColumnType, values: list[Any]) -> str:
    arrow_type, read = _READERS[kind]
    given = [None if value == "" and kind != "text" else value for value in values]
    try:
        return shown(pa.array([None if value is None else read(value) for value in given], arrow_type))
    except (ValueError, TypeError, KeyError, OverflowError, pa.ArrowException):
        return "misfit"


def shown(array: pa.Array) -> str:
    return str(array.cast(pa.int64() if pa.types.is_timestamp(array.type) else array.type).to_pylist())
