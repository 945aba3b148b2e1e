"""What bears on a profile besides what its records say: refused joins, shared values, household, decisions, links."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millstream.state.store import Connection

# Whatever may join records: identifiers, decisions, links.
_BEARERS = """
    SELECT record_id, kind, value FROM customers.identifiers WHERE merges
    UNION ALL
    SELECT record_id, 'merge', decision_id FROM customers.identity_decisions WHERE decision = 'merge'
    UNION ALL
    SELECT record_a, 'linkage', link_id FROM customers.links
    UNION ALL
    SELECT record_b, 'linkage', link_id FROM customers.links
"""

WAITING = """
    SELECT link.link_id FROM customers.links AS link
    JOIN customers.members AS a ON a.record_id = link.record_a
    JOIN customers.members AS b ON b.record_id = link.record_b
    WHERE link.status = 'suggested' AND a.profile_id <> b.profile_id
"""
"""The suggestions that wait for somebody: those whose records are not one person by now for another reason."""


@dataclass(frozen=True)
class RefusedJoin:
    """A join that a limit or a decision forbids.

    Attributes:
        record_id: The record that would have come along.
        profile_id: Its profile.
        kind: What would have joined it: a kind of identifier, ``merge`` (a decision) or ``linkage``.
        value: The identifier's value, the decision's id or the link's id.
        reason: What forbids it.
        others: Other profiles whose records bear the value.
        run_id: The run that first refused it.
        changed_at: When.
    """

    record_id: str
    profile_id: str
    kind: str
    value: str
    reason: str
    others: tuple[str, ...]
    run_id: str
    changed_at: datetime


@dataclass(frozen=True)
class SharedValue:
    """A value that several people share: on how many records it stands, how many people, told apart by which trait."""

    kind: str
    value: str
    trait: str
    records: int
    groups: int


@dataclass(frozen=True)
class Housemate:
    """Another profile of the household, and what it has in common with this one; empty where a third connects them."""

    profile_id: str
    in_common: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Household:
    """The household a profile belongs to, and the others of it."""

    household_id: str
    others: tuple[Housemate, ...]


@dataclass(frozen=True)
class DecisionSeen:
    """A decision by hand about a profile's records.

    Attributes:
        decision_id: Its id, by which it can be revoked.
        decision: ``merge`` or ``unmerge``.
        records: The records it names, each with its profile now; no profile for one that is gone.
        reason: What was given as reason.
        made_by: Who decided.
        made_at: When.
        revoked_at: Since when it no longer holds.
    """

    decision_id: str
    decision: str
    records: tuple[tuple[str, str | None], ...]
    reason: str
    made_by: str
    made_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True)
class LinkSeen:
    """A probable link of one of a profile's records with another record.

    Attributes:
        link_id: Its id, by which a suggestion is accepted or refused.
        record_id: The profile's record.
        other_id: The other record.
        other_profile: Whose it is now.
        probability: That both are one person, 0 to 1.
        match_weight: The evidence, as a base-2 logarithm of how much more likely it is under one person than two.
        levels: How well each thing compared agrees.
        status: ``merged``, ``suggested``, ``accepted``, ``refused`` or ``withdrawn``.
        reason: Why it is so, where there is more to say.
        changed_at: Since when it is so.
    """

    link_id: str
    record_id: str
    other_id: str
    other_profile: str | None
    probability: float
    match_weight: float
    levels: Mapping[str, object]
    status: str
    reason: str | None
    changed_at: datetime


def refused_joins(connection: Connection, profile_id: str | None = None) -> tuple[RefusedJoin, ...]:
    """Joins that were refused: of one profile's records or with them, or all."""
    of_profile = """
        WHERE refused.record_id IN (SELECT record_id FROM customers.members WHERE profile_id = $profile)
           OR EXISTS (SELECT 1 FROM bearers AS mine
                      JOIN customers.members AS me ON me.record_id = mine.record_id
                      WHERE me.profile_id = $profile AND mine.kind = refused.kind AND mine.value = refused.value)
    """
    rows = connection.execute(
        f"""
        WITH bearers AS ({_BEARERS})
        SELECT refused.record_id, member.profile_id, refused.kind, refused.value, refused.reason,
               refused.run_id, refused.changed_at, other.profile_id
        FROM customers.refused_joins AS refused
        JOIN customers.members AS member ON member.record_id = refused.record_id
        LEFT JOIN bearers ON bearers.kind = refused.kind AND bearers.value = refused.value
        LEFT JOIN customers.members AS other
          ON other.record_id = bearers.record_id AND other.profile_id <> member.profile_id
        {of_profile if profile_id is not None else ""}
        ORDER BY refused.changed_at, refused.kind, refused.value, refused.record_id, other.profile_id
        """,
        {"profile": profile_id} if profile_id is not None else None,
    ).fetchall()
    others: dict[tuple[object, ...], dict[str, None]] = {}
    for *facts, other in rows:
        known = others.setdefault(tuple(facts), {})
        if other is not None:
            known[other] = None
    return tuple(
        RefusedJoin(record_id, profile, kind, value, reason, tuple(known), run_id, at)  # type: ignore[arg-type]
        for (record_id, profile, kind, value, reason, run_id, at), known in others.items()
    )


