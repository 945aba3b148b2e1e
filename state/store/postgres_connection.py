"""A connection to PostgreSQL that is spoken to in DuckDB's dialect, and copies rows both ways."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from millstream.state.sql import identifier
from millstream.state.store.postgres_arrow import arrow_schema, copied, sql_type
from millstream.state.store.replacing import SHAPE, empty_table, replace_view
from millstream.state.store.server_errors import typed_errors

if TYPE_CHECKING:
    import psycopg2
    import pyarrow as pa

    RawConnection = psycopg2.extensions.connection
    RawCursor = psycopg2.extensions.cursor

ROWS_WORTH_STATISTICS = 1_000
"""From here on the planner does badly without knowing what stands in a table."""

_BOUND_NAMES = "p_"


class PostgresConnection:
    """An open PostgreSQL database that is spoken to in DuckDB's dialect."""

    engine: Literal["postgres"] = "postgres"

    def __init__(self, raw: RawConnection, name: str = "") -> None:
        self._raw = raw
        self._name = name

    def execute(self, query: str, parameters: object = None, /) -> RawCursor:
        """Run a statement, or several of which the last one takes the values.

        Raises:
            QueryError: The server refuses it.
            UnreachableError: The server is gone.
        """
        from millstream.state.store.dialect import translate

        values = _named(parameters)
        cursor = self._raw.cursor()
        with typed_errors(self._name):
            for statement in translate(query):
                for before in statement.first:
                    cursor.execute(before)
                if statement.view:
                    replace_view(cursor, statement.view, statement.text)
                    continue
                # Without values psycopg2 leaves % alone.
                bound = values if statement.names else None
                if statement.table:
                    columns = empty_table(cursor, statement.table, _filled_in(cursor, statement.shape, bound))
                    if statement.text:
                        query = _filled_in(cursor, statement.text, bound)
                        cursor.execute(f"INSERT INTO {statement.table} ({columns}) {query}")
                else:
                    cursor.execute(statement.text, bound)
                rows = cursor.rowcount
                for after in statement.afterwards:
                    cursor.execute(after)
                if statement.fills and rows >= ROWS_WORTH_STATISTICS:
                    cursor.execute(f"ANALYZE {statement.fills}")
        return cursor

    def executemany(self, query: str, parameters: object = None, /) -> RawCursor:
        """Run a statement for each row of values."""
        from psycopg2.extras import execute_batch

        from millstream.state.store.dialect import translate

        (statement,) = translate(query)
        cursor = self._raw.cursor()
        assert isinstance(parameters, Iterable)
        with typed_errors(self._name):
            execute_batch(cursor, statement.text, [_named(row) for row in parameters], page_size=500)
        return cursor

    def close(self) -> None:
        """Close it; what was not committed is gone, and so are temporary tables."""
        self._raw.close()

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return bool(self._raw.closed)

    def batches(self, query: str, parameters: object, rows: int) -> pa.RecordBatchReader:
        """The rows of a query, read from the server as they are asked for."""
        import pyarrow as pa

        from millstream.state.store.dialect import translate

        (statement,) = translate(query)
        cursor = self._raw.cursor()
        in_transaction = self._raw.info.transaction_status != 0
        with typed_errors(self._name):
            hold = "" if in_transaction else "WITH HOLD "
            cursor.execute("CLOSE ALL")
            cursor.execute(
                f"DECLARE millstream_rows NO SCROLL CURSOR {hold}FOR {statement.text}",
                _named(parameters) if statement.names else None,
            )
            cursor.execute(f"FETCH FORWARD {rows} FROM millstream_rows")
        schema = arrow_schema(cursor.description or ())

        def fetched() -> Iterator[pa.RecordBatch]:
            while part := cursor.fetchall():
                columns = zip(*part, strict=True)
                arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)
                with typed_errors(self._name):
                    cursor.execute(f"FETCH FORWARD {rows} FROM millstream_rows")
            cursor.execute("CLOSE millstream_rows")

        return pa.RecordBatchReader.from_batches(schema, fetched())

    def write_batches(
        self, table: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch], *, temporary: bool
    ) -> None:
        """Make a table, in place of one that bears the name, and copy the batches into it."""
        columns = ", ".join(f"{identifier(field.name)} {sql_type(field.type)}" for field in schema)
        name = identifier(table)
        cursor = self._raw.cursor()
        total = 0
        with typed_errors(self._name):
            if temporary:
                cursor.execute(f"DROP TABLE IF EXISTS pg_temp.{name}")
                cursor.execute(f"CREATE TEMP TABLE {name} ({columns})")
            else:
                empty_table(cursor, name, f"CREATE TABLE {SHAPE} ({columns})")
            ordered = ", ".join(identifier(field.name) for field in schema)
            for batch in batches:
                if batch.num_rows:
                    cursor.copy_expert(f"COPY {name} ({ordered}) FROM STDIN (FORMAT csv)", io.BytesIO(copied(batch)))
                    total += batch.num_rows
            if total >= ROWS_WORTH_STATISTICS:
                cursor.execute(f"ANALYZE {name}")


def _filled_in(cursor: RawCursor, text: str, values: Mapping[str, object] | None) -> str:
    """A statement with its values in it."""
    return cursor.mogrify(text, values).decode()


def _named(parameters: object) -> Mapping[str, object]:
    """The values by name."""
    if parameters is None:
        return {}
    if isinstance(parameters, Mapping):
        return parameters
    assert isinstance(parameters, Sequence)
    return {f"{_BOUND_NAMES}{number}": value for number, value in enumerate(parameters)}
