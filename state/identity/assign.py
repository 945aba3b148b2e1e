"""Which id each part goes by, so that ids stay the same as long as the person does.

An old id goes with the part that holds most of its old members. Where several old ids meet, the oldest survives and the
others become aliases. A part that no old id goes with and that consists mostly of records that came in under an id that
was merged away gets that id back; any other gets a new, opaque one. As only old members, ages and record ids decide,
building everything anew changes no id.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from millstream.state.identity.joining import HASHED, is_empty
from millstream.state.identity.overlap import count_overlap

if TYPE_CHECKING:
    from millstream.state.store import Connection


def name_parts(connection: Connection, run_id: str) -> None:
    """Give each part an id: ``resolve_names (label, profile_id)``, ``resolve_after (record_id, profile_id)``.

    On the way: ``resolve_overlap``, ``resolve_heirs``, ``resolve_revived`` and ``resolve_new``. New ids are proposed
    first, so that one look into the history tells both which id is the oldest and which is taken.
    """
    count_overlap(connection)
    _find_rivals(connection)
    _propose_new_ids(connection, run_id, _NAMELESS)
    _look_up_births(connection, "SELECT profile_id FROM resolve_rivals UNION ALL SELECT profile_id FROM resolve_new")
    _choose_survivors(connection)
    _give_back(connection)
    connection.execute("DELETE FROM resolve_new WHERE label IN (SELECT label FROM resolve_revived)")
    _replace_taken_ids(connection, run_id)
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_names AS
        SELECT label, profile_id FROM resolve_heirs WHERE rank = 1
        UNION ALL
        SELECT label, profile_id FROM resolve_revived
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


def name_first_parts(connection: Connection, run_id: str) -> None:
    """Give each part a new id where nobody in scope was a member before: ``resolve_new``."""
    _propose_new_ids(connection, run_id, _ALL)
    _look_up_births(connection, "SELECT profile_id FROM resolve_new")
    _replace_taken_ids(connection, run_id)


def _find_rivals(connection: Connection) -> None:
    """``resolve_rivals (profile_id)``: old ids that meet in one part; only of these does the age matter."""
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_rivals AS
        SELECT profile_id FROM resolve_overlap
        WHERE rank = 1
          AND label IN (SELECT label FROM resolve_overlap WHERE rank = 1 GROUP BY label HAVING count(*) > 1)
        """
    )


def _look_up_births(connection: Connection, asked: str) -> None:
    """``resolve_births (profile_id, created_at)``: of the ids asked about, those that were ever made, and when."""
    connection.execute("CREATE OR REPLACE TEMP TABLE resolve_births (profile_id TEXT, created_at TIMESTAMPTZ)")
    if is_empty(connection, "customers.profile_history"):
        return
    # IS NOT NULL: see ``touched.py``. The change is no condition, as it would be read of all history first.
    connection.execute(
        f"""
        INSERT INTO resolve_births
        SELECT profile_id, min(CASE WHEN change = 'new' THEN changed_at END) FROM customers.profile_history
        WHERE profile_id IN (SELECT profile_id FROM ({asked}) AS asked WHERE profile_id IS NOT NULL)
        GROUP BY profile_id HAVING min(CASE WHEN change = 'new' THEN changed_at END) IS NOT NULL
        """
    )


