"""Tables into PostgreSQL for Splink, whose own way there needs an extension that DuckDB fetches from the net."""

from __future__ import annotations

import io
import re
import secrets
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.csv

from millstream.state.sql import identifier

if TYPE_CHECKING:
    from sqlalchemy import Engine

SCHEMA = "splink"
_STEP = re.compile(r"^(\s*\w+) as \($", re.MULTILINE | re.IGNORECASE)
_TYPES = {pa.string(): "text", pa.int64(): "bigint", pa.int32(): "integer"}


def make_engine(url: str) -> Engine:
    """An engine whose every connection finds Splink's tables and functions, and takes its statements step by step.

    Each step of Splink's names the results of the one before several times. Put together, as PostgreSQL would, they
    come to an expression that is worked out a thousand times a pair, and takes minutes and a gigabyte to compile.
    """
    from sqlalchemy import create_engine, event

    engine = create_engine(url, connect_args={"options": f"-c search_path={SCHEMA},public -c jit=off"})

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
