"""Looking into an open store: columns, working tables, and whether a query can be read at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from millstream.state.errors import QueryError
from millstream.state.sql import identifier, quoted
from millstream.state.store.arrow import as_postgres
from millstream.state.store.contract import Connection

_DECLARED = {
    "VARCHAR": "TEXT",
    "VARCHAR[]": "TEXT[]",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ",
    # As PostgreSQL has them.
    "CHARACTER VARYING": "TEXT",
    "CHARACTER VARYING[]": "TEXT[]",
    "DOUBLE PRECISION": "DOUBLE",
    "JSONB": "JSON",
}

_POSTGRES_TYPES = {
    16: "BOOLEAN", 20: "BIGINT", 21: "SMALLINT", 23: "INTEGER", 25: "TEXT", 700: "FLOAT", 701: "DOUBLE",
    1009: "TEXT[]", 1015: "TEXT[]", 1043: "TEXT", 1082: "DATE", 1114: "TIMESTAMP", 1184: "TIMESTAMPTZ",
    1700: "DECIMAL", 3802: "JSON",
}  # fmt: skip
"""PostgreSQL's numbers of its built-in types."""

_POSTGRES_COLUMNS = """
SELECT part.attname, format_type(part.atttypid, NULL) FROM pg_catalog.pg_attribute AS part
JOIN pg_catalog.pg_class AS whole ON whole.oid = part.attrelid
JOIN pg_catalog.pg_namespace AS space ON space.oid = whole.relnamespace
WHERE space.nspname = ? AND whole.relname = ? AND part.attnum > 0 AND NOT part.attisdropped ORDER BY part.attnum
"""
"""Of the catalogue itself: ``information_schema`` takes four times as long, and every step asks."""


def column_types(connection: Connection, schema: str, table: str) -> dict[str, str]:
    """Name and type of a table's columns, in their order; empty when there is no such table.

    Types go by the names we declare them by: TEXT, TEXT[], DOUBLE, BIGINT, BOOLEAN, DATE, TIMESTAMPTZ, JSON.
    """
    if as_postgres(connection):
        rows = connection.execute(_POSTGRES_COLUMNS, [schema, table]).fetchall()
    else:
        rows = _duckdb_columns(connection, schema, table)
    return {str(column): _DECLARED.get(str(kind).upper(), str(kind).upper()) for column, kind in rows}


def _duckdb_columns(connection: Connection, schema: str, table: str) -> list[tuple[object, ...]]:
    """By describing the table, since the catalogue's list is made of all columns of all tables at each look."""
    import duckdb

    try:
        described = connection.execute(f"DESCRIBE {quoted(schema)}.{quoted(table)}").fetchall()
    except (duckdb.CatalogException, duckdb.BinderException):  # no such table, or a view of one that has changed
        listed = "SELECT column_name, data_type FROM duckdb_columns() WHERE schema_name = ? AND table_name = ?"
        return connection.execute(f"{listed} ORDER BY column_index", [schema, table]).fetchall()
    return [(name, kind) for name, kind, *_ in described]


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
        # Without the piece of the statement, which goes over several lines.
        said = str(error).partition("\nLINE ")[0]
        raise QueryError(" ".join(said.split())) from error
