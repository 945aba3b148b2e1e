"""The rows of a stream that were not modelled yet, each with the id of its record."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from millstream.state.model.declarations import Consent, ModelledStream, People
from millstream.state.sql import case, identifier, literal

if TYPE_CHECKING:
    from millstream.state.store import Connection

_KEY_SEPARATOR = "|"


def take_incoming(
    connection: Connection, source: str, stream: ModelledStream, people: People, columns: Collection[str]
) -> int:
    """Make ``incoming`` of the rows that are new since the stream was last modelled; how many they are.

    Args:
        connection: The open store.
        source: Name of the source in the project.
        stream: The stream.
        people: What it says about people.
        columns: Those that its raw table has.
    """
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE incoming AS
        {rows_select(source, stream, people, columns)}
        WHERE _pulled_at > coalesce((
            SELECT pulled_at FROM customers.modelled_streams WHERE source = $source AND stream = $stream
        ), TIMESTAMPTZ '-infinity')
        """,
        {"source": source, "stream": stream.name},
    )
    row = connection.execute("SELECT count(*) FROM incoming").fetchone()
    return row[0] if row else 0


def rows_select(source: str, stream: ModelledStream, people: People, columns: Collection[str]) -> str:
    """All rows of a stream's raw table as ``incoming`` has them; a condition may follow. Arguments as above."""
    key = _key(stream.primary_key)
    observed = identifier(people.observed_at) if people.observed_at else "NULL"
    deleted = identifier(people.deleted) if people.deleted else "false"
    country = identifier(people.country) if people.country else "NULL"
    denies = " OR ".join(f"{status_said(consent)} = 'denied'" for consent in people.consents) or "false"
    missing = "".join(f", NULL AS {identifier(name)}" for name in columns_said(people) if name not in columns)
    return f"""
        SELECT *,
            {key} AS _key,
            {literal(f"{source}.{stream.name}:")} || {key} AS _record_id,
            coalesce(CAST({observed} AS TIMESTAMPTZ), _pulled_at) AS _observed_at,
            coalesce(CAST({deleted} AS BOOLEAN), false) AS _is_deleted,
            -- Of a deleted record only a refusal still counts, with those whom it is about.
            NOT coalesce(CAST({deleted} AS BOOLEAN), false) OR coalesce({denies}, false) AS _identifies,
            coalesce(CAST({country} AS TEXT), '') AS _country
        FROM (SELECT *{missing} FROM {identifier(f"raw_{source}.{stream.name}")}) AS raw"""


def _key(columns: Sequence[str]) -> str:
    """One text of a key's columns; where there are several, a separator inside a value is escaped."""
    texts = [f"CAST({identifier(column)} AS TEXT)" for column in columns]
    if len(texts) == 1:
        return texts[0]
    escaped = (f"replace(replace({text}, '%', '%25'), {literal(_KEY_SEPARATOR)}, '%7C')" for text in texts)
    return f" || {literal(_KEY_SEPARATOR)} || ".join(escaped)


def columns_said(people: People) -> list[str]:
    """Every column a declaration reads, once each; a raw table of an older load may lack some."""
    names: list[str | None] = [people.observed_at, people.deleted, people.country]
    names += [column for said in people.identifiers for column in said.names()]
    names += [trait.column for trait in people.traits]
    names += [consent.column for consent in people.consents]
    for event in people.events:
        names += [event.at, event.name_column, event.value, event.currency, event.campaign, *event.properties]
        names.append(event.properties_from)
        names.append(event.when[0] if event.when else None)
    return list(dict.fromkeys(name for name in names if name))


def status_said(consent: Consent) -> str:
    """What a row says of a consent; NULL where it says nothing."""
    return case(f"lower(CAST({identifier(consent.column)} AS TEXT))", dict(consent.statuses))
