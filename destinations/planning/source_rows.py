"""``desired``: the sync's rows, mapped; one row for each match value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from millstream.destinations.sync import Sync
from millstream.state.errors import ConfigurationError, QueryError
from millstream.state.profiles.people_view import people_table
from millstream.state.sql import identifier, literal, quoted
from millstream.state.store import count, query_columns, query_errors

if TYPE_CHECKING:
    from millstream.state.store import Connection

_TIMES = ("DATE", "TIMESTAMP", "TIMESTAMPTZ")
_FLOATS = ("DOUBLE", "FLOAT")
_LARGEST = "CAST('1e308' AS DOUBLE)"


def make_desired(connection: Connection, name: str, sync: Sync) -> tuple[dict[str, str], int]:
    """Make ``desired``: match value, profile, fields as JSON, and the hash of all of them.

    Returns:
        The mapped columns with their types, and how many rows have no match value.

    Raises:
        ConfigurationError: The rows cannot be read, or a mapped column is not among them.
    """
    source = _source(connection, sync)
    try:
        with query_errors():
            columns = query_columns(connection, source)
            _check_columns(name, sync, columns)
            _write_rows(connection, sync, source, columns)
    except QueryError as error:
        raise ConfigurationError(
            f"The rows to send cannot be read: {error.what}",
            where=f"sync {name}",
            remedy="check the table or query; run `millstream resolve` and `millstream select` first.",
        ) from error
    unmatched = count(connection, "SELECT count(*) FROM desired WHERE match_value IS NULL")
    if unmatched:
        connection.execute("DELETE FROM desired WHERE match_value IS NULL")
    _one_of_each(connection)
    mapped = {sync.match_column, *(mapping.column for mapping in sync.mappings().values())}
    return {column: columns[column] for column in sorted(mapped)}, unmatched


def _write_rows(connection: Connection, sync: Sync, source: str, columns: Mapping[str, str]) -> None:
    match = f"nullif(trim(CAST({quoted(sync.match_column)} AS TEXT)), '')"
    if sync.match_key == "email":
        match = f"lower({match})"
    profile = "profile_id" if "profile_id" in columns else "CAST(NULL AS TEXT)"
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE desired AS
        WITH mapped AS (
            SELECT {match} AS match_value, {profile} AS profile_id, {_fields(sync, columns)} AS fields
            FROM ({source}) AS source_rows
        )
        SELECT match_value, profile_id, fields, md5(fields) AS payload_hash FROM mapped
        """
    )


def _one_of_each(connection: Connection) -> None:
    """Keep one row where several have the same match value: the first by profile and fields, in every run."""
    if not count(connection, "SELECT count(*) - count(DISTINCT match_value) FROM desired"):
        return
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE first_rows AS
        WITH numbered AS (
            SELECT *, row_number() OVER (PARTITION BY match_value ORDER BY profile_id, fields) AS number FROM desired
        )
        SELECT match_value, profile_id, fields, payload_hash FROM numbered WHERE number = 1
        """
    )
    connection.execute("DROP TABLE desired; ALTER TABLE first_rows RENAME TO desired")


def _source(connection: Connection, sync: Sync) -> str:
    """The rows a sync sends, as a select."""
    if sync.audience:
        return f"""SELECT person.* FROM customers.{people_table(connection)} AS person
            JOIN customers.memberships AS member ON member.profile_id = person.profile_id
            WHERE member.audience = {literal(sync.audience)} AND member.left_at IS NULL"""
    if sync.table:
        return f"SELECT * FROM {identifier(sync.table)}"
    return f"SELECT * FROM ({sync.sql}) AS chosen"


def _check_columns(name: str, sync: Sync, columns: Mapping[str, str]) -> None:
    for column in (sync.match_column, *(mapping.column for mapping in sync.mappings().values())):
        if column not in columns:
            raise ConfigurationError(
                f"Column {column!r} is not there to be sent.", where=f"sync {name}", allowed=sorted(columns)
            )
    if sync.consent != "not_needed" and "profile_id" not in columns:
        raise ConfigurationError(
            "Consent cannot be looked up for rows without a profile_id; nothing is sent.",
            where=f"sync {name}",
            remedy="select profile_id too, or say consent: not_needed.",
        )


def _fields(sync: Sync, columns: Mapping[str, str]) -> str:
    """The mapped columns as one JSON text."""
    if not sync.mappings():
        return "'{}'"
    values = {target: _value(mapping.column, columns[mapping.column]) for target, mapping in sync.mappings().items()}
    packed = ", ".join(f"{quoted(target)} := {value}" for target, value in values.items())
    return f"CAST(to_json(struct_pack({packed})) AS TEXT)"


def _value(column: str, sql_type: str) -> str:
    """Times are written as text, which every engine writes alike; infinity and what is no number JSON cannot write."""
    if sql_type in _TIMES:
        return f"CAST({quoted(column)} AS TEXT)"
    if sql_type in _FLOATS:
        return f"CASE WHEN abs({quoted(column)}) <= {_LARGEST} THEN {quoted(column)} END"
    return quoted(column)
