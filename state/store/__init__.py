"""The store: everything known about customers, in one DuckDB file or in a PostgreSQL database.

SQL is written once, in DuckDB's dialect; ``dialect.py`` says it to PostgreSQL, and holds all that differs. Only this
package opens the store.
"""

from millstream.state.store.arrow import (
    keep_ids_plain,
    load_parquet,
    parquet_rows,
    read_arrow,
    read_batches,
    write_arrow,
    write_parquet,
    writing_ids,
)
from millstream.state.store.contract import Connection, Cursor, Store, kept_whole
from millstream.state.store.duckdb import DuckDBStore
from millstream.state.store.frugal import in_little_memory, looked_up_in_little_memory
from millstream.state.store.inspection import (
    column_types,
    count,
    count_rows,
    drop_temporary_tables,
    query_columns,
    query_errors,
)
from millstream.state.store.postgres import PostgresStore
from millstream.state.store.time_limits import SECONDS, time_limit

__all__ = [
    "Connection",
    "Cursor",
    "DuckDBStore",
    "PostgresStore",
    "SECONDS",
    "Store",
    "column_types",
    "count",
    "count_rows",
    "drop_temporary_tables",
    "in_little_memory",
    "keep_ids_plain",
    "kept_whole",
    "load_parquet",
    "looked_up_in_little_memory",
    "parquet_rows",
    "query_columns",
    "query_errors",
    "read_arrow",
    "read_batches",
    "time_limit",
    "write_arrow",
    "write_parquet",
    "writing_ids",
]
