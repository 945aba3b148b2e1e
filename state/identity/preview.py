"""What a run would change: profiles, households and values before and after it, compared.

The caller keeps a picture of the store, lets the real steps work in a transaction that is rolled back, and compares
(``Store.rehearsal``). So the answer is what would be written, and nothing is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from millstream.state.identity.changes import Cause, Merge, Preview, ProfileSize, Split, ValueTurn
from millstream.state.identity.circumstances import WAITING
from millstream.state.store import count

if TYPE_CHECKING:
    from millstream.state.store import Connection

LONGEST_LIST = 10
"""How many profiles, merges, splits and values a preview names; all are counted."""

_COUNTS = {
    "records": "SELECT count(*) FROM customers.members",
    "profiles": "SELECT count(DISTINCT profile_id) FROM customers.members",
    "blocked_values": "SELECT count(*) FROM customers.blocked_values",
    "shared_values": "SELECT count(*) FROM customers.shared_values",
    "refused_joins": "SELECT count(*) FROM customers.refused_joins",
    "households": "SELECT count(DISTINCT household_id) FROM customers.household_members",
    "suggestions": f"SELECT count(*) FROM ({WAITING}) AS waiting",
}


@dataclass(frozen=True)
class Picture:
    """The counts of a moment; its members, identifiers and values are kept in temporary tables."""

    counts: Mapping[str, int]


def take_picture(connection: Connection) -> Picture:
    """Keep how things are, in temporary tables ``preview_*``; the tables of identity must be there."""
    for name, select in (
        ("members", "SELECT record_id, profile_id FROM customers.members"),
        ("identifiers", "SELECT record_id, kind, value FROM customers.identifiers WHERE merges"),
        ("values", _VALUES),
    ):
        connection.execute(f"CREATE OR REPLACE TEMP TABLE preview_{name} AS {select}")
    return Picture(_counts(connection))


# Values that do not simply join their bearers, with what is the matter with them.
_VALUES = """
    SELECT kind, value, records, 'blocked: ' || reason AS state FROM customers.blocked_values
    UNION ALL
    SELECT kind, value, records, 'shared by ' || CAST(groups AS TEXT) || ', by ' || trait
    FROM customers.shared_values
"""


def compare(connection: Connection, before: Picture, *, run_id: str) -> Preview:
    """Compare how things are with a picture taken before, and drop the picture.

    Args:
        connection: The one that the picture was taken on.
        before: The picture.
        run_id: The run that lies between; its history tells what caused merges and splits.
    """
    _match_parts(connection)
    preview = Preview(
        before=before.counts,
        after=_counts(connection),
        merged=count(connection, "SELECT count(*) FROM preview_ids WHERE records_after = 0 AND parts > 0"),
        split=count(connection, "SELECT count(*) FROM preview_ids WHERE parts > 1"),
        appeared=count(connection, "SELECT count(*) FROM preview_ids WHERE records_before = 0"),
        vanished=count(connection, "SELECT count(*) FROM preview_ids WHERE parts = 0 AND records_before > 0"),
        largest=_largest(connection),
        merges=_merges(connection, run_id),
        splits=_splits(connection, run_id),
        turned=count(connection, f"SELECT count(*) FROM ({_TURNED}) AS turned"),
        values=_turned_values(connection),
    )
    for name in ("members", "identifiers", "values", "parts", "ids"):
        connection.execute(f"DROP TABLE preview_{name}")
    return preview


def _match_parts(connection: Connection) -> None:
    """``preview_parts (was, now, records)`` and ``preview_ids``: each id with its size before and after.

    ``parts`` counts the profiles in which an id's records are afterwards, ``sources`` those they come from.
    """
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE preview_parts AS
        SELECT before.profile_id AS was, after.profile_id AS now, count(*) AS records
        FROM preview_members AS before JOIN customers.members AS after ON after.record_id = before.record_id
        GROUP BY before.profile_id, after.profile_id
        """
    )
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE preview_ids AS
        WITH sizes AS (
            SELECT profile_id, count(*) AS before, 0 AS after FROM preview_members GROUP BY profile_id
            UNION ALL
            SELECT profile_id, 0, count(*) FROM customers.members GROUP BY profile_id
        ),
        ids AS (SELECT profile_id, sum(before) AS before, sum(after) AS after FROM sizes GROUP BY profile_id),
        parted AS (SELECT was, count(*) AS parts FROM preview_parts GROUP BY was),
        composed AS (SELECT now, count(*) AS sources FROM preview_parts GROUP BY now)
        SELECT ids.profile_id, CAST(ids.before AS BIGINT) AS records_before, CAST(ids.after AS BIGINT) AS records_after,
               coalesce(parted.parts, 0) AS parts, coalesce(composed.sources, 0) AS sources
        FROM ids
        LEFT JOIN parted ON parted.was = ids.profile_id
        LEFT JOIN composed ON composed.now = ids.profile_id
        """
    )


def _largest(connection: Connection) -> tuple[ProfileSize, ...]:
    rows = connection.execute(
        """
        SELECT profile_id, records_after, records_before, sources FROM preview_ids
        WHERE records_after > 0 ORDER BY records_after DESC, profile_id LIMIT ?
        """,
        [LONGEST_LIST],
    ).fetchall()
    return tuple(ProfileSize(*row) for row in rows)


def _merges(connection: Connection, run_id: str) -> tuple[Merge, ...]:
    """The profiles to which most records come from others."""
    rows = connection.execute(
        """
        SELECT into_one.profile_id, into_one.sources, into_one.records_after
        FROM preview_ids AS into_one
        JOIN (SELECT now, max(records) AS most FROM preview_parts GROUP BY now) AS part
          ON part.now = into_one.profile_id
        WHERE into_one.sources > 1
        ORDER BY into_one.records_after - part.most DESC, into_one.profile_id LIMIT ?
        """,
        [LONGEST_LIST],
    ).fetchall()
    return tuple(
        Merge(profile_id, profiles, records, _causes(connection, profile_id, run_id, ("merge",)))
        for profile_id, profiles, records in rows
    )


def _splits(connection: Connection, run_id: str) -> tuple[Split, ...]:
    """The profiles that lose most records."""
    rows = connection.execute(
        """
        SELECT parted.profile_id, parted.parts, parted.records_before, coalesce(kept.records, 0)
        FROM preview_ids AS parted
        LEFT JOIN preview_parts AS kept ON kept.was = parted.profile_id AND kept.now = parted.profile_id
        WHERE parted.parts > 1
        ORDER BY parted.records_before - coalesce(kept.records, 0) DESC, parted.profile_id LIMIT ?
        """,
        [LONGEST_LIST],
    ).fetchall()
    return tuple(
        Split(profile_id, parts, records, kept, _split_causes(connection, profile_id, run_id))
        for profile_id, parts, records, kept in rows
    )


def _causes(connection: Connection, profile_id: str, run_id: str, changes: tuple[str, ...]) -> tuple[Cause, ...]:
    """What the run's history says, the most frequent first."""
    marks = ", ".join("?" for _ in changes)
    rows = connection.execute(
        f"""
        SELECT kind, value, reason FROM customers.profile_history
        WHERE run_id = ? AND profile_id = ? AND change IN ({marks})
        GROUP BY kind, value, reason ORDER BY count(*) DESC, kind, value, reason LIMIT ?
        """,
        [run_id, profile_id, *changes, LONGEST_LIST],
    ).fetchall()
    return tuple(Cause(*row) for row in rows)


