"""Arrow tables and Parquet files in and out of an open store, on every engine by the same functions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

from millstream.state.sql import identifier, literal
from millstream.state.store.contract import Connection

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection

    from millstream.state.store.postgres_connection import PostgresConnection

BATCH_ROWS = 20_000
_INCOMING = "_arrow_in"


def as_postgres(connection: Connection) -> PostgresConnection | None:
    """The connection, if it is one to PostgreSQL; the driver is not imported to find out."""
    return cast("PostgresConnection", connection) if getattr(connection, "engine", "duckdb") == "postgres" else None


def as_duckdb(connection: Connection) -> DuckDBPyConnection:
    """The connection as DuckDB's own; wrappers in tests pass through to one."""
    return cast("DuckDBPyConnection", connection)


def write_arrow(connection: Connection, table: str, data: pa.Table, *, temporary: bool = True) -> None:
    """Make a table of Arrow data, in place of one that bears the name.

    Args:
        connection: An open store.
        table: Its name; ``schema.name`` for one that stays.
        data: Columns of text, numbers, booleans, dates, times with zone, or lists of text.
        temporary: Whether it is gone with the connection.
    """
    if postgres := as_postgres(connection):
        postgres.write_batches(table, data.schema, data.to_batches(), temporary=temporary)
        return
    duckdb = as_duckdb(connection)
    duckdb.register(_INCOMING, data)
    try:
        kind = "TEMP TABLE" if temporary else "TABLE"
        connection.execute(f"CREATE OR REPLACE {kind} {identifier(table)} AS SELECT * FROM {_INCOMING}")
    finally:
        duckdb.unregister(_INCOMING)


@contextmanager
def writing_ids(connection: Connection) -> Iterator[None]:
    """Write many rows whose texts are ids, as ``keep_ids_plain``, but for the last ones of a table.

    DuckDB writes those only when it commits.
    """
    if as_postgres(connection):
        yield
        return
    # In no transaction: what fails in the other one must not keep it from resetting, nor be hidden by that.
    aside = as_duckdb(connection).cursor()
    keep_ids_plain(aside)
    try:
        yield
    finally:
        aside.execute("RESET GLOBAL disabled_compression_methods")
        aside.close()


def keep_ids_plain(connection: Connection) -> None:
    """Have texts written as they are until the store is closed: most are ids, of which few repeat.

    DuckDB tries on every column of text what makes it small. For ids that costs more than to write them, and again
    whenever they are read.
    """
    if not as_postgres(connection):
        connection.execute("SET GLOBAL disabled_compression_methods = 'dictionary,fsst,dict_fsst'")


def read_arrow(connection: Connection, query: str, parameters: object = None) -> pa.Table:
    """The rows of a query as an Arrow table."""
    if postgres := as_postgres(connection):
        return postgres.batches(query, parameters, BATCH_ROWS).read_all()
    connection.execute(query, parameters)
    return as_duckdb(connection).to_arrow_table()


def read_batches(
    connection: Connection, query: str, parameters: object = None, *, rows: int = BATCH_ROWS
) -> Iterator[pa.RecordBatch]:
    """The rows of a query batch by batch, so that memory does not grow with their number.

    Run no other statement on the connection meanwhile.
    """
    yield from _reader(connection, query, parameters, rows)


def _reader(connection: Connection, query: str, parameters: object, rows: int) -> pa.RecordBatchReader:
    if postgres := as_postgres(connection):
        return postgres.batches(query, parameters, rows)
    connection.execute(query, parameters)
    return as_duckdb(connection).to_arrow_reader(rows)


def write_parquet(connection: Connection, query: str, path: Path) -> None:
    """Write the rows of a query into a Parquet file.

    They go through Arrow on every engine: DuckDB's own writer keeps rows, which it cannot move to disk.
    """
    import pyarrow.parquet as pq

    reader = _reader(connection, query, None, BATCH_ROWS)
    with pq.ParquetWriter(path, reader.schema, compression="snappy") as file:
        for batch in reader:
            file.write_batch(batch)


def load_parquet(connection: Connection, table: str, path: Path) -> None:
    """Make a temporary table of a Parquet file, in place of one that bears the name."""
    postgres = as_postgres(connection)
    if postgres is None:
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {identifier(table)} AS SELECT * FROM read_parquet(?)", [str(path)]
        )
        return
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        postgres.write_batches(table, file.schema_arrow, file.iter_batches(BATCH_ROWS), temporary=True)


def parquet_rows(connection: Connection, table: str, path: Path) -> str:
    """What to select a Parquet file's rows from, once: the file, or where the engine cannot read it a temporary table.

    Args:
        connection: An open store.
        table: Name of the temporary table, where one is made.
        path: The file.
    """
    if as_postgres(connection) is None:
        return f"read_parquet({literal(str(path))})"
    load_parquet(connection, table, path)
    return identifier(table)