def shared_values(connection: Connection, profile_id: str) -> tuple[SharedValue, ...]:
    """Values of a profile's records that several people share."""
    rows = connection.execute(
        """
        SELECT DISTINCT shared.kind, shared.value, shared.trait, shared.records, shared.groups
        FROM customers.members AS member
        JOIN customers.shared_bearers AS bearer ON bearer.record_id = member.record_id
        JOIN customers.shared_values AS shared ON shared.kind = bearer.kind AND shared.value = bearer.value
        WHERE member.profile_id = ? ORDER BY shared.kind, shared.value
        """,
        [profile_id],
    ).fetchall()
    return tuple(SharedValue(*row) for row in rows)


def household(connection: Connection, profile_id: str) -> Household | None:
    """The household of a profile, with what each of the others has in common with it."""
    rows = connection.execute(
        """
        SELECT mine.household_id, other.profile_id
        FROM customers.household_members AS mine
        JOIN customers.household_members AS other ON other.household_id = mine.household_id
        WHERE mine.profile_id = ? AND other.profile_id <> mine.profile_id ORDER BY other.profile_id
        """,
        [profile_id],
    ).fetchall()
    if not rows:
        return None
    common: dict[str, list[tuple[str, str]]] = {}
    for other, kind, value in connection.execute(
        """
        SELECT DISTINCT other.profile_id, mine.kind, mine.value
        FROM customers.members AS member
        JOIN customers.identifiers AS mine ON mine.record_id = member.record_id
        JOIN customers.household_values AS held
          ON held.kind = mine.kind AND held.value = mine.value AND held.household_id = $household
        JOIN customers.identifiers AS theirs ON theirs.kind = mine.kind AND theirs.value = mine.value
        JOIN customers.members AS other ON other.record_id = theirs.record_id
        WHERE member.profile_id = $profile AND other.profile_id <> $profile
        ORDER BY other.profile_id, mine.kind, mine.value
        """,
        {"profile": profile_id, "household": rows[0][0]},
    ).fetchall():
        common.setdefault(other, []).append((kind, value))
    mates = tuple(Housemate(other, tuple(common.get(other, ()))) for _, other in rows)
    return Household(str(rows[0][0]), mates)


def decisions_about(connection: Connection, profile_id: str) -> tuple[DecisionSeen, ...]:
    """Decisions that name a record of the profile, oldest first; also those that were revoked."""
    rows = connection.execute(
        """
        SELECT decision.decision_id, decision.decision, decision.reason, decision.made_by, decision.made_at,
               decision.revoked_at, decision.record_id, member.profile_id
        FROM customers.identity_decisions AS decision
        LEFT JOIN customers.members AS member ON member.record_id = decision.record_id
        WHERE decision.decision_id IN (
            SELECT named.decision_id FROM customers.identity_decisions AS named
            JOIN customers.members AS mine ON mine.record_id = named.record_id WHERE mine.profile_id = ?)
        ORDER BY decision.made_at, decision.decision_id, decision.record_id
        """,
        [profile_id],
    ).fetchall()
    facts: dict[str, tuple[str, str, str, datetime, datetime | None]] = {}
    named: dict[str, list[tuple[str, str | None]]] = {}
    for decision_id, decision, reason, made_by, made_at, revoked_at, record_id, holder in rows:
        facts[decision_id] = (decision, reason, made_by, made_at, revoked_at)
        named.setdefault(decision_id, []).append((record_id, holder))
    return tuple(
        DecisionSeen(decision_id, decision, tuple(named[decision_id]), reason, made_by, made_at, revoked_at)
        for decision_id, (decision, reason, made_by, made_at, revoked_at) in facts.items()
    )


def links_of(connection: Connection, profile_id: str) -> tuple[LinkSeen, ...]:
    """Probable links of the profile's records, the likeliest first."""
    rows = connection.execute(
        """
        SELECT link.link_id, mine.record_id,
               CASE WHEN mine.record_id = link.record_a THEN link.record_b ELSE link.record_a END,
               other.profile_id, link.probability, link.match_weight, link.levels, link.status, link.reason,
               link.changed_at
        FROM customers.links AS link
        JOIN customers.members AS mine ON mine.record_id IN (link.record_a, link.record_b)
        LEFT JOIN customers.members AS other
          ON other.record_id = CASE WHEN mine.record_id = link.record_a THEN link.record_b ELSE link.record_a END
        WHERE mine.profile_id = ?
          AND (mine.record_id = link.record_a OR other.profile_id IS NULL OR other.profile_id <> mine.profile_id)
        ORDER BY link.match_weight DESC, link.link_id
        """,
        [profile_id],
    ).fetchall()
    return tuple(
        LinkSeen(link_id, record_id, other, holder, likely, weight, json.loads(levels), status, reason, at)
        for link_id, record_id, other, holder, likely, weight, levels, status, reason, at in rows
    )
