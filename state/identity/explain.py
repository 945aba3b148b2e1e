"""Why records are one person, for people who ask."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from millstream.state.errors import NotFoundError
from millstream.state.identity.normalise import normalise
from millstream.state.identity.rules import IdentityRules
from millstream.state.identity.tables import create_identity_tables

if TYPE_CHECKING:
    from millstream.state.store import Connection


@dataclass(frozen=True)
class IdentifierSeen:
    """An identifier of a record; ``blocked`` says why it joins nothing, or is None."""

    kind: str
    value: str
    original: str
    merges: bool
    blocked: str | None


@dataclass(frozen=True)
class RecordSeen:
    """A record of a profile with what it is known by."""

    record_id: str
    observed_at: datetime
    identifiers: tuple[IdentifierSeen, ...]


@dataclass(frozen=True)
class Join:
    """The identifier value by which a record joins another."""

    record_id: str
    other_id: str
    kind: str
    value: str


@dataclass(frozen=True)
class Change:
    """An entry of the profile's history (see ``customers.profile_history``)."""

    changed_at: datetime
    run_id: str
    change: str
    profile_id: str
    other_id: str | None
    kind: str | None
    value: str | None
    record_id: str | None
    reason: str | None


@dataclass(frozen=True)
class BlockedValue:
    """An identifier value that was left aside, on how many records it stands, and why."""

    kind: str
    value: str
    records: int
    reason: str


@dataclass(frozen=True)
class ProfileExplanation:
    """How a profile came to be.

    Attributes:
        profile_id: The living profile.
        aliases: Ids that were merged into it.
        records: Its records.
        joins: A smallest set of joins that holds the records together, made of the strongest identifiers.
        blocked: Values of its records that were left aside.
        history: What happened to the profile, oldest first.
    """

    profile_id: str
    aliases: tuple[str, ...]
    records: tuple[RecordSeen, ...]
    joins: tuple[Join, ...]
    blocked: tuple[BlockedValue, ...]
    history: tuple[Change, ...]


def find_profiles(
    connection: Connection, who: str, *, default_country: str | None = None, limit: int = 100
) -> list[str]:
    """The living profiles that somebody may mean.

    Args:
        connection: The open store.
        who: A profile id, an alias, a record id, or an identifier's value as people write it.
        default_country: For reading a phone number without calling code.
        limit: Most profiles to return; a shared mailbox can belong to many.
    """
    create_identity_tables(connection)
    who = who.strip()
    if not who:
        return []
    spellings = {who, normalise("email", who), normalise("phone", who, None, default_country)}
    values = sorted(value for value in spellings if value)
    marks = ", ".join("?" for _ in values)
    rows = connection.execute(
        f"""
        SELECT profile_id FROM customers.members WHERE profile_id = ? OR record_id = ?
        UNION
        SELECT profile_id FROM customers.profile_aliases WHERE alias_id = ?
        UNION
        SELECT member.profile_id
        FROM customers.identifiers AS identifier
        JOIN customers.members AS member ON member.record_id = identifier.record_id
        WHERE identifier.value IN ({marks}) OR identifier.original = ?
        ORDER BY profile_id LIMIT ?
        """,
        [who, who, who, *values, who, limit],
    ).fetchall()
    return [str(profile_id) for (profile_id,) in rows]


def explain_profile(connection: Connection, profile_id: str) -> ProfileExplanation:
    """Tell how a profile came to be; an alias is explained as the profile that stands for it.

    Raises:
        NotFoundError: No living profile goes by this id.
    """
    create_identity_tables(connection)
    living = _living(connection, profile_id)
    records = _records(connection, living)
    return ProfileExplanation(
        profile_id=living,
        aliases=_aliases(connection, living),
        records=records,
        joins=_spanning_joins(records, _rules(connection)),
        blocked=_blocked(connection, living),
        history=_history(connection, living),
    )


def _living(connection: Connection, profile_id: str) -> str:
    row = connection.execute(
        """
        SELECT profile_id FROM customers.profile_aliases WHERE alias_id = ?
        UNION ALL
        SELECT profile_id FROM customers.members WHERE profile_id = ? LIMIT 1
        """,
        [profile_id, profile_id],
    ).fetchone()
    if row is None:
        raise NotFoundError(
            f"No profile goes by the id {profile_id!r}.",
            remedy="look for the person by e-mail address, phone number or record id.",
        )
    return str(row[0])


