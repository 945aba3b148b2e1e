"""Completeness: how many records have what their source can say, and how many people have each trait."""

from __future__ import annotations

from millstream.state.profiles.columns import FIXED, existing_columns
from millstream.state.profiles.rules import CONTACTS
from millstream.state.quality.looking import PEOPLE, Finding, Look
from millstream.state.sql import quoted

_LIVING = "JOIN customers.records AS record ON record.record_id = said.record_id WHERE NOT record.deleted"


def completeness(look: Look) -> list[Finding]:
    """Of each stream whose rows are records, its identifiers and traits; of people, their traits."""
    return [*_of_records(look), *_of_people(look)]


def _of_records(look: Look) -> list[Finding]:
    records = {
        (source, stream): int(str(count))
        for source, stream, count in look.rows(
            "SELECT source, stream, count(*) FROM customers.records WHERE NOT deleted GROUP BY source, stream"
        )
    }
    having = _bearers(look, "identifiers", "kind") | _bearers(look, "traits", "name")
    findings = []
    for stream in look.streams:
        count = records.get((stream.source, stream.name), 0)
        if stream.people.record != "row" or not count:
            continue
        said = [*(one.kind for one in stream.people.identifiers), *(one.name for one in stream.people.traits)]
        for name in dict.fromkeys(said):
            bearers = having.get((stream.source, stream.name, name), 0)
            subject = f"{stream.name}.{name}"
            findings.append(Finding("completeness", stream.source, subject, count, count - bearers))
    return findings


def _bearers(look: Look, table: str, name: str) -> dict[tuple[object, ...], int]:
    """How many living records of each stream have each kind of identifier, or trait."""
    rows = look.rows(
        f"""
        SELECT source, stream, name, count(*) FROM (
            SELECT record.source, record.stream, said.{name} AS name, said.record_id
            FROM customers.{table} AS said {_LIVING}
            GROUP BY record.source, record.stream, said.{name}, said.record_id
        ) AS each_record GROUP BY source, stream, name
        """
    )
    return {tuple(key): int(str(count)) for *key, count in rows}


def _of_people(look: Look) -> list[Finding]:
    columns = [name for name in existing_columns(look.connection, "profiles") if name not in FIXED or name in CONTACTS]
    counts = ", ".join(["count(*)", *(f"count({quoted(name)})" for name in columns)])
    [(people, *having)] = look.rows(f"SELECT {counts} FROM customers.profiles")
    everybody = int(str(people))
    return [
        Finding("completeness", PEOPLE, name, everybody, everybody - int(str(count)))
        for name, count in zip(columns, having, strict=True)
        if everybody
    ]
