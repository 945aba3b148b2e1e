"""Integrity: what points at something that is not there."""

from __future__ import annotations

from millstream.state.quality.looking import PEOPLE, Finding, Look, found
from millstream.state.sql import literal

_BY_SOURCE = {
    "events without a person": ("customers.events", "customers.members"),
    "records without a person": ("customers.records", "customers.members"),
}
"""What was looked at, where it stands, and the table that must have its record."""

_OF_RECORDS = {
    "identifiers without a record": "customers.identifiers",
    "traits without a record": "customers.traits",
    "consents without a record": "customers.consents",
}

_OF_PEOPLE = {
    "memberships of people who are gone": ("customers.memberships", "left_at IS NULL"),
    "deliveries to people who are gone": ("delivery.acknowledged", "profile_id IS NOT NULL AND present"),
}
"""What was looked at, where it stands, and which of its rows hold now."""


def integrity(look: Look) -> list[Finding]:
    """References between the tables of the customer model, memberships and deliveries."""
    findings = []
    for subject, (table, other) in _BY_SOURCE.items():
        # A deleted record, or one that only names somebody nobody can be told by, has no person.
        living = "AND NOT thing.deleted" if table == "customers.records" else ""
        named = "EXISTS (SELECT 1 FROM customers.identifiers AS said WHERE said.record_id = thing.record_id)"
        rows = look.rows(
            f"""
            SELECT thing.source, {literal(subject)}, count(*), count(CASE WHEN other.record_id IS NULL THEN 1 END)
            FROM {table} AS thing LEFT JOIN {other} AS other ON other.record_id = thing.record_id
            WHERE {named} {living} GROUP BY thing.source ORDER BY thing.source
            """
        )
        findings += found("integrity", rows)
    for subject, table in _OF_RECORDS.items():
        findings += found("integrity", look.rows(_orphans(subject, table)))
    for subject, (table, held) in _OF_PEOPLE.items():
        findings += found("integrity", look.rows(_of_nobody(subject, table, held)))
    return findings


def _orphans(subject: str, table: str) -> str:
    return f"""
        SELECT {literal(PEOPLE)}, {literal(subject)}, count(*), count(CASE WHEN record.record_id IS NULL THEN 1 END)
        FROM {table} AS thing LEFT JOIN customers.records AS record ON record.record_id = thing.record_id
        """


def _of_nobody(subject: str, table: str, held: str) -> str:
    """Rows about profiles that are neither there nor merged into one that is."""
    return f"""
        SELECT {literal(PEOPLE)}, {literal(subject)}, count(*), count(CASE WHEN person.profile_id IS NULL THEN 1 END)
        FROM {table} AS thing
        LEFT JOIN customers.profile_aliases AS alias ON alias.alias_id = thing.profile_id
        LEFT JOIN customers.profiles AS person ON person.profile_id = coalesce(alias.profile_id, thing.profile_id)
        WHERE {held.replace("profile_id", "thing.profile_id")}
        """
