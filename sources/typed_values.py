"""Values of files and databases to Arrow columns of a declared type, and which of them do not fit.

Whole columns are cast at once; only where that fails is each value looked at, to say which ones are at fault.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from millstream.sources.contract import ColumnType
from millstream.sources.pages import TIMESTAMP

_TRUE = frozenset({"true", "t", "yes", "y", "1", "on"})
_FALSE = frozenset({"false", "f", "no", "n", "0", "off"})
_EPOCH_MILLISECONDS = 100_000_000_000
_MISFITS = (ValueError, TypeError, KeyError, OverflowError, ArithmeticError, pa.ArrowException)
ARROW_TYPES: dict[ColumnType, pa.DataType] = {
    "text": pa.string(),
    "bigint": pa.int64(),
    "double": pa.float64(),
    "bool": pa.bool_(),
    "timestamp": TIMESTAMP,
    "date": pa.date32(),
    "json": pa.string(),
}


@dataclass(frozen=True)
class Format:
    """How a column's values are written.

    Attributes:
        type: What they become.
        pattern: How dates and times are written, as for ``strptime``; None: ISO 8601.
        decimal_comma: ``1.234,50`` instead of ``1,234.50``.
        zone: Time zone of times that name none.
    """

    type: ColumnType = "text"
    pattern: str | None = None
    decimal_comma: bool = False
    zone: ZoneInfo | None = None


def typed(values: Sequence[Any], form: Format) -> tuple[pa.Array, list[int]]:
    """Values as an Arrow array, and the places of those that do not fit, which are null in it."""
    try:
        array = _at_once(values, form)
        if array is not None:
            return array, []
    except _MISFITS:
        pass  # some value is at fault: look for it
    return _one_by_one(values, form)


def _at_once(values: Sequence[Any], form: Format) -> pa.Array | None:
    """The column cast as a whole, where all values are text; None where this type has no such way."""
    if form.type == "json" or not all(value is None or isinstance(value, str) for value in values):
        return None
    array = pa.array(values, pa.string())
    if form.type == "text":
        return array
    array = pc.utf8_trim_whitespace(array)
    array = pc.if_else(pc.equal(array, ""), None, array)
    if form.type == "double" and form.decimal_comma:
        array = pc.replace_substring(pc.replace_substring(array, ".", ""), ",", ".")
    if form.type in ("bigint", "double"):
        return array.cast(ARROW_TYPES[form.type])
    if form.type == "date" and not form.pattern:
        return array.cast(pa.date32())
    if form.type == "timestamp" and not form.pattern:
        return in_utc(array.cast(pa.timestamp("us")), form.zone)
    return None


def _one_by_one(values: Sequence[Any], form: Format) -> tuple[pa.Array, list[int]]:
    read, wrong = _READERS[form.type], []
    found: list[Any] = []
    for place, value in enumerate(values):
        if value is None or (form.type != "text" and isinstance(value, str) and not value.strip()):
            found.append(None)
            continue
        try:
            found.append(_checked(read(value, form)))
        except _MISFITS:
            found.append(None)
            wrong.append(place)
    try:
        return pa.array(found, ARROW_TYPES[form.type]), wrong
    except (pa.ArrowException, OverflowError):
        return _without_the_unstorable(found, wrong, ARROW_TYPES[form.type])


def _without_the_unstorable(found: list[Any], wrong: list[int], kind: pa.DataType) -> tuple[pa.Array, list[int]]:
    """Values that Python can hold and the column cannot, such as a whole number of 20 digits."""
    places = set(wrong)
    for place, value in enumerate(found):
        try:
            pa.array([value], kind)
        except (pa.ArrowException, OverflowError):
            found[place] = None
            places.add(place)
    return pa.array(found, kind), sorted(places)


def _checked(value: Any) -> Any:
    if isinstance(value, str):
        value.encode()  # raises what pyarrow would raise of the whole column: bytes that were no text
    return value


def in_utc(array: pa.Array, zone: ZoneInfo | None) -> pa.Array:
    """Times as UTC; those without zone are times of ``zone``, the earlier one where a clock showed it twice."""
    if array.type.tz is None:
        key = zone.key if zone else "UTC"
        array = pc.assume_timezone(array, key, ambiguous="earliest", nonexistent="latest")
    return array.cast(TIMESTAMP, safe=False)


def storable(table: pa.Table, zone: ZoneInfo | None) -> tuple[pa.Table, list[str]]:
    """A table with columns of types that every store has, and the names of those left out because they hold bytes.

    Nested values become JSON text, times UTC; decimals, dates and numbers stay what they are.
    """
    arrays: dict[str, Any] = {}
    left_out = []
    for field, column in zip(table.schema, table.columns, strict=True):
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
            left_out.append(field.name)
        elif not pa.types.is_null(kind):
            arrays[field.name] = _storable(column.cast(kind), zone)
    return pa.table(arrays), left_out


def _storable(column: pa.ChunkedArray, zone: ZoneInfo | None) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_nested(kind):
        return pa.array([None if value is None else as_json(value) for value in column.to_pylist()], pa.string())
    if pa.types.is_timestamp(kind):
        return in_utc(column, zone)
    if pa.types.is_duration(kind):
        return pa.array([None if value is None else str(value) for value in column.to_pylist()], pa.string())
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return column.cast(pa.string())
    if pa.types.is_integer(kind):
        return column.cast(pa.int64())
    return column.cast(pa.float64()) if pa.types.is_floating(kind) else column


def as_text(value: Any) -> str:
    """Any value as people would write it."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))  # spreadsheets hold every number as a float
    if isinstance(value, datetime) and value.time() == time.min and value.tzinfo is None:
        return value.date().isoformat()
    if isinstance(value, (date, time)):
        return value.isoformat()
    return as_json(value) if isinstance(value, (dict, list)) else str(value)