def _split_causes(connection: Connection, profile_id: str, run_id: str) -> tuple[Cause, ...]:
    """As the history has it; where it names no value, those by which records were joined that are now apart."""
    said = _causes(connection, profile_id, run_id, ("split", "unmerge"))
    if any(cause.kind for cause in said):
        return said
    rows = connection.execute(
        """
        SELECT identifier.kind, identifier.value
        FROM preview_members AS before
        JOIN customers.members AS after ON after.record_id = before.record_id
        JOIN preview_identifiers AS identifier ON identifier.record_id = before.record_id
        LEFT JOIN preview_values AS aside
          ON aside.kind = identifier.kind AND aside.value = identifier.value AND aside.state LIKE 'blocked%'
        WHERE before.profile_id = ? AND aside.kind IS NULL
        GROUP BY identifier.kind, identifier.value HAVING count(DISTINCT after.profile_id) > 1
        ORDER BY count(DISTINCT after.profile_id) DESC, identifier.kind, identifier.value LIMIT ?
        """,
        [profile_id, LONGEST_LIST],
    ).fetchall()
    reason = said[0].reason if said else None
    return tuple(Cause(kind, value, reason) for kind, value in rows) or said


# Values whose state changed in kind; that a shared value has one group more is no turn.
_TURNED = f"""
    SELECT coalesce(after.kind, before.kind) AS kind, coalesce(after.value, before.value) AS value,
           coalesce(after.records, before.records) AS records, before.state AS was, after.state AS becomes
    FROM preview_values AS before
    FULL JOIN ({_VALUES}) AS after ON after.kind = before.kind AND after.value = before.value
    WHERE before.kind IS NULL OR after.kind IS NULL OR substr(before.state, 1, 6) <> substr(after.state, 1, 6)
"""


def _turned_values(connection: Connection) -> tuple[ValueTurn, ...]:
    rows = connection.execute(
        f"""
        SELECT kind, value, records, was, becomes FROM ({_TURNED}) AS turned
        ORDER BY records DESC, kind, value LIMIT ?
        """,
        [LONGEST_LIST],
    ).fetchall()
    return tuple(ValueTurn(*row) for row in rows)


def _counts(connection: Connection) -> dict[str, int]:
    return {name: count(connection, query) for name, query in _COUNTS.items()}
