"""What holds a profile's records together: a smallest set of joins, made of those that tell most."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from millstream.state.identity.settling import BY_HAND
from millstream.state.identity.shared import agreed_keys, fold
from millstream.state.sql import literal

if TYPE_CHECKING:
    from millstream.state.identity.rules import IdentityRules
    from millstream.state.store import Connection

# After all identifiers: a decision names all records of both sides, and is worth telling only where nothing else joins.
_BY_HAND, _LINKAGE = 1_000_001, 1_000_002
Joint = tuple[int, str, str, str]
"""Priority, kind, value, and the group of a shared value."""


@dataclass(frozen=True)
class Join:
    """What a record joins another by: an identifier's value, a decision (``merge``) or a link (``linkage``)."""

    record_id: str
    other_id: str
    kind: str
    value: str


def spanning_joins(connection: Connection, profile_id: str, rules: IdentityRules) -> tuple[Join, ...]:
    """Kruskal's spanning tree: the strongest identifiers first, then decisions, then links, each where it is needed."""
    joints = {**_by_identifiers(connection, profile_id, rules), **_by_others(connection, profile_id)}
    parent: dict[str, str] = {}

    def root(record_id: str) -> str:
        parent.setdefault(record_id, record_id)
        while parent[record_id] != record_id:
            parent[record_id] = parent[parent[record_id]]
            record_id = parent[record_id]
        return record_id

    joins = []
    for (_, kind, value, _), bearers in sorted(joints.items()):
        first, *others = sorted(bearers)
        for other in others:
            if root(first) != root(other):
                parent[root(other)] = root(first)
                joins.append(Join(other, first, kind, value))
    return tuple(joins)


def _by_identifiers(connection: Connection, profile_id: str, rules: IdentityRules) -> Mapping[Joint, set[str]]:
    # What people took apart a value holds together on either side: of one person, all its bearers are of one side.
    rows = connection.execute(
        f"""
        SELECT DISTINCT member.record_id, identifier.kind, identifier.value, shared.trait
        FROM customers.members AS member
        JOIN customers.identifiers AS identifier ON identifier.record_id = member.record_id
        LEFT JOIN customers.blocked_values AS blocked
          ON blocked.kind = identifier.kind AND blocked.value = identifier.value
        LEFT JOIN customers.shared_values AS shared
          ON shared.kind = identifier.kind AND shared.value = identifier.value
        LEFT JOIN customers.refused_joins AS refused
          ON refused.record_id = member.record_id AND refused.kind = identifier.kind
         AND refused.value = identifier.value AND refused.reason <> {literal(BY_HAND)}
        WHERE member.profile_id = ? AND identifier.merges AND blocked.kind IS NULL AND refused.kind IS NULL
        """,
        [profile_id],
    ).fetchall()
    groups = _groups(connection, profile_id) if any(trait for *_, trait in rows) else {}
    joints: dict[Joint, set[str]] = {}
    for record_id, kind, value, trait in rows:
        rule = rules.rule(kind)
        group = "" if trait is None else groups.get((kind, value, record_id))
        if rule.merges and group is not None:
            joints.setdefault((rule.priority, kind, value, group), set()).add(record_id)
    return joints


def _groups(connection: Connection, profile_id: str) -> dict[tuple[str, str, str], str | None]:
    """The group of each bearer of the shared values of a profile; their bearers elsewhere have a say in it."""
    rows = connection.execute(
        """
        SELECT bearer.kind, bearer.value, bearer.record_id, min(trait.value)
        FROM customers.shared_bearers AS bearer
        JOIN customers.shared_values AS shared ON shared.kind = bearer.kind AND shared.value = bearer.value
        LEFT JOIN customers.traits AS trait
          ON trait.record_id = bearer.record_id AND lower(trait.name) = lower(shared.trait)
        WHERE EXISTS (SELECT 1 FROM customers.shared_bearers AS mine
                      JOIN customers.members AS member ON member.record_id = mine.record_id
                      WHERE member.profile_id = ? AND mine.kind = bearer.kind AND mine.value = bearer.value)
        GROUP BY bearer.kind, bearer.value, bearer.record_id
        """,
        [profile_id],
    ).fetchall()
    keys: dict[tuple[str, str], dict[str, str]] = {}
    for kind, value, record_id, said in rows:
        keys.setdefault((kind, value), {})[record_id] = fold(said or "")
    return {
        (kind, value, record_id): group
        for (kind, value), borne in keys.items()
        for record_id, group in agreed_keys(borne).items()
    }


def _by_others(connection: Connection, profile_id: str) -> Mapping[Joint, set[str]]:
    """Decisions that hold, and links that join."""
    decided = connection.execute(
        """
        SELECT decision.decision_id, decision.record_id
        FROM customers.identity_decisions AS decision
        JOIN customers.members AS member ON member.record_id = decision.record_id
        WHERE member.profile_id = ? AND decision.decision = 'merge' AND decision.revoked_at IS NULL
        """,
        [profile_id],
    ).fetchall()
    linked = connection.execute(
        """
        SELECT link.link_id, link.record_a, link.record_b
        FROM customers.links AS link
        JOIN customers.members AS a ON a.record_id = link.record_a
        JOIN customers.members AS b ON b.record_id = link.record_b
        WHERE a.profile_id = ? AND b.profile_id = ? AND link.status IN ('merged', 'accepted')
        """,
        [profile_id, profile_id],
    ).fetchall()
    joints: dict[Joint, set[str]] = {}
    _add(joints, _BY_HAND, "merge", decided)
    _add(joints, _LINKAGE, "linkage", ((link_id, record_id) for link_id, *pair in linked for record_id in pair))
    return joints


def _add(joints: dict[Joint, set[str]], priority: int, kind: str, borne: Iterable[tuple[str, str]]) -> None:
    for value, record_id in borne:
        joints.setdefault((priority, kind, value, ""), set()).add(record_id)
