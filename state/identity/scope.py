"""Which records have to be looked at again.

Let a component be what the joints hold together before any limit cuts it. An uncontested component is one profile; a
contested one, in which something was refused, is several, and ``customers.contested`` remembers which records it has.
What did not change still hangs together as before. So it is enough to look at the profiles and the contested components
that hold

- a record that changed, was deleted or vanished (it may have lost what joined it or what limited it),
- a record about which a decision was made or revoked, or a link drawn or withdrawn (``customers.rejoin``),
- a bearer of a value that such a record has now, or had when the value was shared (``customers.shared_bearers``),
- a bearer of a value that began or ceased to be blocked.

A value that a record has lost needs no look otherwise: where it joined, all its bearers were in one component.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from millstream.state.identity.joining import HASHED, hashed, is_empty
from millstream.state.sql import literal
from millstream.state.store import count

if TYPE_CHECKING:
    from millstream.state.store import Connection


class SeenState(NamedTuple):
    """How far the last run had come, as ``customers.resolve_state`` has it."""

    watermark: datetime | None
    at_watermark: int
    living: int
    members: int
    profiles: int
    rules_fingerprint: str


class RecordSums(NamedTuple):
    """What tells at a glance whether ``customers.records`` changed: checksums of the ids of some records.

    Counts would not do: one record that is gone and one that came make none of a difference.
    """

    newest: datetime | None
    at_newest: int
    living: int
    at_watermark: int


def read_state(connection: Connection) -> SeenState | None:
    """The state the last run left, or None before the first."""
    row = connection.execute(
        "SELECT watermark, at_watermark, records, members, profiles, rules_fingerprint FROM customers.resolve_state"
    ).fetchone()
    return None if row is None else SeenState(*row)


def sum_up_records(connection: Connection, seen: SeenState | None) -> RecordSums:
    """Sum up the records of the newest change, the living ones, and those of the change the last run ended with."""
    row = connection.execute(
        f"""
        SELECT newest, coalesce(bit_xor(CASE WHEN modelled_at = newest THEN hashed END), 0),
               coalesce(bit_xor(CASE WHEN NOT deleted THEN hashed END), 0),
               coalesce(bit_xor(CASE WHEN modelled_at = CAST(? AS TIMESTAMPTZ) THEN hashed END), 0)
        FROM (SELECT modelled_at, deleted, bit_xor({HASHED}) AS hashed
              FROM customers.records GROUP BY modelled_at, deleted) AS record
        CROSS JOIN (SELECT max(modelled_at) AS newest FROM customers.records) AS latest
        GROUP BY newest
        """,
        [seen.watermark if seen else None],
    ).fetchone()
    return RecordSums(None, 0, 0, 0) if row is None else RecordSums(*row)


def collect_changed_records(connection: Connection, seen: SeenState | None, sums: RecordSums) -> None:
    """``resolve_changed (record_id, gone)``, ``resolve_knew (record_id)`` and ``resolve_rejoin (record_id)``.

    The first has the records that changed since the last run, were deleted or vanished; the second those of them that
    were members; the third all of them and those that decisions and links are about. The first two are empty where
    there was no last run: then all is looked at.
    """
    changed = _has_changed(seen, sums)
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE resolve_changed AS
        SELECT record_id, deleted AS gone FROM customers.records WHERE {changed}
        """
    )
    _collect_known(connection)
    if seen is not None and not _adds_up(connection, seen, sums):
        _add_unseen_records(connection)
        _collect_known(connection)
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_rejoin AS
        SELECT record_id FROM resolve_changed
        UNION
        SELECT record_id FROM customers.rejoin
        """
    )


def _collect_known(connection: Connection) -> None:
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_knew AS
        SELECT record_id FROM customers.members
        WHERE record_id IN (SELECT record_id FROM resolve_changed WHERE record_id IS NOT NULL)
        """
    )


def _has_changed(seen: SeenState | None, sums: RecordSums) -> str:
    """The condition on ``customers.records`` by which a record changed since the last run."""
    if seen is None:
        return "FALSE"
    if seen.watermark is None:
        return "TRUE"
    # Records may arrive under the very time stamp the last run ended with.
    sign = ">=" if sums.at_watermark != seen.at_watermark else ">"
    return f"modelled_at {sign} TIMESTAMPTZ {literal(seen.watermark.isoformat())}"