def as_json(value: Any) -> str:
    """A nested value as JSON text."""
    return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _read_text(value: Any, _: Format) -> str:
    return as_text(value)


def _read_bigint(value: Any, form: Format) -> int:
    if isinstance(value, str):
        text = value.strip().replace("." if form.decimal_comma else ",", "")
        return int(text)
    if int(value) != value:
        raise ValueError
    return int(value)


def _read_double(value: Any, form: Format) -> float:
    if not isinstance(value, str):
        return float(value)
    text = value.strip()
    text = text.replace(".", "").replace(",", ".") if form.decimal_comma else text.replace(",", "")
    return float(Decimal(text))


def _read_bool(value: Any, _: Format) -> bool:
    word = as_text(value).strip().lower()
    if word not in _TRUE and word not in _FALSE:
        raise ValueError
    return word in _TRUE


def _read_timestamp(value: Any, form: Format) -> datetime:
    zone = form.zone or UTC
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return datetime.fromtimestamp(value / 1000 if abs(value) >= _EPOCH_MILLISECONDS else value, UTC)
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, date):
        moment = datetime.combine(value, time.min)
    elif form.pattern:
        moment = datetime.strptime(value.strip(), form.pattern)
    elif value.strip().lstrip("-").isdigit() and len(value.strip()) > 8:
        return _read_timestamp(int(value), form)
    else:
        moment = datetime.fromisoformat(value.strip())
    return moment.replace(tzinfo=zone) if moment.tzinfo is None else moment


def _read_date(value: Any, form: Format) -> date:
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    if form.pattern:
        return datetime.strptime(value.strip(), form.pattern).date()
    return datetime.fromisoformat(value.strip()).date()


def _read_json(value: Any, _: Format) -> str:
    if isinstance(value, str):
        orjson.loads(value)
        return value
    return as_json(value)


_READERS: dict[ColumnType, Callable[[Any, Format], Any]] = {
    "text": _read_text,
    "bigint": _read_bigint,
    "double": _read_double,
    "bool": _read_bool,
    "timestamp": _read_timestamp,
    "date": _read_date,
    "json": _read_json,
}
