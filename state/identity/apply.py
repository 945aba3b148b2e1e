"""Writing down what a run found: members, aliases, who came in under which id, and which profiles to describe anew."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from millstream.state.identity.joining import is_empty
from millstream.state.store import count_rows

if TYPE_CHECKING:
    from millstream.state.store import Connection


def write_first(connection: Connection) -> None:
    """Members and changed profiles where nobody in scope was a member before: each part is a new profile."""
    connection.execute(
        """
        INSERT INTO customers.members
        SELECT node.record_id, new.profile_id
        FROM resolve_nodes AS node
        LEFT JOIN resolve_labels AS component ON component.node = node.node
        JOIN resolve_new AS new ON new.label = coalesce(component.label, node.node)
        """
    )
    connection.execute("INSERT INTO customers.changed_profiles SELECT profile_id FROM resolve_new")


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
    """Bring ``customers.members`` up to date; only what differs is written.

    Where a row changes, another takes its place: DuckDB would write the whole column anew for a few changes in it.
    """
    if not is_empty(connection, "resolve_moved WHERE was IS NOT NULL"):
        connection.execute(
            """
            DELETE FROM customers.members
            WHERE record_id IN (SELECT record_id FROM resolve_moved WHERE was IS NOT NULL)
            """
        )
    connection.execute("INSERT INTO customers.members SELECT record_id, now FROM resolve_moved WHERE now IS NOT NULL")


def collect_merges(connection: Connection) -> None:
    """``resolve_merges (survivor, loser, label)`` and ``resolve_removed (profile_id)``, whose last record is gone."""
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


def write_aliases(connection: Connection, run_id: str, now: datetime) -> None:
    """Ids that lost against an older one stand for it from now on; an alias always names a living profile."""
    connection.execute(
        "DELETE FROM customers.profile_aliases WHERE alias_id IN (SELECT profile_id FROM resolve_revived)"
    )
    _move_aliases(connection)
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


def _move_aliases(connection: Connection) -> None:
    """Where a profile fell apart, its aliases follow most of the records that they brought along."""
    if is_empty(connection, "resolve_overlap WHERE rank > 1"):
        return
    connection.execute(
        """
        UPDATE customers.profile_aliases SET profile_id = moved.profile_id
        FROM (SELECT alias.alias_id, after.profile_id,
                     row_number() OVER (PARTITION BY alias.alias_id
                                        ORDER BY count(*) DESC,
                                                 CASE WHEN after.profile_id = alias.profile_id THEN 0 ELSE 1 END,
                                                 after.profile_id) AS rank
              FROM customers.profile_aliases AS alias
              JOIN customers.merged_members AS merged ON merged.from_id = alias.alias_id
              JOIN resolve_before AS before
                ON before.record_id = merged.record_id AND before.profile_id = alias.profile_id
              JOIN resolve_after AS after ON after.record_id = merged.record_id
              WHERE alias.profile_id IN (SELECT profile_id FROM resolve_overlap WHERE rank > 1)
              GROUP BY alias.alias_id, alias.profile_id, after.profile_id) AS moved
        WHERE moved.rank = 1 AND moved.alias_id = profile_aliases.alias_id
        """
    )


def write_merged_members(connection: Connection, run_id: str, now: datetime) -> None:
    """Remember which records an id that was merged away brought along; forget those of ids that are none any more."""
    if not is_empty(connection, "customers.merged_members"):
        connection.execute(
            """
            DELETE FROM customers.merged_members
            WHERE record_id IN (SELECT record_id FROM resolve_moved WHERE now IS NULL)
               OR from_id IN (SELECT profile_id FROM resolve_revived)
            """
        )
    if not is_empty(connection, "resolve_removed"):
        connection.execute(
            "DELETE FROM customers.merged_members WHERE from_id NOT IN (SELECT alias_id FROM customers.profile_aliases)"
        )
    if not is_empty(connection, "resolve_merges"):
        connection.execute(
            """
            INSERT INTO customers.merged_members
            SELECT before.record_id, merged.loser, merged.survivor, ?, ?
            FROM resolve_merges AS merged
            JOIN resolve_before AS before ON before.profile_id = merged.loser
            JOIN resolve_parts AS part ON part.record_id = before.record_id AND part.label = merged.label
            """,
            [run_id, now],
        )


def write_later_members(connection: Connection, now: datetime) -> None:
    """Remember which records came to a profile that an id had been merged into, but by an id that they came along with.

    Where such an id comes back without them, they are remembered here, too: to be done while ``merged_members`` tells.
    """
    if not is_empty(connection, "customers.later_members"):
        connection.execute(
            f"""
            DELETE FROM customers.later_members
            WHERE record_id IN (SELECT record_id FROM resolve_moved WHERE now IS NULL UNION ALL {_CAME})
            """
        )
    if not is_empty(connection, "customers.profile_aliases"):
        connection.execute(
            f"INSERT INTO customers.later_members SELECT record_id, NULL, ? FROM ({_CAME}) AS came", [now]
        )
    if not is_empty(connection, "resolve_revived"):
        connection.execute(
            """
            INSERT INTO customers.later_members
            SELECT merged.record_id, merged.from_id, merged.changed_at
            FROM customers.merged_members AS merged
            JOIN resolve_revived AS revived ON revived.profile_id = merged.from_id
            JOIN resolve_after AS after ON after.record_id = merged.record_id
            WHERE after.profile_id <> merged.from_id
            """
        )


_CAME = """
SELECT record_id FROM resolve_moved AS moved
WHERE now IN (SELECT profile_id FROM customers.profile_aliases)
  AND now NOT IN (SELECT profile_id FROM resolve_new UNION ALL SELECT profile_id FROM resolve_revived)
  AND NOT EXISTS (SELECT 1 FROM resolve_merges AS merged WHERE merged.loser = moved.was AND merged.survivor = moved.now)
"""


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
        JOIN resolve_held AS held ON held.record_id = after.record_id
        JOIN resolve_turned AS turned ON turned.kind = held.kind AND turned.value = held.value
        """
    )
    connection.execute(
        """
        INSERT INTO customers.changed_profiles
        SELECT profile_id FROM resolve_changed_profiles
        WHERE profile_id NOT IN (SELECT profile_id FROM customers.changed_profiles)
        """
    )
    return count_rows(connection, "resolve_changed_profiles")
