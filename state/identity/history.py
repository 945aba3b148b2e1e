"""The history of profile ids: what came to be, merged, fell apart and ceased to be, each with the reason."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from millstream.state.identity.joining import LINKAGE, MERGE, is_empty
from millstream.state.identity.settling import BY_HAND

if TYPE_CHECKING:
    from millstream.state.store import Connection


def write_new(connection: Connection, run_id: str, now: datetime) -> None:
    """Profiles that came to be."""
    _write_plain(connection, "new", run_id, now)


def write_removed(connection: Connection, run_id: str, now: datetime) -> None:
    """Profiles that ceased to be."""
    _write_plain(connection, "removed", run_id, now)


def _write_plain(connection: Connection, change: str, run_id: str, now: datetime) -> None:
    connection.execute(
        f"""
        INSERT INTO customers.profile_history (changed_at, run_id, change, profile_id)
        SELECT ?, ?, '{change}', profile_id FROM resolve_{change}
        """,
        [now, run_id],
    )


def write_merges(connection: Connection, run_id: str, now: datetime) -> None:
    """Merges, each with the strongest value by which the loser's records reach others.

    A value that reaches the survivor's own records is named before one that reaches a third record.
    """
    if is_empty(connection, "resolve_merges"):
        return
    connection.execute(
        f"""
        INSERT INTO customers.profile_history (changed_at, run_id, change, profile_id, other_id, kind, value, reason)
        WITH losing AS (
            SELECT merged.survivor, merged.loser, merged.label, part.node
            FROM resolve_merges AS merged
            JOIN resolve_parts AS part ON part.label = merged.label
            JOIN resolve_before AS before ON before.record_id = part.record_id AND before.profile_id = merged.loser
        ),
        mine AS (
            SELECT DISTINCT losing.survivor, losing.loser, losing.label, bond.joint, bond.value_id
            FROM losing JOIN resolve_bonds AS bond ON bond.node = losing.node
        ),
        joins AS (
            SELECT mine.survivor, mine.loser, known.kind, known.value,
                   row_number() OVER (
                       PARTITION BY mine.loser
                       ORDER BY CASE WHEN old.profile_id = mine.survivor THEN 0 ELSE 1 END,
                                rule.priority, known.kind, known.value) AS rank
            FROM mine
            JOIN resolve_bonds AS theirs ON theirs.joint = mine.joint
            JOIN resolve_parts AS part ON part.node = theirs.node AND part.label = mine.label
            LEFT JOIN resolve_before AS old ON old.record_id = part.record_id
            JOIN resolve_values AS known ON known.value_id = mine.value_id
            JOIN resolve_kinds AS rule ON rule.kind = known.kind
            WHERE old.profile_id IS NULL OR old.profile_id <> mine.loser
        )
        SELECT ?, ?, 'merge', survivor, loser, kind, value,
               CASE kind WHEN '{MERGE}' THEN 'merged by hand' WHEN '{LINKAGE}' THEN 'linkage' END
        FROM joins WHERE rank = 1
        """,
        [now, run_id],
    )


def blame_deletion(
    connection: Connection, run_id: str, reason: str, *, kind: str | None = None, value: str | None = None
) -> None:
    """Say of what a run took apart or removed that it was a deletion by hand, not one at a source.

    Args:
        connection: The open store.
        run_id: The run that only obeyed the deletion.
        reason: What was deleted, for those who will ask.
        kind: Kind of the identifier that was.
        value: Its value.
    """
    connection.execute(
        """
        UPDATE customers.profile_history SET reason = ?, kind = ?, value = ?
        WHERE run_id = ? AND (change = 'removed' OR reason IN ('record deleted', 'record changed'))
        """,
        [reason, kind, value, run_id],
    )


def collect_splits(connection: Connection) -> None:
    """``resolve_splits (profile_id, label, other_id)``: each part that an id lost, and the id that the part has now."""
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_splits AS
        SELECT overlap.profile_id, overlap.label, name.profile_id AS other_id
        FROM resolve_overlap AS overlap JOIN resolve_names AS name ON name.label = overlap.label
        WHERE overlap.rank > 1
        """
    )


def write_splits(connection: Connection, run_id: str, now: datetime) -> None:
    """Splits: one row for each part that an id lost, with what took the join away.

    That is, in this order, the first of ``_CAUSES`` that concerns the part; else a record of the old profile that was
    deleted; else one that changed; else the rules did it.
    """
    collect_splits(connection)
    if is_empty(connection, "resolve_splits"):
        return
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_parting AS
        SELECT split.profile_id, split.label, before.record_id, part.node,
               CASE WHEN part.label = split.label THEN 'lost' ELSE 'kept' END AS side
        FROM resolve_splits AS split
        JOIN resolve_before AS before ON before.profile_id = split.profile_id
        LEFT JOIN resolve_parts AS part ON part.record_id = before.record_id
        """
    )
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_causes
        (profile_id TEXT, label BIGINT, strength INTEGER, priority INTEGER, kind TEXT, value TEXT, record_id TEXT,
         reason TEXT)
        """
    )
    for strength, cause in enumerate(_CAUSES):
        connection.execute(f"INSERT INTO resolve_causes {cause.format(strength=strength)}")
    connection.execute(
        f"""
        INSERT INTO customers.profile_history
        SELECT ?, ?, CASE WHEN cause.reason IN ('{BY_HAND}', 'decision revoked') THEN 'unmerge' ELSE 'split' END,
               split.profile_id, split.other_id, cause.kind, cause.value, cause.record_id,
               coalesce(cause.reason, 'rules changed')
        FROM resolve_splits AS split
        LEFT JOIN (SELECT profile_id, label, kind, value, record_id, reason,
                          row_number() OVER (PARTITION BY profile_id, label
                                             ORDER BY strength, priority, kind, value, record_id) AS rank
                   FROM resolve_causes) AS cause
          ON cause.profile_id = split.profile_id AND cause.label = split.label AND cause.rank = 1
        """,
        [now, run_id],
    )


