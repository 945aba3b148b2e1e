"""Decisions made by hand: these are one person, those are not. They are kept as rules, which every run obeys.

A decision names records, not profiles: it still holds when their profiles have merged, split or been made anew. It is
written down here and carried out by the next ``resolve``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from millstream.state.errors import ConfigurationError
from millstream.state.identity.joining import create_joining, create_kinds, write_rows
from millstream.state.identity.limits import forbidden_together
from millstream.state.identity.parties import (
    alias_meant,
    brought_by,
    came_since,
    check_other,
    living_profile,
    members_of,
)
from millstream.state.identity.rules import IdentityRules
from millstream.state.identity.tables import create_identity_tables

if TYPE_CHECKING:
    from millstream.state.store import Connection


@dataclass(frozen=True)
class Decision:
    """A decision made by hand.

    Attributes:
        decision_id: Its id, by which it can be revoked.
        decision: ``merge`` or ``unmerge``.
        records: The records that it names, each with its side: ``a`` or ``b``.
        reason: Why it was made, in the words of who made it.
        made_by: Who made it.
        made_at: When.
        revoked_at: Since when it no longer holds; None while it does.
    """

    decision_id: str
    decision: str
    records: tuple[tuple[str, str], ...]
    reason: str
    made_by: str
    made_at: datetime
    revoked_at: datetime | None


def merge(connection: Connection, profiles: Sequence[str], *, reason: str, made_by: str, now: datetime) -> str:
    """Decide that profiles are one person: all records that they have now.

    Args:
        connection: The open store.
        profiles: Two or more profile ids or aliases.
        reason: Why, for those who will ask.
        made_by: Who decides.
        now: The time to write down, aware.

    Returns:
        The decision's id.

    Raises:
        ConfigurationError: An id is unknown, all are one profile already, or a limit or an earlier decision forbids it.
    """
    create_identity_tables(connection)
    living = list(dict.fromkeys(living_profile(connection, profile) for profile in profiles))
    if len(living) < 2:
        raise ConfigurationError(
            f"There is nothing to merge: {' and '.join(map(repr, profiles))} are one profile.",
            where="merge",
            remedy="name two profiles or more.",
        )
    sides = {
        record: "b" if place else "a" for place, one in enumerate(living) for record in members_of(connection, one)
    }
    _refuse_what_is_held_apart(connection, sides)
    _refuse_what_breaks_a_limit(connection, living)
    return _write(connection, "merge", sides, reason=reason, made_by=made_by, now=now)


def unmerge(
    connection: Connection,
    profile_or_alias: str,
    *,
    from_profile: str | None = None,
    records: Sequence[str] | None = None,
    reason: str,
    made_by: str,
    now: datetime,
) -> str:
    """Decide that some records of a profile are another person than its others.

    Args:
        connection: The open store.
        profile_or_alias: An id that was merged away, whose records are to part from the profile that it stands for;
            or that profile, when ``from_profile`` names the alias or ``records`` lists who parts.
        from_profile: The other id of the pair that was merged, in either order.
        records: The records that part; in place of all that an id brought along.
        reason: Why, for those who will ask.
        made_by: Who decides.
        now: The time to write down, aware.

    Returns:
        The decision's id. Decisions that had merged the two sides are revoked. What came only after an id had been
        merged away is on neither side, and goes where it belongs.

    Raises:
        ConfigurationError: An id or a record is unknown, or there is nothing to undo.
    """
    create_identity_tables(connection)
    living = living_profile(connection, profile_or_alias)
    members = members_of(connection, living)
    came, were_brought = set[str](), set[str]()
    if records is None:
        alias = alias_meant(connection, profile_or_alias, from_profile, living)
        parting = brought_by(connection, alias) & members
        came, were_brought = came_since(connection, alias, living)
    else:
        check_other(connection, from_profile, living)
        parting = set(records)
    _check_parting(parting, members, living)
    staying = members - parting
    if staying <= came | were_brought:
        # Nothing is left of whom it was merged into: all the others are the other side.
        came, were_brought = set(), set()
    # Whom somebody brought here by hand stays here, by that decision.
    _revoke_merges_across(connection, _sides(staying - came, parting), now)
    sides = _sides(staying - came - were_brought, parting)
    return _write(connection, "unmerge", sides, reason=reason, made_by=made_by, now=now)


def _sides(staying: Iterable[str], parting: Iterable[str]) -> dict[str, str]:
    return dict.fromkeys(staying, "a") | dict.fromkeys(parting, "b")


def _check_parting(parting: set[str], members: set[str], living: str) -> None:
    if unknown := sorted(parting - members):
        raise ConfigurationError(
            f"The record {unknown[0]!r} is not of the profile {living!r}.",
            where="unmerge",
            remedy="list records of the profile.",
        )
    if not parting or parting == members:
        raise ConfigurationError(
            f"There is nothing to undo in {living!r}: {'all' if parting else 'none'} of its records would part.",
            where="unmerge",
            remedy="name an id that was merged away, or list some of the profile's records.",
        )


def decisions(connection: Connection) -> list[Decision]:
    """All decisions, oldest first; also those that were revoked."""
    create_identity_tables(connection)
    rows = connection.execute(
        """
        SELECT decision_id, decision, reason, made_by, made_at, revoked_at, record_id, side
        FROM customers.identity_decisions ORDER BY made_at, decision_id, record_id
        """
    ).fetchall()
    records: dict[tuple[str, str, str, str, datetime, datetime | None], list[tuple[str, str]]] = {}
    for decision_id, decision, reason, made_by, made_at, revoked_at, record_id, side in rows:
        facts = (decision_id, decision, reason, made_by, made_at, revoked_at)
        records.setdefault(facts, []).append((record_id, side))
    return [
        Decision(decision_id, decision, tuple(named), reason, made_by, made_at, revoked_at)
        for (decision_id, decision, reason, made_by, made_at, revoked_at), named in records.items()
    ]


def revoke(connection: Connection, decision_id: str, *, now: datetime) -> None:
    """Let a decision no longer hold.

    Raises:
        ConfigurationError: There is no such decision, or it was revoked before.
    """
    create_identity_tables(connection)
    row = connection.execute(
        "SELECT max(revoked_at), count(*) FROM customers.identity_decisions WHERE decision_id = ?", [decision_id]
    ).fetchone()
    if row is None or not row[1]:
        raise ConfigurationError(
            f"There is no decision {decision_id!r}.", where="revoke", remedy="`millstream decisions` lists them."
        )
    if row[0] is not None:
        raise ConfigurationError(
            f"The decision {decision_id!r} was revoked on {row[0]:%Y-%m-%d}.",
            where="revoke",
            remedy="there is nothing left to undo; make a new decision if it should hold again.",
        )
    _revoke(connection, decision_id, now)


# -- what forbids a merge ------------------------------------------------------------------------------------------


def _refuse_what_is_held_apart(connection: Connection, records: Collection[str]) -> None:
    write_rows(connection, "resolve_decided", ("record_id",), [(record,) for record in sorted(records)])
    row = connection.execute(
        """
        SELECT decision_id FROM customers.identity_decisions
        WHERE decision = 'unmerge' AND revoked_at IS NULL
          AND record_id IN (SELECT record_id FROM resolve_decided)
        GROUP BY decision_id HAVING min(side) < max(side) ORDER BY decision_id LIMIT 1
        """
    ).fetchone()
    connection.execute("DROP TABLE resolve_decided")
    if row is not None:
        raise ConfigurationError(
            f"These profiles were taken apart by hand, by the decision {row[0]!r}.",
            where="merge",
            remedy=f"revoke that decision first: `millstream decisions --revoke {row[0]}`.",
        )


def _refuse_what_breaks_a_limit(connection: Connection, profiles: Sequence[str]) -> None:
    row = connection.execute("SELECT rules FROM customers.resolve_state").fetchone()
    rules = IdentityRules() if row is None else IdentityRules.model_validate_json(row[0])
    create_joining(connection, rules)
    create_kinds(connection)
    reason = forbidden_together(connection, rules, profiles)
    connection.execute("DROP VIEW resolve_joining")
    connection.execute("DROP TABLE resolve_kinds")
    if reason is not None:
        raise ConfigurationError(
            f"These profiles cannot be one: it would have {reason}.",
            where="merge",
            remedy="raise the limit of that kind (identity.kinds), or correct the records.",
        )


# -- writing it down -----------------------------------------------------------------------------------------------


def _revoke_merges_across(connection: Connection, sides: Mapping[str, str], now: datetime) -> None:
    """Revoke the merges by hand that hold records of both sides together.

    What such a merge made one on either side alone stays one, by a merge of its own.
    """
    for merged in decisions(connection):
        if merged.decision != "merge" or merged.revoked_at is not None:
            continue
        reached = {sides[record] for record, _ in merged.records if record in sides}
        if len(reached) < 2:
            continue
        _revoke(connection, merged.decision_id, now)
        for side in sorted(reached):
            rest = {record: place for record, place in merged.records if sides.get(record) == side}
            if len(_origins(connection, rest)) > 1:
                _write(connection, "merge", rest, reason=merged.reason, made_by=merged.made_by, now=now)


def _origins(connection: Connection, records: Iterable[str]) -> set[frozenset[str]]:
    """The different ways that records came in: the ids, merged away, that brought them."""
    brought: dict[str, set[str]] = {record: set() for record in records}
    for record_id, from_id in connection.execute(
        """
        SELECT record_id, from_id FROM customers.merged_members
        UNION ALL
        SELECT record_id, from_id FROM customers.later_members WHERE from_id IS NOT NULL
        """
    ).fetchall():
        if record_id in brought:
            brought[record_id].add(from_id)
    return {frozenset(ids) for ids in brought.values()}


def _revoke(connection: Connection, decision_id: str, now: datetime) -> None:
    connection.execute(
        "UPDATE customers.identity_decisions SET revoked_at = ? WHERE decision_id = ?", [now, decision_id]
    )
    _ask_for_rejoin(connection, decision_id)


def _write(
    connection: Connection, decision: str, sides: Mapping[str, str], *, reason: str, made_by: str, now: datetime
) -> str:
    decision_id = _new_id(connection, decision, sides, now)
    connection.executemany(
        "INSERT INTO customers.identity_decisions VALUES (?, ?, ?, ?, ?, ?, ?, NULL)",
        [(decision_id, decision, record, side, reason, made_by, now) for record, side in sorted(sides.items())],
    )
    _ask_for_rejoin(connection, decision_id)
    return decision_id


def _new_id(connection: Connection, decision: str, records: Iterable[str], now: datetime) -> str:
    facts = f"{decision}:{now.isoformat()}:{','.join(sorted(records))}"
    for attempt in range(1_000):
        made = "d_" + hashlib.sha256(f"{facts}:{attempt}".encode()).hexdigest()[:16]
        taken = connection.execute(
            "SELECT 1 FROM customers.identity_decisions WHERE decision_id = ? LIMIT 1", [made]
        ).fetchone()
        if taken is None:
            return made
    raise AssertionError("a thousand equal decisions at one time")


def _ask_for_rejoin(connection: Connection, decision_id: str) -> None:
    connection.execute(
        "INSERT INTO customers.rejoin SELECT record_id FROM customers.identity_decisions WHERE decision_id = ?",
        [decision_id],
    )
