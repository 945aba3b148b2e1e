"""Which id each household goes by, so that it stays the same as long as the household does.

As with profiles: an old id goes with the household that most of its old members live in; where several meet, the
oldest survives; a household that no old id goes with gets a new, opaque one.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millstream.state.store import Connection


def name_components(connection: Connection, run_id: str) -> None:
    """``household_names (label, household_id)``, from ``resolve_labels``, ``household_nodes`` and ``household_before``.

    Also ``household_parts (label, profile_id)``, ``household_overlap`` and ``household_heirs`` with ``rank``: rank 1 is
    the part that an old id goes with, and the old id that a part keeps.
    """
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE household_parts AS
        SELECT component.label, node.profile_id
        FROM resolve_labels AS component JOIN household_nodes AS node ON node.node = component.node
        """
    )
    connection.execute("DROP TABLE resolve_labels")
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE household_overlap AS
        SELECT label, household_id, members,
               row_number() OVER (PARTITION BY household_id ORDER BY members DESC, label) AS rank
        FROM (SELECT part.label, before.household_id, count(*) AS members
              FROM household_parts AS part JOIN household_before AS before ON before.profile_id = part.profile_id
              GROUP BY part.label, before.household_id) AS shared
        """
    )
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE household_heirs AS
        WITH ages AS (
            SELECT household_id, min(changed_at) AS created_at FROM customers.household_history
            WHERE change = 'new' AND household_id IN (SELECT household_id FROM household_overlap)
            GROUP BY household_id)
        SELECT overlap.label, overlap.household_id,
               row_number() OVER (PARTITION BY overlap.label
                                  ORDER BY ages.created_at, overlap.members DESC, overlap.household_id) AS rank
        FROM household_overlap AS overlap LEFT JOIN ages ON ages.household_id = overlap.household_id
        WHERE overlap.rank = 1
        """
    )
    _make_new_ids(connection, run_id)
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE household_names AS
        SELECT label, household_id FROM household_heirs WHERE rank = 1
        UNION ALL
        SELECT label, household_id FROM household_new
        """
    )


def _make_new_ids(connection: Connection, run_id: str) -> None:
    """``household_new (label, household_id)``, made of the run and the smallest profile.

    Should an id be taken (a run repeated under the same run_id), it is made anew with a number behind.
    """
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE household_new AS
        SELECT part.label, min(part.profile_id) AS first,
               'h_' || substr(md5(? || ':' || min(part.profile_id)), 1, 16) AS household_id
        FROM household_parts AS part LEFT JOIN household_heirs AS heir ON heir.label = part.label
        WHERE heir.label IS NULL GROUP BY part.label
        """,
        [run_id],
    )
    taken = """
        SELECT household_id FROM customers.household_history WHERE change = 'new'
            AND household_id IN (SELECT household_id FROM household_new)
        UNION ALL
        SELECT household_id FROM household_new GROUP BY household_id HAVING count(*) > 1
    """
    attempt = 0
    while connection.execute(f"SELECT 1 FROM ({taken}) AS taken LIMIT 1").fetchone():
        attempt += 1
        connection.execute(
            f"""
            UPDATE household_new SET household_id = 'h_' || substr(md5(? || ':' || first || ':' || ?), 1, 16)
            WHERE household_id IN (SELECT household_id FROM ({taken}) AS taken)
            """,
            [run_id, str(attempt)],
        )


def write_down(connection: Connection, run_id: str, now: datetime) -> None:
    """Bring members, values and history of the households in scope up to date."""
    connection.execute(
        """
        DELETE FROM customers.household_members
        WHERE household_id IN (SELECT household_id FROM household_before)
        """
    )
    connection.execute(
        """
        INSERT INTO customers.household_members (household_id, profile_id)
        SELECT name.household_id, part.profile_id
        FROM household_parts AS part JOIN household_names AS name ON name.label = part.label
        """
    )
    connection.execute(
        "DELETE FROM customers.household_values WHERE household_id IN (SELECT household_id FROM household_before)"
    )
    connection.execute(
        """
        INSERT INTO customers.household_values (household_id, kind, value, profiles)
        SELECT name.household_id, link.kind, link.value, count(*)
        FROM household_links AS link
        JOIN household_nodes AS node ON node.node = link.node
        JOIN household_parts AS part ON part.profile_id = node.profile_id
        JOIN household_names AS name ON name.label = part.label
        GROUP BY name.household_id, link.kind, link.value
        """
    )
    _write_history(connection, run_id, now)


def _write_history(connection: Connection, run_id: str, now: datetime) -> None:
    """New, merged, split and removed households."""
    connection.execute(
        """
        INSERT INTO customers.household_history (changed_at, run_id, change, household_id, other_id)
        SELECT ?, ?, change, household_id, other_id
        FROM (
            SELECT 'new' AS change, household_id, CAST(NULL AS TEXT) AS other_id FROM household_new
            UNION ALL
            SELECT 'merge', survivor.household_id, heir.household_id
            FROM household_heirs AS heir JOIN household_names AS survivor ON survivor.label = heir.label
            WHERE heir.rank > 1
            UNION ALL
            SELECT 'split', overlap.household_id, part.household_id
            FROM household_overlap AS overlap JOIN household_names AS part ON part.label = overlap.label
            WHERE overlap.rank > 1
            UNION ALL
            SELECT DISTINCT 'removed', before.household_id, CAST(NULL AS TEXT)
            FROM household_before AS before
            WHERE before.household_id NOT IN (SELECT household_id FROM household_overlap)
        ) AS changes
        """,
        [now, run_id],
    )
