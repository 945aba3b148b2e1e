"""Members as the vendor has them, compared with what was acknowledged: ``drift``, one row for each difference.

Someone is there when any of the vendor's names for a member is theirs: the match value, or the vendor's own id, which
outlives a change of address.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from millstream.destinations.contract import Member
from millstream.destinations.modes import TAKEN, SyncMode
from millstream.destinations.reconciling.report import DriftReport
from millstream.destinations.sync import Sync
from millstream.state.sql import literal
from millstream.state.store import count, write_arrow

if TYPE_CHECKING:
    from millstream.state.store import Connection

_CHUNK = 10_000
_NAMES = pa.schema([("member", pa.int64()), ("match_value", pa.string()), ("external_id", pa.string())])


def table_of(members: Iterable[Member]) -> pa.Table:
    """The members, one row for each of their names; the first row of a member also has the vendor's id."""
    return pa.Table.from_batches(_batches(members), _NAMES)


def _batches(members: Iterable[Member]) -> Iterator[pa.RecordBatch]:
    rows: list[tuple[int, str | None, str | None]] = []
    for number, member in enumerate(members):
        names: list[str | None] = [value.strip().lower() for value in member.match_values]
        names = names or [None]
        rows.append((number, names[0], member.external_id))
        rows += [(number, name, None) for name in names[1:]]
        if len(rows) >= _CHUNK:
            yield _batch(rows)
            rows = []
    if rows:
        yield _batch(rows)


def _batch(rows: Sequence[tuple[int, str | None, str | None]]) -> pa.RecordBatch:
    columns = [pa.array(list(column), kind) for column, kind in zip(zip(*rows, strict=True), _NAMES.types, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=_NAMES)


def compare(connection: Connection, report: DriftReport, sync: Sync, found: pa.Table, *, beside: Sequence[str]) -> None:
    """Make ``drift`` of this sync, and count in the report.

    Args:
        connection: Open on the store.
        report: Counts go here.
        sync: What is kept in step.
        found: As ``table_of`` gives it.
        beside: Other syncs into the same audience.
    """
    write_arrow(connection, "found", found)
    _match(connection, report.sync)
    _judge_others(connection, report.sync, beside)
    out_by_us = "known.present IS FALSE AND known.member IS NOT NULL"
    missing = "known.present AND known.member IS NULL"
    if sync.mode is SyncMode.REMOVE:
        missing = "FALSE"
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE drift AS
        SELECT known.match_value, known.profile_id, 'missing' AS kind, FALSE AS there FROM known WHERE {missing}
        UNION ALL
        SELECT known.match_value, known.profile_id, 'extra', TRUE FROM known WHERE {out_by_us}
        UNION ALL
        SELECT known.match_value, known.profile_id, 'uncertain', known.member IS NOT NULL
        FROM known WHERE known.present IS NULL
        UNION ALL
        SELECT match_value, profile_id, 'extra', TRUE FROM others WHERE whose = 'ours'
        """
    )
    report.acknowledged = count(connection, "SELECT count(*) FROM known WHERE present")
    report.found = count(connection, "SELECT count(DISTINCT member) FROM found")
    kinds = dict(connection.execute("SELECT kind, count(*) FROM drift GROUP BY kind").fetchall())
    report.missing, report.extra = kinds.get("missing", 0), kinds.get("extra", 0)
    report.uncertain = kinds.get("uncertain", 0)
    whose = dict(connection.execute("SELECT whose, count(*) FROM others GROUP BY whose").fetchall())
    report.of_other_syncs, report.strangers = whose.get("other syncs", 0), whose.get("nobody", 0)
    connection.execute("DROP TABLE found; DROP TABLE known; DROP TABLE others")


def _match(connection: Connection, name: str) -> None:
    """``known``: what the sync acknowledged, each with the member who is that person, if one is there."""
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE known AS
        WITH by_value AS (
            SELECT match_value, min(member) AS member FROM found WHERE match_value IS NOT NULL GROUP BY match_value
        ), by_id AS (
            SELECT external_id, min(member) AS member FROM found WHERE external_id IS NOT NULL GROUP BY external_id
        )
        SELECT acknowledged.match_value, acknowledged.profile_id, acknowledged.present,
            coalesce(by_value.member, by_id.member) AS member, by_value.member AS member_by_value,
            by_id.member AS member_by_id
        FROM delivery.acknowledged AS acknowledged
        LEFT JOIN by_value ON by_value.match_value = lower(acknowledged.match_value)
        LEFT JOIN by_id ON by_id.external_id = acknowledged.external_id
        WHERE acknowledged.sync = ?
        """,
        [name],
    )


