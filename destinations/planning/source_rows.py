"""``desired``: the sync's rows, mapped; one row for each match value.

Rows that are exactly as acknowledged have no fields in it: they are nearly all of most runs, and would only be carried
from table to table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from millstream.destinations.modes import SyncMode
from millstream.destinations.planning.places import row_place
from millstream.destinations.sync import Sync
from millstream.state.errors import ConfigurationError, QueryError
from millstream.state.profiles.columns import existing_columns
from millstream.state.profiles.people_view import people_table
from millstream.state.sql import finite, identifier, json_path, literal, quoted
from millstream.state.store import SECONDS, count, query_columns, query_errors, time_limit
from millstream.state.store.arrow import as_postgres
from millstream.state.suggestions import did_you_mean

if TYPE_CHECKING:
    from millstream.state.store import Connection

_TIMES = ("DATE", "TIMESTAMP", "TIMESTAMPTZ")
_FLOATS = ("DOUBLE", "FLOAT")
_SENDS_ALL = (SyncMode.REPLACE, SyncMode.REMOVE)
"""Modes to which it is all the same whether somebody's fields are as acknowledged."""


def make_desired(
    connection: Connection, name: str, sync: Sync, required: Sequence[str] = (), *, sql_seconds: float = SECONDS
) -> tuple[dict[str, str], int]:
    """Make ``desired``: match value, profile, fields as JSON, the hash of all of them, and which required ones lack.

    Fields and hash are NULL where they are as acknowledged, and may go unsent. Whether the first required field lacks
    is in ``lacks_0``, the second in ``lacks_1``.

    Args:
        connection: Open on the store, in a transaction.
        name: Name of the sync.
        sync: What it is.
        required: Destination fields that must have a value.
        sql_seconds: How long the SQL of the sync may take.

    Returns:
        The mapped columns with their types, and how many rows have no match value.

    Raises:
        ConfigurationError: The rows cannot be read, nobody was selected yet, or a mapped column is not among them.
        TimeLimitError: The SQL of the sync took longer than it may.
    """
    if sync.audience and not existing_columns(connection, "memberships"):
        raise ConfigurationError(
            "Nobody has been selected yet.",
            where=f"sync {name}",
            remedy="run `millstream run`, or `ingest`, `resolve`, `describe` and `select`, first.",
        )
    source = _source(connection, sync)
    try:
        with query_errors():
            columns = query_columns(connection, source)
            _check_columns(name, sync, columns)
            packed = _Packed(connection, name, sync, source, columns, required, sql_seconds)
            packed.write(with_known=sync.mode in _SENDS_ALL)
            unmatched, repeated = _unmatched_and_repeated(connection)
            if repeated:
                packed.write(with_known=True)
            if unmatched:
                connection.execute("DELETE FROM desired WHERE match_value IS NULL")
            if repeated:
                _keep_one_of_each(connection)
    except QueryError as error:
        raise ConfigurationError(
            f"The rows to send cannot be read: {error.what}",
            where=f"sync {name}",
            remedy="check the table or query; run `millstream resolve` and `millstream select` first.",
        ) from error
    mapped = {sync.match_column, *(mapping.column for mapping in sync.mappings().values())}
    return {column: columns[column] for column in sorted(mapped)}, unmatched