def _aliases(connection: Connection, profile_id: str) -> tuple[str, ...]:
    rows = connection.execute(
        "SELECT alias_id FROM customers.profile_aliases WHERE profile_id = ? ORDER BY changed_at, alias_id",
        [profile_id],
    ).fetchall()
    return tuple(str(alias) for (alias,) in rows)


def _records(connection: Connection, profile_id: str) -> tuple[RecordSeen, ...]:
    rows = connection.execute(
        """
        SELECT member.record_id, record.observed_at, identifier.kind, identifier.value, identifier.original,
               identifier.merges, blocked.reason
        FROM customers.members AS member
        JOIN customers.records AS record ON record.record_id = member.record_id
        LEFT JOIN customers.identifiers AS identifier ON identifier.record_id = member.record_id
        LEFT JOIN customers.blocked_values AS blocked
          ON blocked.kind = identifier.kind AND blocked.value = identifier.value
        WHERE member.profile_id = ?
        ORDER BY member.record_id, identifier.kind, identifier.value, identifier.original
        """,
        [profile_id],
    ).fetchall()
    observed: dict[str, datetime] = {}
    identifiers: dict[str, list[IdentifierSeen]] = {}
    for record_id, observed_at, kind, *rest in rows:
        observed[record_id] = observed_at
        seen = identifiers.setdefault(record_id, [])
        if kind is not None:
            seen.append(IdentifierSeen(kind, *rest))
    return tuple(RecordSeen(record_id, at, tuple(identifiers[record_id])) for record_id, at in observed.items())


def _rules(connection: Connection) -> IdentityRules:
    """The rules of the last run."""
    row = connection.execute("SELECT rules FROM customers.resolve_state").fetchone()
    return IdentityRules() if row is None else IdentityRules.model_validate_json(row[0])


def _spanning_joins(records: tuple[RecordSeen, ...], rules: IdentityRules) -> tuple[Join, ...]:
    """Kruskal's spanning tree: the strongest identifiers first, each join only where it brings in a record."""
    bearers: dict[tuple[int, str, str], list[str]] = {}
    for record in records:
        for identifier in record.identifiers:
            rule = rules.rule(identifier.kind)
            if identifier.merges and rule.merges and identifier.blocked is None:
                key = (rule.priority, identifier.kind, identifier.value)
                bearers.setdefault(key, []).append(record.record_id)
    parent = {record.record_id: record.record_id for record in records}

    def root(record_id: str) -> str:
        while parent[record_id] != record_id:
            parent[record_id] = parent[parent[record_id]]
            record_id = parent[record_id]
        return record_id

    joins = []
    for (_, kind, value), (first, *others) in sorted(bearers.items()):
        for other in others:
            if root(first) != root(other):
                parent[root(other)] = root(first)
                joins.append(Join(other, first, kind, value))
    return tuple(joins)


def _blocked(connection: Connection, profile_id: str) -> tuple[BlockedValue, ...]:
    rows = connection.execute(
        """
        SELECT DISTINCT blocked.kind, blocked.value, blocked.records, blocked.reason
        FROM customers.members AS member
        JOIN customers.identifiers AS identifier ON identifier.record_id = member.record_id
        JOIN customers.blocked_values AS blocked
          ON blocked.kind = identifier.kind AND blocked.value = identifier.value
        WHERE member.profile_id = ? ORDER BY blocked.kind, blocked.value
        """,
        [profile_id],
    ).fetchall()
    return tuple(BlockedValue(*row) for row in rows)


def _history(connection: Connection, profile_id: str) -> tuple[Change, ...]:
    rows = connection.execute(
        """
        SELECT changed_at, run_id, change, profile_id, other_id, kind, value, record_id, reason
        FROM customers.profile_history
        WHERE profile_id = ? OR other_id = ? OR profile_id IN (
            SELECT alias_id FROM customers.profile_aliases WHERE profile_id = ?)
        ORDER BY changed_at, change, profile_id, other_id
        """,
        [profile_id, profile_id, profile_id],
    ).fetchall()
    return tuple(Change(*row) for row in rows)
