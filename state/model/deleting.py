"""Deleting by hand: all that a source has brought, or an identifier wherever it stands.

Records and identifiers go here; what they alone held together comes apart in the next ``resolve``. An identifier stays
away: whoever still says it is not heard (``customers.deleted_identifiers``, see ``identifiers.py``).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from millstream.state.model.identifiers import forget_unborne_spellings, hear_again
from millstream.state.model.tables import TOLD_BY_RECORDS
from millstream.state.sql import quoted
from millstream.state.store import count

if TYPE_CHECKING:
    from millstream.state.store import Connection

_STAGING = "_staging"
_OF_SOURCE = "record_id IN (SELECT record_id FROM customers.records WHERE source = ?)"


@dataclass(frozen=True)
class Deletion:
    """How much was deleted.

    Attributes:
        raw_rows: Rows as pulled.
        records: Records.
        identifiers: Identifiers, each once a record.
        events: Events.
    """

    raw_rows: int = 0
    records: int = 0
    identifiers: int = 0
    events: int = 0


@dataclass(frozen=True)
class DeletedIdentifier:
    """An identifier that was deleted by hand, and since is not heard of any more."""

    kind: str
    value: str
    reason: str
    made_by: str
    deleted_at: datetime


def sources_stored(connection: Connection, declared: Collection[str]) -> list[str]:
    """The sources of which the store holds something, also such as were only pulled.

    Not every schema ``raw_...`` is a source's: others may name theirs so, and dlt has one beside each of its own.

    Args:
        connection: The open store.
        declared: The sources of the project.
    """
    modelled = _modelled(connection)
    pulled = _raw_names(connection, "")
    by_dlt = _raw_names(connection, " AND table_name IN ('_dlt_loads', '_dlt_version')")
    known = modelled | (pulled & set(declared))
    found = known | {one for one in by_dlt if not (one.endswith(_STAGING) and one.removesuffix(_STAGING) in pulled)}
    return sorted(found)


def _modelled(connection: Connection) -> set[str]:
    rows = connection.execute(
        "SELECT source FROM customers.modelled_streams UNION SELECT source FROM customers.records"
    ).fetchall()
    return {str(source) for (source,) in rows}


def _raw_names(connection: Connection, which: str) -> set[str]:
    """What schemas ``raw_...`` are named after."""
    rows = connection.execute(
        f"""
        SELECT DISTINCT substr(table_schema, 5) FROM information_schema.tables
        WHERE substr(table_schema, 1, 4) = 'raw_'{which}
        """
    ).fetchall()
    return {str(name) for (name,) in rows}


def delete_source(connection: Connection, source: str, *, declared: Collection[str]) -> Deletion:
    """Delete all that a source has brought: raw tables, records, and what they say.

    Args:
        connection: The open store, in a transaction.
        source: Its name, in the project or in one of old.
        declared: The sources of the project; what is one of them is not dlt's own.

    Raises:
        QueryError: On PostgreSQL, something of others' stands on a raw table; the message names it.
    """
    staging = f"{source}{_STAGING}"
    others = staging in declared or staging in _modelled(connection)
    deletion = Deletion(
        raw_rows=_drop_raw_tables(connection, [source] if others else [source, staging]),
        records=count(connection, "SELECT count(*) FROM customers.records WHERE source = ?", [source]),
        identifiers=count(connection, f"SELECT count(*) FROM customers.identifiers WHERE {_OF_SOURCE}", [source]),
        events=count(connection, "SELECT count(*) FROM customers.events WHERE source = ?", [source]),
    )
    for table in TOLD_BY_RECORDS:
        connection.execute(f"DELETE FROM customers.{table} WHERE {_OF_SOURCE}", [source])
    for table in ("events", "records", "modelled_streams"):
        connection.execute(f"DELETE FROM customers.{table} WHERE source = ?", [source])
    forget_unborne_spellings(connection)
    return deletion


def _drop_raw_tables(connection: Connection, names: Sequence[str]) -> int:
    """Drop what dlt keeps of a source, the place up to which it was read included; how many rows were pulled.

    Args:
        connection: The open store.
        names: The source, and where dlt prepares what it loads of it.
    """
    rows = 0
    for schema in (f"raw_{name}" for name in names):
        for table in _tables(connection, schema, "BASE TABLE"):
            name = f"{quoted(schema)}.{quoted(table)}"
            if schema == f"raw_{names[0]}" and not table.startswith("_dlt_"):
                rows += count(connection, f"SELECT count(*) FROM {name}")
            connection.execute(f"DROP TABLE {name}")
        if not _tables(connection, schema, "VIEW"):
            connection.execute(f"DROP SCHEMA IF EXISTS {quoted(schema)}")
    return rows


def _tables(connection: Connection, schema: str, kind: str) -> list[str]:
    rows = connection.execute(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = ? AND table_type = ? ORDER BY 1",
        [schema, kind],
    ).fetchall()
    return [str(name) for (name,) in rows]


def delete_identifier(
    connection: Connection, kind: str, value: str, *, account: str, reason: str, made_by: str, now: datetime
) -> Deletion:
    """Delete an identifier from all records that bear it, and hear no more of it.

    Args:
        connection: The open store, in a transaction.
        kind: Its kind.
        value: As ``customers.identifiers`` has it.
        account: What the value begins with where it means a person only within one account; else empty.
        reason: Why, for those who will ask.
        made_by: Who decides.
        now: The time to write down, aware.
    """
    bearers = "record_id IN (SELECT record_id FROM customers.identifiers WHERE kind = ? AND value = ?)"
    borne = count(connection, f"SELECT count(*) FROM customers.records WHERE {bearers}", [kind, value])
    connection.execute(f"UPDATE customers.records SET modelled_at = ? WHERE {bearers}", [now, kind, value])
    for column in ("original", "contact"):
        connection.execute(
            f"""
            INSERT INTO customers.deleted_originals (kind, value, account, original)
            SELECT DISTINCT kind, value, CAST(? AS TEXT), {column} FROM customers.identifiers
            WHERE kind = ? AND value = ? AND {column} IS NOT NULL
            """,
            [account, kind, value],
        )
    connection.execute(
        """
        INSERT INTO customers.unheard_identifiers (record_id, kind, value, account, original, merges, contact)
        SELECT record_id, kind, value, CAST(? AS TEXT), original, merges, contact FROM customers.identifiers
        WHERE kind = ? AND value = ?
        """,
        [account, kind, value],
    )
    connection.execute("DELETE FROM customers.identifiers WHERE kind = ? AND value = ?", [kind, value])
    connection.execute(
        "INSERT INTO customers.deleted_identifiers VALUES (?, ?, ?, ?, ?)", [kind, value, reason, made_by, now]
    )
    forget_unborne_spellings(connection)
    return Deletion(identifiers=borne)


def restore_identifier(connection: Connection, kind: str, value: str, *, now: datetime) -> int:
    """Let an identifier that was deleted count again; how many records bear it.

    These are all that said it when it was deleted or since, also of sources that the project has not any more.

    Args:
        connection: The open store, in a transaction.
        kind: Its kind.
        value: As ``customers.deleted_identifiers`` has it.
        now: The time to write down, aware.
    """
    for table in ("deleted_identifiers", "deleted_originals"):
        connection.execute(f"DELETE FROM customers.{table} WHERE kind = ? AND value = ?", [kind, value])
    bearing = hear_again(connection, kind, now)
    if not bearing:  # nobody says it, or it was deleted by a version that kept nothing aside
        connection.execute("UPDATE customers.modelled_streams SET declaration = ''")
    return bearing


def deleted_identifiers(connection: Connection) -> list[DeletedIdentifier]:
    """The identifiers that were deleted by hand, oldest first."""
    rows = connection.execute(
        """
        SELECT kind, value, reason, made_by, deleted_at FROM customers.deleted_identifiers
        ORDER BY deleted_at, kind, value
        """
    ).fetchall()
    return [DeletedIdentifier(*row) for row in rows]


def deleted_as(connection: Connection, original: str) -> set[tuple[str, str]]:
    """Kind and value of the deleted identifiers that a source had written like that."""
    rows = connection.execute(
        "SELECT DISTINCT kind, value FROM customers.deleted_originals WHERE original = ?", [original]
    ).fetchall()
    return {(str(kind), str(value)) for kind, value in rows}
