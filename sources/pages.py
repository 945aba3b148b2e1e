"""Pages of rows to Arrow tables, by the declared columns: what dlt loads fastest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from millstream.sources.contract import Column, Columns, ColumnType, Page, Stream
from millstream.state.errors import SchemaError
from millstream.state.privacy import redact

PULLED_AT = "_pulled_at"
"""Column with the time of the pull that brought a row, a microsecond later for each row before it.

The model reads what is newer than it has seen. Of rows with one key, which vendors give when something changes while
it is being read, the one that came last is loaded.
"""

TIMESTAMP = pa.timestamp("us", tz="UTC")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_SECONDS_LIMIT = 100_000_000_000
_YEAR_10000 = 253_402_300_800_000


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    return known[str(value).strip().lower()]


def _timestamp(value: Any) -> datetime:
    """ISO 8601 text (UTC when it names no zone), a number of milliseconds or seconds since 1970, or a datetime."""
    if isinstance(value, str) and not value.lstrip("-").isdigit():
        parsed = datetime.fromisoformat(value)
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value
    number = float(value)
    return datetime.fromtimestamp(number / 1000 if abs(number) >= _EPOCH_SECONDS_LIMIT else number, UTC)


def _date(value: Any) -> date:
    return value if isinstance(value, date) else date.fromisoformat(str(value)[:10])


def _json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()


_READERS: dict[ColumnType, tuple[pa.DataType, Callable[[Any], Any]]] = {
    "text": (pa.string(), _text),
    "bigint": (pa.int64(), int),
    "double": (pa.float64(), float),
    "bool": (pa.bool_(), _bool),
    "timestamp": (TIMESTAMP, _timestamp),
    "date": (pa.date32(), _date),
    "json": (pa.string(), _json),
}
_MISFITS = (ValueError, TypeError, KeyError, OverflowError, pa.ArrowException)


# A column's values at once, as long as all of them are of the one kind that vendors usually give: several times quicker
# than one by one. What is raised only means that they have to be looked at one by one.


def _texts(values: Sequence[Any]) -> pa.Array:
    try:
        return pa.array(values, pa.string())
    except pa.ArrowTypeError:
        found = pa.array(values)  # ids that are numbers, mostly
        if not pa.types.is_integer(found.type) and not pa.types.is_boolean(found.type):
            raise
        return found.cast(pa.string())


def _bigints(values: Sequence[Any]) -> pa.Array:
    return pa.array(values, pa.int64())


def _doubles(values: Sequence[Any]) -> pa.Array:
    return pa.array(values, pa.float64())


def _bools(values: Sequence[Any]) -> pa.Array:
    try:
        return pa.array(values, pa.bool_())
    except pa.ArrowInvalid:
        return _texts_or_none(values).cast(pa.bool_())


def _timestamps(values: Sequence[Any]) -> pa.Array:
    kinds = {type(value) for value in values} - {type(None)}
    if kinds <= {str}:
        return _texts_or_none(values).cast(TIMESTAMP)
    if kinds == {datetime}:
        return pa.array(values, TIMESTAMP)
    numbers = pa.array(values, pa.int64())
    # From 2001 to 9999; a negative number or one of seconds is for the slow way.
    if pc.min(numbers).as_py() < _EPOCH_SECONDS_LIMIT * 10 or pc.max(numbers).as_py() >= _YEAR_10000:
        raise ValueError
    return numbers.cast(pa.timestamp("ms", tz="UTC")).cast(TIMESTAMP)


def _texts_or_none(values: Sequence[Any]) -> pa.Array:
    texts = pa.array(values, pa.string())
    return pc.if_else(pc.equal(texts, ""), None, texts) if "" in values else texts


def _dates(values: Sequence[Any]) -> pa.Array:
    return _texts_or_none(values).cast(pa.date32())


def _jsons(values: Sequence[Any]) -> pa.Array:
    return pa.array([None if value is None else _json(value) for value in values], pa.string())


_AT_ONCE: dict[ColumnType, Callable[[Sequence[Any]], pa.Array]] = {
    "text": _texts,
    "bigint": _bigints,
    "double": _doubles,
    "bool": _bools,
    "timestamp": _timestamps,
    "date": _dates,
    "json": _jsons,
}


class PageReader:
    """Turns a stream's pages into Arrow tables and notices what is not as declared.

    Args:
        stream: What was declared.
        pulled_at: When the pull started.
        stored: Types that columns beyond the declared ones have in the store; a column keeps the type it had first.

    Attributes:
        keys: Primary keys read so far, an Arrow array a page.
        highest: Highest value of the cursor column so far.
    """

    def __init__(self, stream: Stream, pulled_at: datetime, *, stored: Mapping[str, pa.DataType] | None = None) -> None:
        self.stream = stream
        self._schema = arrow_schema(stream)
        self._types = dict(stored or {})
        self.rows = 0
        self.keys: list[pa.Array] = []
        self.highest: datetime | date | None = None
        self._pulled_at = pulled_at
        self._missing = {c.name for c in stream.columns if not c.required and not c.optional}
        self._unknown: set[str] = set()

    def table(self, page: Page) -> pa.Table:
        """The page as a table of the declared columns.

        Raises:
            SchemaError: A required value is missing, or a value does not fit its column's type.
        """
        self._notice_names(page)
        return self._table(lambda name: [row.get(name) for row in page], len(page))

    def table_of_columns(self, columns: Columns) -> pa.Table:
        """The same of rows that came by column.

        Raises:
            SchemaError: As ``table``.
        """
        self._missing -= columns.keys()
        if self._missing:
            self._unknown.update(columns.keys() - {column.name for column in self.stream.columns})
        rows = len(next(iter(columns.values()), ()))
        absent = [None] * rows
        return self._table(lambda name: columns.get(name, absent), rows)

    def _table(self, values_of: Callable[[str], Sequence[Any]], rows: int) -> pa.Table:
        arrays = {column.name: self._array(column, values_of(column.name)) for column in self.stream.columns}
        first = _microseconds(self._pulled_at) + self.rows
        pulled = pa.array(range(first, first + rows), pa.int64()).cast(TIMESTAMP)
        table = pa.table({**arrays, PULLED_AT: pulled}, schema=self._schema)
        self.rows += rows
        self._keep_keys(table)
        self._keep_cursor(table)
        return table

    def given(self, table: pa.Table) -> pa.Table:
        """A table that a reader made itself, with the declared columns as declared and the time of the pull.

        Raises:
            SchemaError: A declared column or a required value is missing, or values do not fit a column's type.
        """
        self._missing.clear()
        declared = [field for field in arrow_schema(self.stream) if field.name != PULLED_AT]
        names = {field.name for field in declared}
        own = (field for field in table.schema if field.name not in names)
        fields = [*declared, *(pa.field(f.name, self._types.setdefault(f.name, f.type)) for f in own)]
        arrays = [self._as_declared(field, table) for field in fields]
        first = _microseconds(self._pulled_at) + self.rows
        arrays.append(pa.array(range(first, first + len(table)), pa.int64()).cast(TIMESTAMP))
        schema = pa.schema([*fields, pa.field(PULLED_AT, TIMESTAMP, nullable=False)])
        whole = pa.Table.from_arrays(arrays, schema=schema)
        self.rows += len(whole)
        self._keep_keys(whole)
        self._keep_cursor(whole)
        return whole

    def _as_declared(self, field: pa.Field, table: pa.Table) -> pa.ChunkedArray:
        if field.name not in table.column_names:
            if not field.nullable:
                raise SchemaError(f"There is no column {field.name!r}.", allowed=table.column_names)
            return pa.nulls(len(table), field.type)
        column = table[field.name]
        if column.null_count and not field.nullable:
            raise SchemaError(f"{column.null_count} of {len(table)} rows have no value in {field.name!r}.")
        try:
            return column.cast(field.type)
        except pa.ArrowException as error:
            raise SchemaError(
                f"Column {field.name!r} is {column.type} and does not fit {field.type}.",
                remedy="declare its type, or leave it out.",
            ) from error

    @property
    def lacks_columns(self) -> bool:
        """Whether a declared column has stood in no row so far."""
        return bool(self._missing)

    def check_complete(self) -> None:
        """Complain about a declared column that stood in no row at all: it was renamed or is not asked for.

        Raises:
            SchemaError: Names the columns and the unknown ones seen instead.
        """
        if self.rows and self._missing:
            raise SchemaError(
                f"Column {', '.join(sorted(self._missing))} stood in none of {self.rows} rows"
                + (f"; unknown names seen: {', '.join(sorted(self._unknown)[:10])}." if self._unknown else "."),
                remedy="the API may have renamed it: update the connector, or leave the stream out for now.",
            )

    def distinct_keys(self) -> int:
        """How many different primary keys were read."""
        return len(pa.chunked_array(self.keys).unique()) if self.keys else 0

    def _notice_names(self, page: Page) -> None:
        for name in tuple(self._missing):
            if any(name in row for row in page):
                self._missing.discard(name)
        if self._missing and page:
            declared = {column.name for column in self.stream.columns}
            self._unknown.update(name for name in page[0] if name not in declared)

    def _array(self, column: Column, values: Sequence[Any]) -> pa.Array:
        try:
            array = _AT_ONCE[column.type](values)
        except _MISFITS:
            array = self._one_by_one(column, values)  # says which value does not fit, if one does not
        if column.required and array.null_count:
            raise SchemaError(
                f"Required field {column.name!r} is missing in {array.null_count} of {len(values)} rows of a page.",
                remedy="the API may have changed or renamed it; nothing of this stream was loaded past this page.",
            )
        return array

    def _one_by_one(self, column: Column, values: Sequence[Any]) -> pa.Array:
        arrow_type, read = _READERS[column.type]
        if column.type not in ("text", "json"):
            values = [None if value == "" else value for value in values]
        try:
            return pa.array([None if value is None else read(value) for value in values], arrow_type)
        except _MISFITS as error:
            raise self._misfit(column, values, read) from error

    def _misfit(self, column: Column, values: Sequence[Any], read: Callable[[Any], Any]) -> SchemaError:
        def fits(value: Any) -> bool:
            try:
                read(value)
            except (ValueError, TypeError, KeyError, OverflowError):
                return False
            return True

        bad = next((value for value in values if value is not None and not fits(value)), None)
        return SchemaError(
            f"A value of {column.name!r} is not a {column.type}: {redact(repr(bad))[:60]}.",
            remedy="the API may have changed the field's type: update the connector's column.",
        )

    def _keep_keys(self, table: pa.Table) -> None:
        columns = [pc.cast(table[name].combine_chunks(), pa.string()) for name in self.stream.primary_key]
        if columns and len(table):
            self.keys.append(columns[0] if len(columns) == 1 else pc.binary_join_element_wise(*columns, "\x1f"))

    def _keep_cursor(self, table: pa.Table) -> None:
        if self.stream.cursor is None or not len(table):
            return
        highest = pc.max(table[self.stream.cursor.column]).as_py()
        if highest is not None and (self.highest is None or highest > self.highest):
            self.highest = highest


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def last_of_each_key(stream: Stream, tables: Sequence[pa.Table]) -> list[pa.Table]:
    """A stream's tables without the rows that a later one with the same key replaces."""
    if not tables:
        return []
    whole = pa.concat_tables(tables)
    keys = list(stream.primary_key)
    numbered = whole.select(keys).append_column("_number", pa.array(range(len(whole)), pa.int64()))
    last = numbered.group_by(keys).aggregate([("_number", "max")])["_number_max"]
    return list(tables) if len(last) == len(whole) else [whole.take(last.combine_chunks().sort())]


def arrow_schema(stream: Stream) -> pa.Schema:
    """The Arrow schema of a stream's tables, with the column that says when a row was pulled."""
    fields = [pa.field(c.name, _READERS[c.type][0], nullable=not c.required) for c in stream.columns]
    return pa.schema([*fields, pa.field(PULLED_AT, TIMESTAMP, nullable=False)])
