"""Identifiers of the incoming rows: which values they say, each spelled once and for all."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from millstream.state.identity.joining import hashed
from millstream.state.identity.normalise import LONGEST, VERSIONS, spell
from millstream.state.model.declarations import Identifier, People
from millstream.state.sql import identifier, literal, union_all
from millstream.state.store import count, count_rows, write_arrow

if TYPE_CHECKING:
    from millstream.state.identity.rules import IdentityRules
    from millstream.state.store import Connection

_NOTHING_SAID = (
    "SELECT '' AS record_id, '' AS country, '' AS kind, '' AS spelling, '' AS account, '' AS original, "
    "true AS merges, 0 AS position WHERE false"
)
_COLUMNS = {
    "identifiers": "record_id, kind, value, original, merges, contact",
    "unheard_identifiers": "record_id, kind, value, account, original, merges, contact",
}
_HASHES = {"record_hash": hashed("record_id"), "value_hash": hashed("value")}
_TOLD = """
    SELECT record_id, kind, value, account, original, merging AS merges, contact
    FROM (
        -- Where a row says one value in several ways, the column that was declared first is heard.
        SELECT record_id, kind, account, value, original, contact,
            bool_or(merges) OVER (PARTITION BY record_id, kind, value) AS merging,
            row_number() OVER (PARTITION BY record_id, kind, value ORDER BY position, original) AS place
        FROM said
    ) AS each_way
    WHERE place = 1
"""
_HEARD = """
    NOT EXISTS (
        SELECT 1 FROM customers.deleted_identifiers AS deleted
        WHERE deleted.kind = told.kind AND deleted.value = told.value
    ) AND NOT EXISTS (
        SELECT 1 FROM customers.deleted_originals AS deleted
        WHERE deleted.kind = told.kind AND deleted.original = told.original
          AND (deleted.account = told.account OR deleted.account = '' OR told.account = '')
    ) AND NOT EXISTS (
        SELECT 1 FROM customers.deleted_originals AS deleted
        WHERE deleted.kind = told.kind AND deleted.original = told.contact
          AND (deleted.account = told.account OR deleted.account = '' OR told.account = '')
    )
"""
"""Whether what is ``told`` was not deleted by hand."""
_SPELLED = pa.schema([(name, pa.string()) for name in ("spelling", "country", "original", "value", "contact")])


def write_said(connection: Connection, people: People, rules: IdentityRules, *, stream: str, account: str) -> None:
    """Make ``said``: one row for each identifier of a row of ``incoming``.

    Args:
        connection: The open store.
        people: What the stream says about people.
        rules: How identifiers are spelled, and which mean a person only within one account.
        stream: The stream as ``source.stream``, which record ids begin with.
        account: Name of the vendor's account.
    """
    selects = [said_select(position, said, rules, account) for position, said in enumerate(people.identifiers)]
    connection.execute(f"CREATE OR REPLACE TEMP TABLE said_as AS {union_all(selects or [_NOTHING_SAID])}")
    _spell_new(connection, rules)
    subject = "record_id"
    if people.record == "subject":
        # By the contact, which a change of rules does not fold otherwise: record ids are to stay.
        subject = (
            f"{literal(f'{stream}:')} || first_value(kind || ':' || spelled.contact) "
            "OVER (PARTITION BY record_id ORDER BY position, spelled.contact)"
        )
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE said AS
        SELECT record_id AS row_id, {subject} AS record_id, kind, account, account || spelled.value AS value,
            said_as.original, spelled.contact, merges, position
        FROM said_as JOIN customers.normalised AS spelled ON spelled.spelling = said_as.spelling
            AND spelled.country = said_as.country AND spelled.original = said_as.original
        WHERE spelled.value IS NOT NULL
        """
    )
    connection.execute("DROP TABLE said_as")


def said_select(position: int, said: Identifier, rules: IdentityRules, account: str, rows: str = "incoming") -> str:
    """What rows say of one declared identifier, as a SELECT, with how it is to be spelled."""
    texts = [f"CAST({identifier(column)} AS TEXT)" for column in said.names()]
    text = texts[0]
    if said.columns:
        text = " || ', ' || ".join(f"nullif(trim({part}), '')" for part in texts)
    if said.split:
        text = f"unnest(string_split({text}, {literal(said.split)}))"
    country = "_country" if rules.spelling(said.kind) == "phone" else "''"
    prefix = f"{account}:" if rules.rule(said.kind).scope == "source" else ""
    return f"""
        SELECT * FROM (
            SELECT _record_id AS record_id, {country} AS country, {literal(said.kind)} AS kind,
                {literal(rules.spelling_key(said.kind))} AS spelling, {literal(prefix)} AS account,
                -- Enough of it to be told as too long: keys of PostgreSQL cannot hold any length.
                substr(trim({text}), 1, {LONGEST + 1}) AS original, {str(said.merges).lower()} AS merges,
                {position} AS position
            FROM {rows} WHERE _identifies
        ) AS each_row WHERE original <> ''"""


