"""Looking into an open store: columns, working tables, and whether a query can be read at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from millstream.state.errors import QueryError
from millstream.state.sql import identifier
from millstream.state.store.arrow import as_postgres
from millstream.state.store.contract import Connection

_DECLARED = {
    "VARCHAR": "TEXT",
    "VARCHAR[]": "TEXT[]",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ",
    # As PostgreSQL has them.
    "CHARACTER VARYING": "TEXT",
    "_TEXT": "TEXT[]",
    "_VARCHAR": "TEXT[]",
    "DOUBLE PRECISION": "DOUBLE",
    "JSONB": "JSON",
}

_POSTGRES_TYPES = {
    16: "BOOLEAN", 20: "BIGINT", 21: "SMALLINT", 23: "INTEGER", 25: "TEXT", 700: "FLOAT", 701: "DOUBLE",
    1009: "TEXT[]", 1015: "TEXT[]", 1043: "TEXT", 1082: "DATE", 1114: "TIMESTAMP", 1184: "TIMESTAMPTZ",
    1700: "DECIMAL", 3802: "JSON",
}  # fmt: skip
"""PostgreSQL's numbers of its built-in types."""


def column_types(connection: Connection, schema: str, table: str) -> dict[str, str]:
    """Name and type of a table's columns, in their order; empty when there is no such table.

    Types go by the names we declare them by: TEXT, TEXT[], DOUBLE, BIGINT, BOOLEAN, DATE, TIMESTAMPTZ, JSON.
    """
    name = "CASE data_type WHEN 'ARRAY' THEN udt_name ELSE data_type END" if as_postgres(connection) else "data_type"
    rows = connection.execute(
        f"""
        SELECT column_name, {name} FROM information_schema.columns
        WHERE table_schema = ? AND table_name = ? ORDER BY ordinal_position
        """,
        [schema, table],
    ).fetchall()
    return {str(column): _DECLARED.get(str(kind).upper(), str(kind).upper()) for column, kind in rows}


def query_columns(connection: Connection, query: str) -> dict[str, str]:
    """Name and type of the columns that a query gives, the types by the names we declare them by."""
    described = connection.execute(f"SELECT * FROM ({query}) AS described LIMIT 0").description or ()
    named = _POSTGRES_TYPES if as_postgres(connection) else {}
    kinds = {str(column[0]): str(named.get(column[1], column[1])) for column in described}
    return {column: _DECLARED.get(kind, kind) for column, kind in kinds.items()}


def count(connection: Connection, query: str, parameters: Sequence[object] = ()) -> int:
    """The one number that a query gives."""
    row = connection.execute(query, list(parameters)).fetchone()
    return int(row[0]) if row else 0


def count_rows(connection: Connection, relation: str) -> int:
    """How many rows a table, or what follows FROM in a query, has."""
    return count(connection, f"SELECT count(*) FROM {relation}")


def drop_temporary_tables(connection: Connection, prefix: str) -> None:
    """Drop this connection's temporary tables whose names begin so."""
    listed = (
        "SELECT relname FROM pg_catalog.pg_class WHERE relnamespace = pg_my_temp_schema() AND relkind = 'r'"
        if as_postgres(connection)
        else "SELECT table_name FROM duckdb_tables() WHERE temporary"
    )
    for (table,) in connection.execute(listed).fetchall():
        if str(table).startswith(prefix):
            connection.execute(f"DROP TABLE {identifier(str(table))}")


@contextmanager
def query_errors() -> Iterator[None]:
    """Turn an engine's complaint about somebody's query into ours.

    Raises:
        QueryError: A table, column or function is not there, or the text is no SQL.
    """
    import duckdb

    try:
        yield
    except (duckdb.CatalogException, duckdb.BinderException, duckdb.ParserException) as error:
        raise QueryError(str(error)) from error