# What may have taken a join away, the strongest first. ``resolve_parting (profile_id, label, record_id, node, side)``
# has the old members of each profile that lost a part: the part's own ('lost') and all others ('kept').
_CAUSES = (
    # A decision holds the part and others apart.
    f"""
    SELECT lost.profile_id, lost.label, {{strength}}, 0, 'unmerge', taken.decision_id, NULL, '{BY_HAND}'
    FROM resolve_parting AS lost
    JOIN resolve_sides AS taken ON taken.node = lost.node
    JOIN resolve_taken_apart AS apart
      ON apart.profile_id = lost.profile_id AND apart.decision_id = taken.decision_id
    JOIN resolve_sides AS others ON others.decision_id = taken.decision_id AND others.side <> taken.side
    JOIN resolve_parting AS kept
      ON kept.node = others.node AND kept.profile_id = lost.profile_id AND kept.label = lost.label
    WHERE lost.side = 'lost' AND kept.side = 'kept'
    """,
    # A value that the part bears is blocked since this run.
    """
    SELECT lost.profile_id, lost.label, {strength}, rule.priority, held.kind, held.value, NULL, 'identifier blocked'
    FROM resolve_parting AS lost
    JOIN resolve_held AS held ON held.record_id = lost.record_id
    JOIN resolve_turned AS turned ON turned.kind = held.kind AND turned.value = held.value AND turned.now_blocked
    JOIN resolve_kinds AS rule ON rule.kind = held.kind
    WHERE lost.side = 'lost'
    """,
    # A value that the part and others bear is shared by several people since this run.
    """
    SELECT lost.profile_id, lost.label, {strength}, rule.priority, shared.kind, shared.value, NULL, 'identifier shared'
    FROM resolve_parting AS lost
    JOIN resolve_bearers AS mine ON mine.node = lost.node
    JOIN resolve_shared AS shared ON shared.value_id = mine.value_id
    JOIN resolve_bearers AS theirs ON theirs.value_id = shared.value_id
    JOIN resolve_parting AS kept
      ON kept.node = theirs.node AND kept.profile_id = lost.profile_id AND kept.label = lost.label
    JOIN resolve_kinds AS rule ON rule.kind = shared.kind
    LEFT JOIN customers.shared_values AS before ON before.kind = shared.kind AND before.value = shared.value
    WHERE lost.side = 'lost' AND kept.side = 'kept' AND before.kind IS NULL
    """,
    # A limit forbids a join between the part and others.
    f"""
    SELECT lost.profile_id, lost.label, {{strength}}, rule.priority, known.kind, known.value, NULL, 'limit'
    FROM resolve_parting AS lost
    JOIN resolve_bonds AS mine ON mine.node = lost.node
    JOIN resolve_bonds AS theirs ON theirs.joint = mine.joint
    JOIN resolve_parting AS kept
      ON kept.node = theirs.node AND kept.profile_id = lost.profile_id AND kept.label = lost.label
    JOIN resolve_refused AS refused
      ON refused.value_id = mine.value_id AND refused.node IN (mine.node, theirs.node)
    JOIN resolve_values AS known ON known.value_id = mine.value_id
    JOIN resolve_kinds AS rule ON rule.kind = known.kind
    WHERE lost.side = 'lost' AND kept.side = 'kept' AND refused.reason <> '{BY_HAND}'
    """,
    # The decision that made them one was revoked.
    f"""
    SELECT lost.profile_id, lost.label, {{strength}}, 0, '{MERGE}', mine.decision_id, NULL, 'decision revoked'
    FROM resolve_parting AS lost
    JOIN customers.identity_decisions AS mine ON mine.record_id = lost.record_id
    JOIN customers.identity_decisions AS theirs ON theirs.decision_id = mine.decision_id
    JOIN resolve_parting AS kept
      ON kept.record_id = theirs.record_id AND kept.profile_id = lost.profile_id AND kept.label = lost.label
    WHERE lost.side = 'lost' AND kept.side = 'kept' AND mine.decision = 'merge' AND mine.revoked_at IS NOT NULL
      AND lost.record_id IN (SELECT record_id FROM customers.rejoin)
    """,
    # The link between them no longer holds.
    f"""
    SELECT lost.profile_id, lost.label, {{strength}}, 0, '{LINKAGE}', link.link_id, NULL, 'link withdrawn'
    FROM resolve_parting AS lost
    JOIN customers.links AS link ON lost.record_id IN (link.record_a, link.record_b)
    JOIN resolve_parting AS kept
      ON kept.record_id IN (link.record_a, link.record_b)
     AND kept.profile_id = lost.profile_id AND kept.label = lost.label
    WHERE lost.side = 'lost' AND kept.side = 'kept' AND link.status NOT IN ('merged', 'accepted')
      AND lost.record_id IN (SELECT record_id FROM customers.rejoin)
    """,
    # A record of the old profile is gone, or says something else.
    """
    SELECT old.profile_id, old.label, {strength}, CASE WHEN changed.gone THEN 0 ELSE 1 END, NULL, NULL, old.record_id,
           CASE WHEN changed.gone THEN 'record deleted' ELSE 'record changed' END
    FROM resolve_parting AS old JOIN resolve_changed AS changed ON changed.record_id = old.record_id
    """,
)
