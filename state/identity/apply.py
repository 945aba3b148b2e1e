"""Writing down what a run found: members, aliases, history, and which profiles have to be described anew."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millstream.state.store import Connection


def compare_members(connection: Connection) -> None:
    """``resolve_moved (record_id, was, now)``: records that joined, changed or left a profile."""
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_moved AS
        SELECT coalesce(after.record_id, before.record_id) AS record_id,
               before.profile_id AS was, after.profile_id AS now
        FROM resolve_before AS before FULL JOIN resolve_after AS after ON after.record_id = before.record_id
        WHERE before.profile_id IS NULL OR after.profile_id IS NULL OR before.profile_id <> after.profile_id
        """
    )


def write_members(connection: Connection) -> None:
    """Bring ``customers.members`` up to date; only what differs is written."""
    connection.execute(
        "DELETE FROM customers.members WHERE record_id IN (SELECT record_id FROM resolve_moved WHERE now IS NULL)"
    )
    connection.execute(
        """
        UPDATE customers.members SET profile_id = moved.now
        FROM resolve_moved AS moved
        WHERE moved.record_id = members.record_id AND moved.was IS NOT NULL AND moved.now IS NOT NULL
        """
    )
    connection.execute("INSERT INTO customers.members SELECT record_id, now FROM resolve_moved WHERE was IS NULL")


def write_aliases(connection: Connection, run_id: str, now: datetime) -> None:
    """Ids that lost against an older one stand for it from now on; an alias always names a living profile."""
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_merges AS
        SELECT name.profile_id AS survivor, heir.profile_id AS loser, heir.label
        FROM resolve_heirs AS heir JOIN resolve_names AS name ON name.label = heir.label
        WHERE heir.rank > 1
        """
    )
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_removed AS
        SELECT DISTINCT before.profile_id FROM resolve_before AS before
        WHERE before.profile_id NOT IN (SELECT profile_id FROM resolve_overlap)
        """
    )
    connection.execute(
        """
        UPDATE customers.profile_aliases SET profile_id = merged.survivor
        FROM resolve_merges AS merged WHERE merged.loser = profile_aliases.profile_id
        """
    )
    connection.execute(
        "DELETE FROM customers.profile_aliases WHERE profile_id IN (SELECT profile_id FROM resolve_removed)"
    )
    connection.execute(
        "INSERT INTO customers.profile_aliases SELECT loser, survivor, ?, ? FROM resolve_merges", [run_id, now]
    )


def write_new_and_removed(connection: Connection, run_id: str, now: datetime) -> None:
    """History of profiles that came to be and ceased to be."""
    connection.execute(
        """
        INSERT INTO customers.profile_history (changed_at, run_id, change, profile_id)
        SELECT ?, ?, change, profile_id
        FROM (SELECT 'new' AS change, profile_id FROM resolve_new
              UNION ALL
              SELECT 'removed' AS change, profile_id FROM resolve_removed) AS changes
        """,
        [now, run_id],
    )


def write_merges(connection: Connection, run_id: str, now: datetime) -> None:
    """History of merges, each with the strongest identifier by which the loser's records reach others.

    An identifier that reaches the survivor's own records is named before one that reaches a third record.
    """
    if _is_empty(connection, "resolve_merges"):
        return
    connection.execute(
        """
        INSERT INTO customers.profile_history (changed_at, run_id, change, profile_id, other_id, kind, value)
        WITH joins AS (
            SELECT merged.survivor, merged.loser, mine.kind, mine.value,
                   row_number() OVER (
                       PARTITION BY merged.loser
                       ORDER BY CASE WHEN their_old.profile_id = merged.survivor THEN 0 ELSE 1 END,
                                coalesce(rule.priority, other.priority), mine.kind, mine.value) AS rank
            FROM resolve_merges AS merged
            JOIN resolve_parts AS my_part ON my_part.label = merged.label
            JOIN resolve_before AS my_old
              ON my_old.record_id = my_part.record_id AND my_old.profile_id = merged.loser
            JOIN resolve_links AS mine ON mine.node = my_part.node
            JOIN resolve_shared AS shared ON shared.kind = mine.kind AND shared.value = mine.value
            LEFT JOIN resolve_blocked AS blocked ON blocked.kind = mine.kind AND blocked.value = mine.value
            JOIN resolve_links AS theirs ON theirs.kind = mine.kind AND theirs.value = mine.value
            JOIN resolve_parts AS their_part ON their_part.node = theirs.node
            LEFT JOIN resolve_before AS their_old ON their_old.record_id = their_part.record_id
            LEFT JOIN resolve_kinds AS rule ON rule.kind = mine.kind
            JOIN resolve_kinds AS other ON other.kind = ''
            WHERE blocked.kind IS NULL
              AND (their_old.profile_id IS NULL OR their_old.profile_id <> merged.loser)
        )
        SELECT ?, ?, 'merge', survivor, loser, kind, value FROM joins WHERE rank = 1
        """,
        [now, run_id],
    )