@dataclass(frozen=True)
class _Packed:
    """A sync's source as rows of ``desired``."""

    connection: Connection
    name: str
    sync: Sync
    source: str
    columns: Mapping[str, str]
    required: Sequence[str]
    sql_seconds: float

    def write(self, *, with_known: bool) -> None:
        """Make ``desired``.

        Args:
            with_known: Whether fields that are as acknowledged are among them.
        """
        profile = "profile_id" if "profile_id" in self.columns else "CAST(NULL AS TEXT)"
        fields, payload_hash, place, known = "packed.fields", "packed.payload_hash", "NULL", ""
        if not with_known:
            fields, payload_hash = (
                f"CASE WHEN known.place IS NULL THEN {column} END" for column in (fields, payload_hash)
            )
            place, known = "known.place", f"LEFT JOIN ({self._known()}) AS known ON {self._as_known()}"
        with self._limit():
            self.connection.execute(
                f"""
                CREATE OR REPLACE TEMP TABLE desired AS
                WITH mapped AS (
                    SELECT {self._match_value()} AS match_value, {profile} AS profile_id,
                        {_fields(self.sync, self.columns)} AS fields
                    FROM ({self.source}) AS source_rows
                ), packed AS (SELECT *, md5(fields) AS payload_hash FROM mapped)
                SELECT packed.match_value, packed.profile_id, {fields} AS fields, {payload_hash} AS payload_hash,
                    {place} AS known_place {self._lacking()}
                FROM packed {known}
                """
            )

    def _limit(self) -> AbstractContextManager[None]:
        """Holds for SQL that somebody else wrote."""
        if not self.sync.sql:
            return nullcontext()
        return time_limit(self.connection, self.sql_seconds, where=f"sync {self.name}")

    def _known(self) -> str:
        value = self._in_short
        return f"""
            SELECT {row_place(self.connection)} AS place, {value("match_value")} AS match_value,
                {value("payload_hash")} AS payload_hash
            FROM delivery.acknowledged WHERE sync = {literal(self.name)} AND present"""

    def _as_known(self) -> str:
        return " AND ".join(
            f"known.{one} = {self._in_short(f'packed.{one}')}" for one in ("match_value", "payload_hash")
        )

    def _in_short(self, text: str) -> str:
        """Two numbers of 64 bits tell a person with all fields from every other; they take a fifth of the memory."""
        return text if as_postgres(self.connection) else f"hash({text})"

    def _match_value(self) -> str:
        text = f"CAST({quoted(self.sync.match_column)} AS TEXT)"
        trimmed = f"trim({text})"
        if as_postgres(self.connection) is None:
            # DuckDB cuts off all kinds of spaces, and looks at every character to find none: only where one may be.
            trimmed = f"""CASE WHEN {text} LIKE ' %' OR {text} LIKE '% ' OR strlen({text}) <> length({text})
                THEN {trimmed} ELSE {text} END"""
        match = f"nullif({trimmed}, '')"
        return f"lower({match})" if self.sync.match_key == "email" else match

    def _lacking(self) -> str:
        lacks = [
            f"coalesce(json_extract_string(CAST(packed.fields AS JSON), {literal(json_path(field))}), '') = ''"
            for field in self.required
        ]
        return "".join(f", {condition} AS lacks_{number}" for number, condition in enumerate(lacks))


def _unmatched_and_repeated(connection: Connection) -> tuple[int, bool]:
    """How many rows have no match value, and whether several have the same."""
    # Numbers take less memory than texts; the texts decide where two may be of one number.
    short = "match_value" if as_postgres(connection) else "CASE WHEN match_value IS NOT NULL THEN hash(match_value) END"
    rows, matched, different = connection.execute(
        f"SELECT count(*), count(match_value), count(DISTINCT {short}) FROM desired"
    ).fetchall()[0]
    if different < matched:
        different = count(connection, "SELECT count(DISTINCT match_value) FROM desired")
    return rows - matched, different < matched


def _keep_one_of_each(connection: Connection) -> None:
    """Where several have the same match value, keep the first by profile and fields, in every run."""
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE first_rows AS
        SELECT *, row_number() OVER (PARTITION BY match_value ORDER BY profile_id, fields) AS place FROM desired
        """
    )
    connection.execute("DELETE FROM first_rows WHERE place > 1")
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


def check_source(connection: Connection, name: str, sync: Sync) -> None:
    """Look whether what a sync sends has the columns that it maps.

    Raises:
        ConfigurationError: One is not there.
        QueryError: The rows cannot be read; nobody may have loaded or resolved anything yet.
    """
    with query_errors():
        columns = query_columns(connection, _source(connection, sync))
    _check_columns(name, sync, columns)


def _check_columns(name: str, sync: Sync, columns: Mapping[str, str]) -> None:
    filled = {sync.match_key: sync.match_column}
    filled |= {field: mapping.column for field, mapping in sync.mappings().items()}
    for field, column in filled.items():
        if column not in columns:
            raise ConfigurationError(
                f"Column {column!r}, from which {field} is filled, is not there to be sent.",
                where=f"sync {name}",
                allowed=sorted(columns),
                remedy=did_you_mean(column, columns),
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
        return finite(quoted(column))
    return quoted(column)
