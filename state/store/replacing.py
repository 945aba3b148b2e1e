"""Tables and views of a PostgreSQL store that are made anew, without what others built on them being lost.

BI tools have views of their own over ours, and their users have rights on them. So a table that is replaced stays the
same table: it is emptied, gets and loses the columns that differ, and is filled. A view is replaced where PostgreSQL
allows it, which is as long as no column goes or changes its type. Else it is dropped with all views over it, which are
put back with their owners, rights and comments. What cannot be put back ends the work with an error that names it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from millstream.state.errors import SchemaError
from millstream.state.sql import literal, quoted
from millstream.state.store.server_errors import said

if TYPE_CHECKING:
    import psycopg2

    RawCursor = psycopg2.extensions.cursor

SHAPE = "pg_temp.millstream_shape"
"""An empty table with the columns that a table is to have."""

_COLUMNS = """
SELECT attname, format_type(atttypid, atttypmod) FROM pg_catalog.pg_attribute
WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""

_VIEWS_OVER = """
WITH RECURSIVE over_it (view, depth) AS (
    SELECT CAST(to_regclass(%s) AS oid), 0
    UNION
    SELECT rule.ev_class, below.depth + 1
    FROM over_it AS below
    JOIN pg_catalog.pg_depend AS need ON need.refclassid = CAST('pg_class' AS regclass)
        AND need.refobjid = below.view AND need.classid = CAST('pg_rewrite' AS regclass)
    JOIN pg_catalog.pg_rewrite AS rule ON rule.oid = need.objid AND rule.ev_class <> below.view
),
each_once AS (SELECT view, max(depth) AS depth FROM over_it GROUP BY view),
named AS (
    SELECT whole.*, each_once.depth, format('%%I.%%I', space.nspname, whole.relname) AS name
    FROM each_once JOIN pg_catalog.pg_class AS whole ON whole.oid = each_once.view AND whole.relkind = 'v'
    JOIN pg_catalog.pg_namespace AS space ON space.oid = whole.relnamespace
)
SELECT name,
    format('CREATE VIEW %%s%%s AS %%s', name, ' WITH (' || array_to_string(reloptions, ', ') || ')',
           pg_get_viewdef(oid)),
    ARRAY[
        format('ALTER VIEW %%s OWNER TO %%I', name, pg_get_userbyid(relowner)),
        format('COMMENT ON VIEW %%s IS %%L', name, obj_description(oid, 'pg_class'))
    ] || ARRAY(
        SELECT format('GRANT %%s ON %%s TO %%s', privilege_type, name,
                      CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END)
            || CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
        FROM aclexplode(relacl) WHERE grantee <> relowner
    ),
    ARRAY(
        SELECT ARRAY[attname, format('GRANT %%s (%%I) ON %%s TO %%s', privilege_type, attname, name,
                                     CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END)
                              || CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END]
        FROM pg_catalog.pg_attribute CROSS JOIN aclexplode(attacl) WHERE attrelid = oid AND grantee <> relowner
    ) || ARRAY(
        SELECT ARRAY[attname, format('COMMENT ON COLUMN %%s.%%I IS %%L', name, attname, col_description(oid, attnum))]
        FROM pg_catalog.pg_attribute WHERE attrelid = oid AND col_description(oid, attnum) IS NOT NULL
    )
FROM named ORDER BY depth, name
"""

_GIVEN_BY_DEFAULT = """
SELECT format('REVOKE ALL ON %%s FROM %%s', %s,
              CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END)
FROM pg_catalog.pg_class CROSS JOIN aclexplode(relacl) WHERE oid = to_regclass(%s) AND grantee <> relowner
"""


@dataclass(frozen=True)
class _View:
    """How a view is put back: by its definition, then by what gives it its owner, comment and rights.

    The last are of columns, each with the column's name.
    """

    name: str
    definition: str
    facts: Sequence[str]
    facts_of_columns: Sequence[Sequence[str]]