def _choose_survivors(connection: Connection) -> None:
    """``resolve_heirs (label, profile_id, rank)``: rank 1 is the id that survives."""
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_heirs AS
        SELECT heir.label, heir.profile_id,
               row_number() OVER (PARTITION BY heir.label
                                  ORDER BY birth.created_at, heir.members DESC, heir.profile_id) AS rank
        FROM resolve_overlap AS heir LEFT JOIN resolve_births AS birth ON birth.profile_id = heir.profile_id
        WHERE heir.rank = 1
        """
    )


def _give_back(connection: Connection) -> None:
    """``resolve_revived (label, profile_id)``: parts that go by an id that was merged away.

    More than half of the part's records came in under that id, with the profile that it now stands for; of those that a
    decision by hand names, where there are such. If several ids brought them, the one that brought the fewest others;
    of several parts, the one with most of its records.
    """
    connection.execute("CREATE OR REPLACE TEMP TABLE resolve_revived (label BIGINT, profile_id TEXT)")
    if is_empty(connection, "customers.merged_members") or is_empty(connection, "resolve_overlap WHERE rank > 1"):
        return
    connection.execute(_GIVE_BACK)


_GIVE_BACK = """
INSERT INTO resolve_revived
WITH nameless AS (
    SELECT part.label, part.record_id, named.record_id IS NOT NULL AS named
    FROM resolve_parts AS part
    LEFT JOIN resolve_heirs AS heir ON heir.label = part.label
    LEFT JOIN resolve_named AS named ON named.record_id = part.record_id
    WHERE heir.label IS NULL
),
apart AS (
    SELECT label, record_id FROM nameless
    WHERE named OR label NOT IN (SELECT label FROM nameless WHERE named)
),
sizes AS (SELECT label, count(*) AS records FROM apart GROUP BY label),
brought AS (
    SELECT apart.label, alias.alias_id, count(*) AS records
    FROM apart
    JOIN resolve_before AS before ON before.record_id = apart.record_id
    JOIN customers.merged_members AS merged ON merged.record_id = apart.record_id
    JOIN customers.profile_aliases AS alias
      ON alias.alias_id = merged.from_id AND alias.profile_id = before.profile_id
    GROUP BY apart.label, alias.alias_id
),
totals AS (
    SELECT from_id, count(*) AS records FROM customers.merged_members
    WHERE from_id IN (SELECT alias_id FROM brought) GROUP BY from_id
),
wanted AS (
    SELECT brought.label, brought.alias_id, brought.records,
           row_number() OVER (PARTITION BY brought.label
                              ORDER BY brought.records DESC, totals.records, brought.alias_id) AS rank
    FROM brought
    JOIN sizes ON sizes.label = brought.label
    JOIN totals ON totals.from_id = brought.alias_id
    WHERE brought.records * 2 > sizes.records
),
claims AS (
    SELECT label, alias_id, row_number() OVER (PARTITION BY alias_id ORDER BY records DESC, label) AS claim
    FROM wanted WHERE rank = 1
)
SELECT label, alias_id FROM claims WHERE claim = 1
"""


_NAMELESS = """
resolve_parts AS part WHERE label NOT IN (SELECT label FROM resolve_overlap WHERE rank = 1)
"""
_ALL = """
(SELECT coalesce(component.label, node.node) AS label, node.record_id
 FROM resolve_nodes AS node LEFT JOIN resolve_labels AS component ON component.node = node.node) AS part
"""


def _propose_new_ids(connection: Connection, run_id: str, nameless: str) -> None:
    """``resolve_new (label, hashed, profile_id)``: ids for parts that no old id goes with.

    An id is made from the run and one of the part's records, whichever order they came in.
    """
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE resolve_new AS
        SELECT label, hashed, 'p_' || substr(md5(? || ':' || CAST(hashed AS TEXT)), 1, 16) AS profile_id
        FROM (SELECT label, min({HASHED}) AS hashed FROM {nameless} GROUP BY label) AS nameless
        """,
        [run_id],
    )


def _replace_taken_ids(connection: Connection, run_id: str) -> None:
    """Make ids of ``resolve_new`` anew, with a number behind, as long as any was used before or is there twice.

    A run repeated under the same run_id can meet the same record again.
    """
    attempt = 0
    while _mark_taken_ids(connection):
        attempt += 1
        connection.execute(
            """
            UPDATE resolve_new SET profile_id = 'p_' || substr(md5(? || ':' || CAST(hashed AS TEXT) || ':' || ?), 1, 16)
            WHERE label IN (SELECT label FROM resolve_taken)
            """,
            [run_id, str(attempt)],
        )
        _look_up_births(connection, "SELECT profile_id FROM resolve_new")


def _mark_taken_ids(connection: Connection) -> bool:
    """``resolve_taken (label)``: the new parts whose id was made before or twice; whether there are any."""
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_taken AS
        SELECT max(label) AS label FROM resolve_new GROUP BY profile_id HAVING count(*) > 1
        UNION
        SELECT new.label FROM resolve_new AS new JOIN resolve_births AS birth ON birth.profile_id = new.profile_id
        """
    )
    return not is_empty(connection, "resolve_taken")