def _spell_new(connection: Connection, rules: IdentityRules) -> None:
    """Spell what no row has said before; a spelling is kept under all that the rules say about it."""
    new = connection.execute(
        """
        SELECT said_as.spelling, said_as.country, said_as.original, min(said_as.kind)
        FROM said_as LEFT JOIN customers.normalised AS known ON known.spelling = said_as.spelling
            AND known.country = said_as.country AND known.original = said_as.original
        WHERE known.original IS NULL
        GROUP BY said_as.spelling, said_as.country, said_as.original
        """
    ).fetchall()
    if not new:
        return
    found = [spell(rules, kind, original, country) for _, country, original, kind in new]
    columns: dict[str, list[str | None]] = {
        "spelling": [row[0] for row in new],
        "country": [row[1] for row in new],
        "original": [row[2] for row in new],
        "value": [spelled.value if spelled else None for spelled in found],
        "contact": [spelled.contact if spelled else None for spelled in found],
    }
    write_arrow(connection, "spelled", pa.table(columns, schema=_SPELLED))
    connection.execute(
        """
        INSERT INTO customers.normalised (spelling, country, original, value, contact)
        SELECT spelling, country, original, value, contact FROM spelled
        """
    )
    connection.execute("DROP TABLE spelled")


def forget_unborne_spellings(connection: Connection) -> None:
    """Delete the spellings of values that no identifier has any more: what is deleted is not to stay here in clear."""
    connection.execute(
        """
        DELETE FROM customers.normalised WHERE value IS NOT NULL AND value NOT IN (
            SELECT value FROM customers.identifiers
            UNION
            -- What means a person only within one account begins with its name.
            SELECT substr(value, strpos(value, ':') + 1) FROM customers.identifiers
        )
        """
    )


def forget_outdated_spellings(connection: Connection) -> None:
    """Delete what other versions of the normalisers have spelled: it is not read any more."""
    current = union_all(f"SELECT {literal(f'{spelling} {version}')}" for spelling, version in VERSIONS.items())
    connection.execute(
        f"""
        DELETE FROM customers.normalised
        WHERE split_part(spelling, ' ', 1) || ' ' || split_part(spelling, ' ', 2) NOT IN ({current})
        """
    )


def write_identifiers(connection: Connection) -> None:
    """Write what is said into ``customers.identifiers``, unless it is there; what was deleted by hand is kept aside."""
    _write_news(connection, "identifiers", f"({_TOLD}) AS told WHERE {_HEARD}")
    if count_rows(connection, "customers.deleted_identifiers"):
        _write_news(connection, "unheard_identifiers", f"({_TOLD}) AS told WHERE NOT ({_HEARD})")


def _write_news(connection: Connection, table: str, told: str) -> None:
    columns = _COLUMNS[table]
    hashes = _HASHES if table == "identifiers" else {}
    connection.execute(
        f"""
        INSERT INTO customers.{table} ({", ".join((columns, *hashes))})
        SELECT {", ".join((columns, *hashes.values()))} FROM {told} AND NOT EXISTS (
            SELECT 1 FROM customers.{table} AS known
            WHERE known.record_id = told.record_id AND known.kind = told.kind AND known.value = told.value
        )
        """
    )


def hear_again(connection: Connection, kind: str, now: datetime) -> int:
    """Let count what was kept aside of a kind, as far as it is not deleted any more; how many records bear it.

    Args:
        connection: The open store, in a transaction.
        kind: Of the identifiers.
        now: The time to write down, aware: whoever bears them is resolved anew.
    """
    told = f"customers.unheard_identifiers AS told WHERE kind = {literal(kind)} AND {_HEARD}"
    bearing = count(connection, f"SELECT count(DISTINCT record_id) FROM {told}")
    connection.execute(
        f"UPDATE customers.records SET modelled_at = ? WHERE record_id IN (SELECT record_id FROM {told})", [now]
    )
    _write_news(connection, "identifiers", told)
    connection.execute(f"DELETE FROM {told}")
    return bearing
