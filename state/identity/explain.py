"""Why records are one person, for people who ask."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from pydantic import ValidationError

from millstream.state.errors import NotFoundError
from millstream.state.identity import circumstances
from millstream.state.identity.circumstances import DecisionSeen, Household, LinkSeen, RefusedJoin, SharedValue
from millstream.state.identity.households import create_household_tables
from millstream.state.identity.rules import IdentityRules
from millstream.state.identity.spanning import Join, spanning_joins

if TYPE_CHECKING:
    from millstream.state.store import Connection


@dataclass(frozen=True)
class IdentifierSeen:
    """An identifier of a record.

    Attributes:
        kind: Its kind.
        value: As it is compared.
        original: As the vendor has it.
        merges: Whether it joins records at all.
        blocked: Why its value joins nothing, or None.
        shared: The trait that tells apart the people who share the value, or None.
    """

    kind: str
    value: str
    original: str
    merges: bool
    blocked: str | None
    shared: str | None = None


@dataclass(frozen=True)
class RecordSeen:
    """A record of a profile with what it is known by."""

    record_id: str
    observed_at: datetime
    identifiers: tuple[IdentifierSeen, ...]


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
        shared: Values of its records that several people share.
        refused: Joins with others that a limit or a decision forbids.
        household: Whom it lives with.
        decisions: Decisions by hand about its records.
        links: Probable links of its records: those that join, those suggested, those refused.
    """

    profile_id: str
    aliases: tuple[str, ...]
    records: tuple[RecordSeen, ...]
    joins: tuple[Join, ...]
    blocked: tuple[BlockedValue, ...]
    history: tuple[Change, ...]
    shared: tuple[SharedValue, ...] = ()
    refused: tuple[RefusedJoin, ...] = ()
    household: Household | None = None
    decisions: tuple[DecisionSeen, ...] = ()
    links: tuple[LinkSeen, ...] = ()


def explain_profile(connection: Connection, profile_id: str) -> ProfileExplanation:
    """Tell how a profile came to be; an alias is explained as the profile that stands for it.

    Raises:
        NotFoundError: No living profile goes by this id.
    """
    create_household_tables(connection)
    living = _living(connection, profile_id)
    return ProfileExplanation(
        profile_id=living,
        aliases=_aliases(connection, living),
        records=_records(connection, living),
        joins=spanning_joins(connection, living, rules_of_last_run(connection) or IdentityRules()),
        blocked=_blocked(connection, living),
        history=_history(connection, living),
        shared=circumstances.shared_values(connection, living),
        refused=circumstances.refused_joins(connection, living),
        household=circumstances.household(connection, living),
        decisions=circumstances.decisions_about(connection, living),
        links=circumstances.links_of(connection, living),
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
               identifier.merges, blocked.reason, shared.trait
        FROM customers.members AS member
        JOIN customers.records AS record ON record.record_id = member.record_id
        LEFT JOIN customers.identifiers AS identifier ON identifier.record_id = member.record_id
        LEFT JOIN customers.blocked_values AS blocked
          ON blocked.kind = identifier.kind AND blocked.value = identifier.value
        LEFT JOIN customers.shared_values AS shared
          ON shared.kind = identifier.kind AND shared.value = identifier.value
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


def rules_of_last_run(connection: Connection) -> IdentityRules | None:
    """The rules that the profiles were made by; None before the first run, and where this version knows them not."""
    row = connection.execute("SELECT rules FROM customers.resolve_state").fetchone()
    try:
        return None if row is None else IdentityRules.model_validate_json(row[0])
    except ValidationError:
        return None


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
