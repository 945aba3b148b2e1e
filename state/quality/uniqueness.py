"""Uniqueness: records of one source that bear the same identifier, and people who share an address."""

from __future__ import annotations

from millstream.state.profiles.rules import CONTACTS
from millstream.state.quality.looking import PEOPLE, Finding, Look, found
from millstream.state.sql import literal


def uniqueness(look: Look) -> list[Finding]:
    """Surplus records of each stream and kind of identifier; addresses and numbers of more than one person.

    Streams that only name people have a record for each way in which they are named, and no duplicates. Nor have those
    of answers or orders.
    """
    rows = {
        (stream.source, stream.name)
        for stream in look.streams
        if stream.people.record == "row" and not stream.people.repeats
    }
    surplus = [
        (source, f"{stream}.{kind}", records, more)
        for source, stream, kind, records, more in _duplicates(look)
        if (source, stream) in rows
    ]
    return [*found("uniqueness", surplus), *found("uniqueness", _shared(look))]


def _duplicates(look: Look) -> list[tuple[object, ...]]:
    """Of the records that have an identifier those that are not the first with its value."""
    return look.rows(
        """
        SELECT source, stream, kind, CAST(sum(records) AS BIGINT), CAST(sum(records - 1) AS BIGINT)
        FROM (
            SELECT record.source, record.stream, said.kind, said.value, count(*) AS records
            FROM customers.identifiers AS said
            JOIN customers.records AS record ON record.record_id = said.record_id
            WHERE NOT record.deleted AND said.merges
            GROUP BY record.source, record.stream, said.kind, said.value
        ) AS by_value GROUP BY source, stream, kind ORDER BY source, stream, kind
        """
    )


def _shared(look: Look) -> list[tuple[object, ...]]:
    """Addresses and numbers, and those of them that several people have."""
    kinds = ", ".join(literal(kind) for kind in CONTACTS)
    return look.rows(
        f"""
        SELECT {literal(PEOPLE)}, kind, count(*), count(CASE WHEN people > 1 THEN 1 END)
        FROM (
            SELECT said.kind, said.value, count(DISTINCT member.profile_id) AS people
            FROM customers.identifiers AS said
            JOIN customers.members AS member ON member.record_id = said.record_id
            WHERE said.kind IN ({kinds}) GROUP BY said.kind, said.value
        ) AS by_value GROUP BY kind ORDER BY kind
        """
    )