def write_splits(connection: Connection, run_id: str, now: datetime) -> None:
    """History of splits: one row for each part that an id lost, with what took the join away.

    That is a value the part bears and that is blocked since this run; else a record of the old profile that
    was deleted; else one that changed; else the rules did it.
    """
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_splits AS
        SELECT overlap.profile_id, overlap.label, name.profile_id AS other_id
        FROM resolve_overlap AS overlap JOIN resolve_names AS name ON name.label = overlap.label
        WHERE overlap.rank > 1
        """
    )
    if _is_empty(connection, "resolve_splits"):
        return
    connection.execute(
        """
        INSERT INTO customers.profile_history
        WITH unjoined AS (
            SELECT split.profile_id, split.label, link.kind, link.value,
                   row_number() OVER (PARTITION BY split.profile_id, split.label
                                      ORDER BY coalesce(rule.priority, other.priority), link.kind, link.value) AS rank
            FROM resolve_splits AS split
            JOIN resolve_parts AS part ON part.label = split.label
            JOIN resolve_before AS before
              ON before.record_id = part.record_id AND before.profile_id = split.profile_id
            JOIN resolve_links AS link ON link.node = part.node
            JOIN resolve_turned AS turned
              ON turned.kind = link.kind AND turned.value = link.value AND turned.now_blocked
            LEFT JOIN resolve_kinds AS rule ON rule.kind = link.kind
            JOIN resolve_kinds AS other ON other.kind = ''
        ),
        changed AS (
            SELECT before.profile_id, min(CASE WHEN changed.gone THEN changed.record_id END) AS gone_id,
                   min(changed.record_id) AS record_id
            FROM resolve_before AS before JOIN resolve_changed AS changed ON changed.record_id = before.record_id
            WHERE before.profile_id IN (SELECT profile_id FROM resolve_splits)
            GROUP BY before.profile_id
        )
        SELECT ?, ?, 'split', split.profile_id, split.other_id, unjoined.kind, unjoined.value,
               CASE WHEN unjoined.kind IS NULL THEN coalesce(changed.gone_id, changed.record_id) END,
               CASE WHEN unjoined.kind IS NOT NULL THEN 'identifier blocked'
                    WHEN changed.gone_id IS NOT NULL THEN 'record deleted'
                    WHEN changed.record_id IS NOT NULL THEN 'record changed'
                    ELSE 'rules changed' END
        FROM resolve_splits AS split
        LEFT JOIN unjoined
          ON unjoined.profile_id = split.profile_id AND unjoined.label = split.label AND unjoined.rank = 1
        LEFT JOIN changed ON changed.profile_id = split.profile_id
        """,
        [now, run_id],
    )


def queue_changed_profiles(connection: Connection) -> int:
    """Note the profiles to describe anew: other members, a changed record, or a value that turned (un)blocked.

    Returns:
        How many profiles this run changed.
    """
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_changed_profiles AS
        SELECT was AS profile_id FROM resolve_moved WHERE was IS NOT NULL
        UNION
        SELECT now FROM resolve_moved WHERE now IS NOT NULL
        UNION
        SELECT after.profile_id FROM resolve_after AS after
        JOIN resolve_changed AS changed ON changed.record_id = after.record_id
        UNION
        SELECT after.profile_id FROM resolve_after AS after
        JOIN resolve_parts AS part ON part.record_id = after.record_id
        JOIN resolve_links AS link ON link.node = part.node
        JOIN resolve_turned AS turned ON turned.kind = link.kind AND turned.value = link.value
        """
    )
    connection.execute(
        """
        INSERT INTO customers.changed_profiles
        SELECT profile_id FROM resolve_changed_profiles
        WHERE profile_id NOT IN (SELECT profile_id FROM customers.changed_profiles)
        """
    )
    row = connection.execute("SELECT count(*) FROM resolve_changed_profiles").fetchone()
    return 0 if row is None else int(row[0])


def _is_empty(connection: Connection, table: str) -> bool:
    return connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() is None
