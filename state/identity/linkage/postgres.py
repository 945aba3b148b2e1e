"""Tables into PostgreSQL for Splink, whose own way there needs an extension that DuckDB fetches from the net."""

from __future__ import annotations

import io
import re
import secrets
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.csv

from millstream.state.errors import (
    AuthenticationError,
    ConfigurationError,
    MillstreamError,
    PermissionDeniedError,
    UnreachableError,
)
from millstream.state.sql import identifier

if TYPE_CHECKING:
    from splink.backends.postgres import PostgresAPI
    from sqlalchemy import Engine
    from sqlalchemy.exc import DBAPIError

SCHEMA = "splink"
WHERE = "identity.linkage.url"
_PATIENCE = 15
"""Seconds to wait for a server that does not answer."""
_STEP = re.compile(r"^(\s*\w+) as \($", re.MULTILINE | re.IGNORECASE)
_TYPES = {pa.string(): "text", pa.int64(): "bigint", pa.int32(): "integer"}


def open_api(url: str) -> PostgresAPI:
    """Splink's way to PostgreSQL, with the schema and the functions that it needs there.

    Raises:
        ConfigurationError: The URL cannot be read, there is no such database, or the server lacks the extension.
        AuthenticationError: The server does not let us in.
        PermissionDeniedError: The role may not make what is needed.
        UnreachableError: No server answers.
    """
    from splink.backends.postgres import PostgresAPI
    from sqlalchemy.exc import ArgumentError, DBAPIError

    try:
        return PostgresAPI(engine=make_engine(url))
    except (ArgumentError, ValueError):
        # Its message repeats the URL, and with it the password.
        raise ConfigurationError(
            "The URL of PostgreSQL cannot be read.",
            where=WHERE,
            allowed=["postgresql://user:password@host:5432/database"],
            remedy="write special characters of the password as %40 and the like.",
        ) from None
    except DBAPIError as error:
        raise _refused(error) from None


def _refused(error: DBAPIError) -> MillstreamError:
    """What the server's words mean: they name user and database, never the password."""
    said = (str(error.orig).strip().splitlines() or ["no reason given"])[0]
    what, lowered = f"PostgreSQL cannot be used for linkage: {said}", said.lower()
    if "fuzzystrmatch" in lowered:
        remedy = "install PostgreSQL's additional modules there, and have an administrator run CREATE EXTENSION "
        return ConfigurationError(what, where=WHERE, remedy=f"{remedy}fuzzystrmatch in that database.")
    if "permission denied" in lowered or "must be owner" in lowered:
        remedy = f"let the role make a schema there, or make it the owner of a schema {SCHEMA!r}."
        return PermissionDeniedError(what, where=WHERE, remedy=remedy)
    if "database" in lowered and "does not exist" in lowered:
        return ConfigurationError(what, where=WHERE, remedy="make that database, or name another one.")
    if any(word in lowered for word in ("password", "authentication", "pg_hba", "role")):
        return AuthenticationError(what, where=WHERE, remedy="check user and password in the URL.")
    return UnreachableError(what, where=WHERE, remedy="check host and port, and that the server runs.")


def make_engine(url: str) -> Engine:
    """An engine whose every connection finds Splink's tables and functions, and takes its statements step by step.

    Each step of Splink's names the results of the one before several times. Put together, as PostgreSQL would, they
    come to an expression that is worked out a thousand times a pair, and takes minutes and a gigabyte to compile.
    """
    from sqlalchemy import create_engine, event, make_url

    parsed = make_url(url)
    if parsed.drivername == "postgres":
        parsed = parsed.set(drivername="postgresql")
    options = f"-c search_path={SCHEMA},public -c jit=off"
    engine = create_engine(parsed, connect_args={"connect_timeout": _PATIENCE, "options": options})

    @event.listens_for(engine, "before_cursor_execute", retval=True)
    def keep_steps_apart(
        _connection: object, _cursor: object, statement: str, parameters: object, _context: object, _many: bool
    ) -> tuple[str, object]:
        return _STEP.sub(r"\1 AS MATERIALIZED (", statement), parameters

    return engine


def load(engine: Engine, table: pa.Table) -> str:
    """Copy a table into a new one, and tell its name."""
    name = f"millstream_{secrets.token_hex(8)}"
    columns = ", ".join(f"{identifier(field.name)} {_TYPES[field.type]}" for field in table.schema)
    text = io.BytesIO()
    # A quoted empty field is an empty text, one without quotes is missing; so PostgreSQL reads it too.
    pyarrow.csv.write_csv(table, text)
    text.seek(0)
    connection = engine.raw_connection()
    try:
        cursor = connection.cursor()
        cursor.execute(f"CREATE UNLOGGED TABLE {SCHEMA}.{name} ({columns})")
        cursor.copy_expert(f"COPY {SCHEMA}.{name} FROM STDIN (FORMAT csv, HEADER true)", text)
        # Of a table that is new the planner knows nothing, and would hold every pair against every row.
        cursor.execute(f"ANALYZE {SCHEMA}.{name}")
        connection.commit()
    finally:
        connection.close()
    return name


def drop(engine: Engine, names: list[str]) -> None:
    """Remove tables that ``load`` made."""
    from sqlalchemy import text

    with engine.begin() as connection:
        for name in names:
            connection.execute(text(f"DROP TABLE IF EXISTS {SCHEMA}.{name}"))
