"""Suggested links, and what people decide about them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from millstream.state.errors import ConfigurationError
from millstream.state.identity.linkage.rules import LinkageRules
from millstream.state.identity.linkage.units import read_conflicts, read_units
from millstream.state.identity.tables import create_identity_tables

if TYPE_CHECKING:
    from millstream.state.store import Connection


@dataclass(frozen=True)
class Suggestion:
    """Two records that are perhaps one person.

    Attributes:
        link_id: Its id, to accept or refuse it by.
        record_a: One record.
        record_b: The other.
        profile_a: Whose it is.
        profile_b: Whose the other is.
        probability: That both are one person.
        match_weight: The binary logarithm of its odds.
        levels: How well each thing compared agrees, and what that adds to the weight.
    """

    link_id: str
    record_a: str
    record_b: str
    profile_a: str
    profile_b: str
    probability: float
    match_weight: float
    levels: Mapping[str, object]


def suggestions(connection: Connection) -> list[Suggestion]:
    """All links that wait for a decision, the likeliest first."""
    create_identity_tables(connection)
    rows = connection.execute(
        """
        SELECT link.link_id, link.record_a, link.record_b, a.profile_id, b.profile_id, link.probability,
               link.match_weight, link.levels
        FROM customers.links AS link
        JOIN customers.members AS a ON a.record_id = link.record_a
        JOIN customers.members AS b ON b.record_id = link.record_b
        WHERE link.status = 'suggested' AND a.profile_id <> b.profile_id
        ORDER BY link.match_weight DESC, link.link_id
        """
    ).fetchall()
    return [
        Suggestion(link_id, a, b, profile_a, profile_b, likely, weight, json.loads(levels))
        for link_id, a, b, profile_a, profile_b, likely, weight, levels in rows
    ]


def accept(connection: Connection, link_id: str, *, reason: str, made_by: str, now: datetime) -> None:
    """Let a link join its two records; the next ``resolve`` does.

    Raises:
        ConfigurationError: There is no such link, or a limit or a decision holds its records apart.
    """
    pair = _link(connection, link_id)
    units = read_units(connection, LinkageRules(columns={}), None)
    if any(record not in units.number for record in pair):
        raise ConfigurationError(
            f"The link {link_id!r} names a record that is gone.", where="linkage", remedy="link again, then review."
        )
    import numpy as np

    one, other = (np.array([units.number[record]]) for record in pair)
    conflicts = read_conflicts(connection, units)
    conflicts.pairs.clear()  # an earlier refusal of this very link may be taken back
    if conflicts.between(one, other).any():
        raise ConfigurationError(
            f"The link {link_id!r} would join what a limit of the identity rules or a decision holds apart.",
            where="linkage",
            remedy="revoke the decision, or change the limit (identity.kinds.KIND.max_values).",
        )
    _decide(connection, link_id, "accepted", reason=reason, made_by=made_by, now=now)


def refuse(connection: Connection, link_id: str, *, reason: str, made_by: str, now: datetime) -> None:
    """Keep a link from ever joining its two records; one that had joined them no longer does from the next ``resolve``.

    Raises:
        ConfigurationError: There is no such link.
    """
    _link(connection, link_id)
    _decide(connection, link_id, "refused", reason=reason, made_by=made_by, now=now)


def _link(connection: Connection, link_id: str) -> tuple[str, str]:
    create_identity_tables(connection)
    row = connection.execute("SELECT record_a, record_b FROM customers.links WHERE link_id = ?", [link_id]).fetchone()
    if row is None:
        raise ConfigurationError(
            f"There is no link {link_id!r}.", where="linkage", remedy="`millstream review` lists those that wait."
        )
    return str(row[0]), str(row[1])


def _decide(connection: Connection, link_id: str, status: str, *, reason: str, made_by: str, now: datetime) -> None:
    connection.execute(
        "UPDATE customers.links SET status = ?, reason = ?, changed_at = ? WHERE link_id = ?",
        [status, f"{made_by}: {reason}" if reason else made_by, now, link_id],
    )
    connection.execute(
        """
        INSERT INTO customers.rejoin
        SELECT record_a FROM customers.links WHERE link_id = ?
        UNION ALL
        SELECT record_b FROM customers.links WHERE link_id = ?
        """,
        [link_id, link_id],
    )
