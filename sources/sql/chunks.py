"""Chunks of a query as Arrow tables, with clean names, storable types and what the project file declares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast
from zoneinfo import ZoneInfo

import pyarrow as pa
import sqlalchemy as sa

from millstream.sources.from_project import DELETED, column_names, deleted_rows
from millstream.sources.sql.database import Database
from millstream.sources.sql.settings import TableStream
from millstream.sources.typed_values import ARROW_TYPES, Format, storable, typed
from millstream.state.errors import SchemaError
from millstream.state.suggestions import did_you_mean

if TYPE_CHECKING:
    from dlt.common.schema.typing import TColumnSchema
    from sqlalchemy.sql import FromClause, Select


class Chunks:
    """Reads one stream's table.

    Args:
        database: Where it is.
        stream: What is declared of it.
        zone: Time zone of times that name none.
        rows: Rows in a chunk.

    Attributes:
        left_out: Columns that hold bytes, which are not stored.
    """

    def __init__(self, database: Database, stream: TableStream, zone: ZoneInfo, rows: int) -> None:
        self._database = database
        self._stream = stream
        self._zone = zone
        self._rows = rows
        self._types: dict[str, pa.DataType] = {}
        self.left_out: set[str] = set()
        self.table = database.reflect(stream)
        originals = [column.name for column in self.table.columns]
        self._original = {
            name: original
            for name, original in zip(column_names(originals), originals, strict=True)
            if name not in stream.leave_out
        }
        self._require([*stream.primary_key, *filter(None, [stream.cursor]), *_needed(stream)])

    def column(self, name: str) -> sa.ColumnElement[Any]:
        """A column of the table by its clean name."""
        found: sa.ColumnElement[Any] = self.table.columns[self._original[name]]
        return found

    def data_type(self, name: str) -> str | None:
        """What dlt calls the column's type; None where the database does not say."""
        return self._schemas([name])[self._original[name]].get("data_type")

    def keys(self) -> pa.Table:
        """The keys of all rows."""
        names = self._stream.primary_key
        tables = [storable(self._renamed(table, names), self._zone)[0] for table in self._load(names, None)]
        return pa.concat_tables(tables, promote_options="default") if tables else pa.table({})

    def read(self, adapt: Any) -> Iterator[tuple[pa.Table, pa.Table]]:
        """Rows of the query that ``adapt`` makes of a plain select: as the database gave them, and as they are stored.

        Raises:
            SchemaError: Values do not have the declared type.
        """
        names = list(self._original)
        for table in self._load(names, adapt):
            given = self._renamed(table, names)
            yield given, self._as_stored(given)

    def _load(self, names: Sequence[str], adapt: Any) -> Iterator[pa.Table]:
        from dlt.common.libs.pyarrow import PyToArrowConversionException
        from dlt.sources.sql_database.helpers import TableLoader

        def query(_: Select[Any], __: FromClause) -> Select[Any]:
            plain = sa.select(*(self.column(name) for name in names))
            return adapt(plain) if adapt else plain

        loader = TableLoader(
            self._database.engine,
            "pyarrow",
            cast("sa.Table", self.table),  # a query's columns are asked for in the same way
            self._schemas(names),
            chunk_size=self._rows,
            query_adapter_callback=query,
        )
        with self._database.our_errors():
            try:
                yield from loader.load_rows()
            except (PyToArrowConversionException, ValueError, TypeError) as error:
                column = getattr(error, "field_name", None)
                where = f"Column {column!r}" if column else "A column"
                raise SchemaError(
                    f"{where} holds values of another type than the database says ({type(error).__name__}).",
                    remedy="leave it out with leave_out, or read it by a query that casts it.",
                ) from error

    def _schemas(self, names: Sequence[str]) -> dict[str, TColumnSchema]:
        """The columns as dlt's sql_database source describes them, by their original name."""
        from dlt.sources.sql_database.schema_types import default_table_adapter, sqla_col_to_column_schema

        if isinstance(self.table, sa.Table):
            default_table_adapter(self.table, None)
        found: dict[str, TColumnSchema] = {}
        for name in names:
            schema = sqla_col_to_column_schema(self.column(name), "full_with_precision")  # type: ignore[arg-type]
            assert schema is not None
            found[self._original[name]] = {**schema, "nullable": True}
        return found

    def _renamed(self, table: pa.Table, names: Sequence[str]) -> pa.Table:
        clean = {self._original[name]: name for name in names}
        return table.rename_columns([clean[name] for name in table.column_names])

    def _as_stored(self, given: pa.Table) -> pa.Table:
        table, left_out = storable(given, self._zone)
        self.left_out.update(left_out)
        columns = {name: self._steady(name, table[name]) for name in table.column_names}
        for name, kind in self._stream.types().items():
            if name in columns:
                columns[name] = self._cast(name, columns[name], Format(kind, zone=self._zone))
        for name, value in self._stream.constants.items():
            columns[name] = pa.array([value] * len(given), pa.string())
        if self._stream.tells_deleted:
            columns[DELETED] = deleted_rows(self._stream.deleted, columns, len(given))
        for name in self._stream.primary_key:
            if name not in columns or columns[name].null_count:
                raise SchemaError(
                    f"Rows without a value in {name!r}, which is part of the key.",
                    remedy="name a key that every row has, or leave such rows out by a query.",
                )
        return pa.table(columns)

    def _steady(self, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
        """A query's columns have no type of their own: what the first chunk showed holds for the others."""
        kind = self._types.setdefault(name, column.type)
        if column.type == kind:
            return column
        try:
            return column.cast(kind)
        except pa.ArrowException as error:
            raise SchemaError(
                f"Column {name!r} is {kind} in some rows and {column.type} in others.",
                remedy="say its type under the stream's `columns`, or cast it in the query.",
            ) from error

    def _cast(self, name: str, column: pa.ChunkedArray, form: Format) -> pa.Array | pa.ChunkedArray:
        if column.type == ARROW_TYPES[form.type]:
            return column
        try:
            if not pa.types.is_string(column.type):
                return column.cast(ARROW_TYPES[form.type], safe=form.type != "double")
        except pa.ArrowException:
            pass  # value by value then, so that the error can say how many
        found, wrong = typed(column.to_pylist(), form)
        if wrong:
            raise SchemaError(
                f"{len(wrong)} of {len(column)} values of {name!r} are no {form.type}.",
                remedy="declare another type under the stream's `columns`, or mend them in a query.",
            )
        return found

    def _require(self, names: Sequence[str]) -> None:
        for name in names:
            if name not in self._original and name not in self._stream.constants:
                what = self._stream.table or "the query"
                raise SchemaError(
                    f"There is no column {name!r} in {what}.",
                    allowed=list(self._original),
                    remedy=did_you_mean(name, self._original) or "name a column that is there.",
                )


def _needed(stream: TableStream) -> tuple[str, ...]:
    deleted = stream.deleted
    flag = () if deleted is None else (deleted if isinstance(deleted, str) else deleted.column,)
    return (*stream.columns_needed(), *flag)


def key_texts(keys: pa.Table, names: Sequence[str], like: Mapping[str, pa.DataType]) -> pa.Array:
    """One text for each key, by which keys of the database and of the store can be compared."""
    import pyarrow.compute as pc

    texts = [pc.cast(keys[name].cast(like[name]).combine_chunks(), pa.string()) for name in names]
    return texts[0] if len(texts) == 1 else pc.binary_join_element_wise(*texts, "\x1f")
