"""Which records have to be looked at again.

Old profiles are closed under the identifiers of records that did not change. So it is enough to look at the
members of those profiles that hold a changed record, share a value with one, or hold a value that began or ceased
to be blocked: no chain can lead from them to any other profile.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from millstream.state.store import Connection


class SeenState(NamedTuple):
    """How far the last run had come, as ``customers.resolve_state`` has it."""

    watermark: datetime | None
    at_watermark: int
    records: int
    members: int
    profiles: int
    rules_fingerprint: str


class RecordCounts(NamedTuple):
    """What tells at a glance whether ``customers.records`` changed."""

    newest: datetime | None
    at_newest: int
    records: int
    at_watermark: int


def read_state(connection: Connection) -> SeenState | None:
    """The state the last run left, or None before the first."""
    row = connection.execute(
        "SELECT watermark, at_watermark, records, members, profiles, rules_fingerprint FROM customers.resolve_state"
    ).fetchone()
    return None if row is None else SeenState(*row)


def count_records(connection: Connection, seen: SeenState | None) -> RecordCounts:
    """Count the records, in all, of the newest change and of the change the last run ended with."""
    row = connection.execute(
        """
        SELECT newest, count(CASE WHEN modelled_at = newest THEN 1 END), count(*),
               count(CASE WHEN modelled_at = CAST(? AS TIMESTAMPTZ) THEN 1 END)
        FROM customers.records CROSS JOIN (SELECT max(modelled_at) AS newest FROM customers.records) AS latest
        GROUP BY newest
        """,
        [seen.watermark if seen else None],
    ).fetchone()
    return RecordCounts(None, 0, 0, 0) if row is None else RecordCounts(*row)


def collect_changed_records(connection: Connection, seen: SeenState | None, counts: RecordCounts) -> None:
    """``resolve_changed (record_id, gone)``: records that changed since the last run, were deleted or vanished."""
    watermark = seen.watermark if seen else None
    # Records may arrive under the very time stamp the last run ended with.
    same_again = seen is not None and counts.at_watermark != seen.at_watermark
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE resolve_changed AS
        SELECT record_id, deleted AS gone FROM customers.records
        WHERE CAST(? AS TIMESTAMPTZ) IS NULL OR modelled_at {">=" if same_again else ">"} CAST(? AS TIMESTAMPTZ)
        UNION ALL
        SELECT member.record_id, TRUE AS gone
        FROM customers.members AS member
        LEFT JOIN customers.records AS record ON record.record_id = member.record_id
        WHERE record.record_id IS NULL
        """,
        [watermark, watermark],
    )


def take_all_records(connection: Connection) -> None:
    """The scope of a full run: ``resolve_before`` holds all members, ``resolve_nodes`` all living records."""
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE resolve_before AS SELECT record_id, profile_id FROM customers.members"
    )
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_nodes AS
        SELECT row_number() OVER (ORDER BY record_id) AS node, record_id
        FROM customers.records WHERE NOT deleted
        """
    )


def take_touched_records(connection: Connection) -> None:
    """The scope of an incremental run.

    Reads ``resolve_changed`` and ``resolve_touched`` (see ``blocking.py``). Writes ``resolve_before (record_id,
    profile_id)``: the members of affected profiles; and ``resolve_nodes (node, record_id)``: them and the new
    records, numbered in the order of their ids.
    """
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_before AS
        SELECT record_id, profile_id FROM customers.members
        WHERE profile_id IN (
            SELECT profile_id FROM customers.members
            WHERE record_id IN (SELECT record_id FROM resolve_changed
                                UNION
                                SELECT record_id FROM resolve_touched)
        )
        """
    )
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_nodes AS
        SELECT row_number() OVER (ORDER BY record_id) AS node, record_id
        FROM (SELECT record_id FROM resolve_before
              UNION
              SELECT record_id FROM resolve_changed
              UNION
              SELECT record_id FROM resolve_touched) AS affected
        WHERE record_id NOT IN (SELECT record_id FROM resolve_changed WHERE gone)
        """
    )