def _judge_others(connection: Connection, name: str, beside: Sequence[str]) -> None:
    """``others``: members whom this sync does not hold, one row each, and whose they are.

    Those whom the sync itself took out last are its own, unless another sync into the audience holds them.
    """
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE unclaimed AS
        WITH claimed AS (
            SELECT member_by_value AS member FROM known WHERE member_by_value IS NOT NULL
            UNION
            SELECT member_by_id FROM known WHERE member_by_id IS NOT NULL
        )
        SELECT found.* FROM found LEFT JOIN claimed ON claimed.member = found.member WHERE claimed.member IS NULL
        """
    )
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE others AS
        WITH sent AS (
            SELECT unclaimed.member, outcome.match_value, outcome.profile_id, outcome.operation,
                row_number() OVER (PARTITION BY unclaimed.member ORDER BY outcome.settled_at DESC) AS latest
            FROM unclaimed JOIN delivery.outcomes AS outcome ON lower(outcome.match_value) = unclaimed.match_value
            WHERE outcome.sync = ? AND outcome.status IN {TAKEN} AND outcome.operation <> 'hold'
        ), shared AS (
            {_held_by(beside)}
        )
        SELECT one.member, sent.match_value, sent.profile_id,
            CASE WHEN shared.member IS NOT NULL THEN 'other syncs' WHEN sent.operation = 'remove' THEN 'ours'
                ELSE 'nobody' END AS whose
        FROM (SELECT DISTINCT member FROM unclaimed) AS one
        LEFT JOIN sent ON sent.member = one.member AND sent.latest = 1
        LEFT JOIN shared ON shared.member = one.member
        """,
        [name],
    )
    connection.execute("DROP TABLE unclaimed")


def _held_by(syncs: Sequence[str]) -> str:
    """A select of the members of ``unclaimed`` whom one of these syncs holds."""
    if not syncs:
        return "SELECT member FROM unclaimed WHERE FALSE"
    held = f"held.sync IN ({', '.join(map(literal, syncs))}) AND held.present IS NOT FALSE"
    return f"""
            SELECT unclaimed.member FROM unclaimed
            JOIN delivery.acknowledged AS held ON lower(held.match_value) = unclaimed.match_value WHERE {held}
            UNION
            SELECT unclaimed.member FROM unclaimed
            JOIN delivery.acknowledged AS held ON held.external_id = unclaimed.external_id WHERE {held}"""


def keep(connection: Connection, name: str, *, looked_at: datetime) -> None:
    """Keep the differences that are there now; those seen before keep the time at which they were first seen."""
    connection.execute(
        """
        DELETE FROM delivery.drift AS earlier WHERE sync = $sync AND NOT EXISTS (
            SELECT 1 FROM drift WHERE drift.match_value = earlier.match_value AND drift.kind = earlier.kind
        )
        """,
        {"sync": name},
    )
    connection.execute(
        """
        INSERT INTO delivery.drift (sync, match_value, profile_id, kind, since)
        SELECT $sync, drift.match_value, min(drift.profile_id), min(drift.kind), $now FROM drift
        WHERE NOT EXISTS (
            SELECT 1 FROM delivery.drift AS earlier
            WHERE earlier.sync = $sync AND earlier.match_value = drift.match_value
        )
        GROUP BY drift.match_value
        """,
        {"sync": name, "now": looked_at},
    )
