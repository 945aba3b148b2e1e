"""Which id each component goes by, so that ids stay the same as long as the person does.

An old id goes with the component that holds most of its old members. Where several old ids meet, the oldest
survives and the others become aliases. A component that no old id goes with gets a new, opaque id. As only old
members, ages and record ids decide, building everything anew changes no id.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millstream.state.store import Connection


def collect_parts(connection: Connection) -> None:
    """``resolve_parts (record_id, node, label)``: the component of each record in scope."""
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_parts AS
        SELECT node.record_id, node.node, coalesce(component.label, node.node) AS label
        FROM resolve_nodes AS node LEFT JOIN resolve_labels AS component ON component.node = node.node
        """
    )


def count_overlap(connection: Connection) -> None:
    """``resolve_overlap (label, profile_id, members, rank)``: rank 1 is the component that an old id goes with."""
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_overlap AS
        SELECT label, profile_id, members,
               row_number() OVER (PARTITION BY profile_id ORDER BY members DESC, label) AS rank
        FROM (SELECT part.label, before.profile_id, count(*) AS members
              FROM resolve_parts AS part JOIN resolve_before AS before ON before.record_id = part.record_id
              GROUP BY part.label, before.profile_id) AS shared
        """
    )


def choose_survivors(connection: Connection) -> None:
    """``resolve_heirs (label, profile_id, rank)``: rank 1 is the id that survives.

    The age of an id is looked up only where two meet.
    """
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_heirs AS
        WITH heirs AS (SELECT label, profile_id, members FROM resolve_overlap WHERE rank = 1),
        rivals AS (SELECT label FROM heirs GROUP BY label HAVING count(*) > 1),
        ages AS (SELECT history.profile_id, min(history.changed_at) AS created_at
                 FROM customers.profile_history AS history
                 WHERE history.change = 'new' AND history.profile_id IN (
                     SELECT heirs.profile_id FROM heirs JOIN rivals ON rivals.label = heirs.label)
                 GROUP BY history.profile_id)
        SELECT heirs.label, heirs.profile_id,
               row_number() OVER (PARTITION BY heirs.label
                                  ORDER BY ages.created_at, heirs.members DESC, heirs.profile_id) AS rank
        FROM heirs LEFT JOIN ages ON ages.profile_id = heirs.profile_id
        """
    )


def make_new_ids(connection: Connection, run_id: str) -> None:
    """``resolve_new (label, record_id, profile_id)``: ids for components that no old id goes with.

    An id is made from the run and the component's smallest record. Should it be taken (a run repeated under the same
    run_id can meet the same record again), it is made anew with a number behind.
    """
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_new AS
        SELECT part.label, part.record_id, 'p_' || substr(md5(? || ':' || part.record_id), 1, 16) AS profile_id
        FROM resolve_parts AS part LEFT JOIN resolve_heirs AS heir ON heir.label = part.label
        WHERE part.node = part.label AND heir.label IS NULL
        """,
        [run_id],
    )
    attempt = 0
    while _mark_taken_ids(connection):
        attempt += 1
        connection.execute(
            """
            UPDATE resolve_new SET profile_id = 'p_' || substr(md5(? || ':' || record_id || ':' || ?), 1, 16)
            WHERE label IN (SELECT label FROM resolve_taken)
            """,
            [run_id, str(attempt)],
        )


def _mark_taken_ids(connection: Connection) -> bool:
    """``resolve_taken (label)``: the new components whose id was used before or twice; whether there are any."""
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_taken AS
        SELECT new.label FROM resolve_new AS new
        JOIN customers.profile_history AS history ON history.profile_id = new.profile_id
        WHERE history.change = 'new'
        UNION
        SELECT max(label) FROM resolve_new GROUP BY profile_id HAVING count(*) > 1
        """
    )
    return connection.execute("SELECT 1 FROM resolve_taken LIMIT 1").fetchone() is not None


def assign_ids(connection: Connection) -> None:
    """``resolve_after (record_id, profile_id)`` and ``resolve_names (label, profile_id)``."""
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_names AS
        SELECT label, profile_id FROM resolve_heirs WHERE rank = 1
        UNION ALL
        SELECT label, profile_id FROM resolve_new
        """
    )
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_after AS
        SELECT part.record_id, name.profile_id
        FROM resolve_parts AS part JOIN resolve_names AS name ON name.label = part.label
        """
    )