def _adds_up(connection: Connection, seen: SeenState, sums: RecordSums) -> bool:
    """Whether those who lived at the last run are those who live now, but for what is known to have changed."""
    came = _sum_up(connection, "resolve_changed WHERE NOT gone")
    return sums.living ^ came ^ _sum_up(connection, "resolve_knew") == seen.living


def _sum_up(connection: Connection, relation: str) -> int:
    return count(connection, f"SELECT coalesce(bit_xor({HASHED}), 0) FROM {relation}")


def _add_unseen_records(connection: Connection) -> None:
    """Add to ``resolve_changed`` what changed without a newer time stamp.

    Members that vanished, and what a clock that is slow wrote: living records that are no members yet, and members that
    do not live any more.
    """
    connection.execute(
        """
        INSERT INTO resolve_changed
        SELECT coalesce(record.record_id, member.record_id), record.record_id IS NULL
        FROM customers.members AS member
        FULL JOIN (SELECT record_id FROM customers.records WHERE NOT deleted) AS record
          ON record.record_id = member.record_id
        WHERE (member.record_id IS NULL OR record.record_id IS NULL)
          AND coalesce(record.record_id, member.record_id) NOT IN (SELECT record_id FROM resolve_changed)
        """
    )


def take_all_records(connection: Connection) -> None:
    """The scope of a full run: ``resolve_before`` holds all members, ``resolve_nodes`` all living records.

    ``resolve_held (record_id, kind, value)`` is a view of what may join them. The nodes are numbered in the order of
    their ids, which decides who keeps a profile's id; where nobody has one yet, they need not be sorted.
    """
    order = "" if is_empty(connection, "customers.members") else "ORDER BY record_id"
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE resolve_before AS SELECT record_id, profile_id FROM customers.members"
    )
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE resolve_nodes AS
        SELECT row_number() OVER ({order}) AS node, record_id
        FROM customers.records WHERE NOT deleted
        """
    )
    connection.execute("CREATE OR REPLACE TEMP VIEW resolve_held AS SELECT record_id, kind, value FROM resolve_joining")


def take_touched_records(connection: Connection) -> None:
    """The scope of an incremental run.

    Reads ``resolve_rejoin``, ``resolve_known`` and ``resolve_touched`` (see ``touched.py``). Writes

    - ``resolve_before (record_id, profile_id)``: the members of affected profiles;
    - ``resolve_nodes (node, record_id)``: those of them that still live, and the new records, numbered in the order of
      their ids. Whoever lives is one or the other;
    - ``resolve_held (record_id, kind, value)``: what may join them, and a few others whose id has the same hash.
    """
    _take_contested_components(connection)
    # IS NOT NULL: see ``touched.py``.
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_before AS
        SELECT record_id, profile_id FROM customers.members
        WHERE profile_id IN (
            SELECT profile_id FROM resolve_known
            WHERE profile_id IS NOT NULL AND record_id IN (SELECT record_id FROM resolve_touched)
        )
        """
    )
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_nodes AS
        SELECT row_number() OVER (ORDER BY record_id) AS node, record_id
        FROM (SELECT record_id FROM resolve_before
              UNION
              SELECT record_id FROM resolve_changed WHERE NOT gone) AS affected
        WHERE record_id NOT IN (SELECT record_id FROM resolve_changed WHERE gone)
        """
    )
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE resolve_held AS
        SELECT record_id, kind, value FROM resolve_joining
        WHERE record_hash IN (SELECT {hashed("record_id")} FROM resolve_nodes WHERE record_id IS NOT NULL)
        """
    )


def _take_contested_components(connection: Connection) -> None:
    """Add the records that are contested together with a touched one, or with another member of its profile."""
    if is_empty(connection, "customers.contested"):
        return
    connection.execute(
        """
        INSERT INTO resolve_touched
        SELECT record_id FROM customers.contested
        WHERE component IN (SELECT component FROM customers.contested
                            WHERE record_id IN (SELECT record_id FROM resolve_touched))
          AND record_id NOT IN (SELECT record_id FROM resolve_touched)
        """
    )