def empty_table(cursor: RawCursor, table: str, shape: str) -> str:
    """Have an empty table with the columns of another.

    Args:
        cursor: Of a connection, best in a transaction.
        table: Its name, as SQL has it.
        shape: Makes ``SHAPE``, whose columns it is to have.

    Returns:
        Its columns, as they stand in an INSERT.
    """
    cursor.execute(f"DROP TABLE IF EXISTS {SHAPE}")
    cursor.execute(shape)
    wanted, there = _columns(cursor, SHAPE), _columns(cursor, table)
    if not there:
        cursor.execute(f"CREATE TABLE {table} (LIKE {SHAPE} INCLUDING ALL)")
    else:
        changes = [f"DROP COLUMN {quoted(name)}" for name, kind in there.items() if wanted.get(name) != kind]
        changes += [f"ADD COLUMN {quoted(name)} {kind}" for name, kind in wanted.items() if there.get(name) != kind]
        if changes:
            cursor.execute(f"ALTER TABLE {table} {', '.join(changes)}")
        cursor.execute(f"TRUNCATE {table}")
    cursor.execute(f"DROP TABLE {SHAPE}")
    return ", ".join(quoted(name) for name in wanted)


def _columns(cursor: RawCursor, table: str) -> dict[str, str]:
    cursor.execute(_COLUMNS, [table])
    return {str(name): str(kind) for name, kind in cursor.fetchall()}


def replace_view(cursor: RawCursor, view: str, query: str) -> None:
    """Make a view, unless it is there as it should be: replacing one waits for all who read it.

    Args:
        cursor: Of a connection.
        view: Its name, as SQL has it.
        query: Its SELECT.

    Raises:
        SchemaError: A view over it cannot be put back.
    """
    mark = f"millstream {hashlib.sha256(f'CREATE VIEW {view} AS {query}'.encode()).hexdigest()[:16]}"
    cursor.execute("SELECT to_regclass(%s), obj_description(to_regclass(%s), 'pg_class')", [view, view])
    there, marked = cursor.fetchone() or (None, None)
    if there and marked == mark:
        return
    with _whole(cursor):
        before = _described(cursor, f"SELECT * FROM {view}") if there else []
        if before == _described(cursor, query)[: len(before)]:
            cursor.execute(f"CREATE OR REPLACE VIEW {view} AS {query}")
        else:
            _rebuild(cursor, view, query)
        cursor.execute(f"COMMENT ON VIEW {view} IS {literal(mark)}")


def _described(cursor: RawCursor, query: str) -> list[tuple[Any, ...]]:
    """Name and type of the columns of a query."""
    cursor.execute(f"SELECT * FROM ({query}) AS described LIMIT 0")
    return [
        (column.name, column.type_code, column.internal_size, column.precision, column.scale)
        for column in cursor.description or ()
    ]


def _rebuild(cursor: RawCursor, view: str, query: str) -> None:
    cursor.execute(_VIEWS_OVER, [view])
    itself, *over_it = [_View(*row) for row in cursor.fetchall()]
    for one in reversed(over_it):
        with _named(one, view):
            cursor.execute(f"DROP VIEW {one.name}")
    cursor.execute(f"DROP VIEW {view}")
    cursor.execute(f"CREATE VIEW {view} AS {query}")
    _give_back(cursor, itself)
    for one in over_it:
        with _named(one, view):
            cursor.execute(one.definition)
            _give_back(cursor, one)


def _give_back(cursor: RawCursor, view: _View) -> None:
    """Have a view's owner, rights and comments be those it had, and no rights that new views get."""
    cursor.execute(_GIVEN_BY_DEFAULT, [view.name, view.name])
    revoked = [str(statement) for (statement,) in cursor.fetchall()]
    there = _columns(cursor, view.name)
    for statement in (*revoked, *view.facts, *(fact for name, fact in view.facts_of_columns if name in there)):
        cursor.execute(statement)


@contextmanager
def _named(view: _View, below: str) -> Iterator[None]:
    """Say which view is in the way."""
    import psycopg2

    try:
        yield
    except (psycopg2.OperationalError, psycopg2.errors.DependentObjectsStillExist):
        raise
    except psycopg2.Error as error:
        raise SchemaError(
            f"{below} gets other columns, and the view {view.name} over it cannot be kept: {said(error)}",
            where="store",
            remedy="drop or change the view, run again, and make it anew.",
        ) from error


@contextmanager
def _whole(cursor: RawCursor) -> Iterator[None]:
    """In a transaction of its own, unless there is one."""
    if cursor.connection.info.transaction_status != 0:
        yield
        return
    cursor.execute("BEGIN")
    try:
        yield
    except BaseException:
        cursor.execute("ROLLBACK")
        raise
    cursor.execute("COMMIT")
