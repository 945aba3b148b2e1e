"""Guards: what stops a sync before its first request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING

import orjson

from millstream.destinations.modes import SyncMode
from millstream.destinations.planning.report import PlanReport
from millstream.destinations.sync import Sync
from millstream.state.sql import json_path, literal
from millstream.state.store import count

if TYPE_CHECKING:
    from millstream.state.store import Connection

GUARDS = ("removals", "size", "missing", "types", "destination", "audience")
"""Names of the guards: taking out too many, an unusual number of people, required fields, changed types, another
destination and (looked at when the vendor is asked for it, see ``destinations/same_audience.py``) another audience."""

SIZES_LOOKED_AT = 10
"""Earlier runs whose number of people gives the median."""
FEWEST_SIZES = 3
SMALLEST_LOOKED_AT = 100
"""Below this many people, sizes jump without meaning anything."""


def look_at_guards(
    connection: Connection, sync: Sync, report: PlanReport, columns: Mapping[str, str], required: Sequence[str]
) -> None:
    """Note in the report what a guard has against the plan.

    Args:
        connection: Open on the store, with ``desired``.
        sync: What the sync is.
        report: The plan so far; reasons go here.
        columns: The mapped columns and their types.
        required: Destination fields that must have a value.
    """
    reasons = {
        "removals": _removals(connection, sync, report),
        "size": _size(connection, sync, report),
        "missing": _missing(connection, sync, report, required),
        "types": _types(connection, sync, report, columns),
        "destination": _destination(connection, sync, report),
    }
    report.tripped = {name: reason for name, reason in reasons.items() if reason}
    report.guards += report.tripped.values()


def _removals(connection: Connection, sync: Sync, report: PlanReport) -> str | None:
    if sync.mode is SyncMode.REMOVE or not report.removes:
        return None
    held = count(connection, "SELECT count(*) FROM delivery.acknowledged WHERE sync = ? AND present", [report.sync])
    guards = sync.guards
    if not report.wanted and not guards.allow_empty:
        return f"The source is empty, and {report.removes} people would be taken out."
    if report.removes > guards.removals_always_allowed and report.removes > guards.largest_removal_share * held:
        return (
            f"{report.removes} of {held} people would be taken out; at most "
            f"{guards.largest_removal_share:.0%} are allowed in one run."
        )
    return None


def _size(connection: Connection, sync: Sync, report: PlanReport) -> str | None:
    """The number of people against its own history; a shrinking one is what the removal guard looks at."""
    allowed = sync.guards.largest_size_change
    if allowed is None:
        return None
    sizes = [
        int(size)
        for (size,) in connection.execute(
            "SELECT wanted FROM delivery.runs WHERE sync = ? AND status <> 'stopped' ORDER BY started_at DESC "
            f"LIMIT {SIZES_LOOKED_AT}",
            [report.sync],
        ).fetchall()
    ]
    if len(sizes) < FEWEST_SIZES:
        return None
    usual = median(sizes)
    if max(usual, report.wanted) < SMALLEST_LOOKED_AT or abs(report.wanted - usual) <= allowed * max(usual, 1):
        return None
    return (
        f"The destination should hold {report.wanted} people, and {usual:.0f} were usual in the last {len(sizes)} "
        f"runs; a change of at most {allowed:.0%} is allowed."
    )


def _missing(connection: Connection, sync: Sync, report: PlanReport, required: Sequence[str]) -> str | None:
    for field in required:
        if field not in sync.fields or not report.wanted:
            continue
        path = literal(json_path(field))
        missing = count(
            connection,
            f"SELECT count(*) FROM desired WHERE coalesce(json_extract_string(CAST(fields AS JSON), {path}), '') = ''",
        )
        if missing > sync.guards.largest_missing_share * report.wanted:
            return (
                f"{missing} of {report.wanted} people have no value for {field}, which is required; at most "
                f"{sync.guards.largest_missing_share:.0%} may lack one."
            )
    return None


def _types(connection: Connection, sync: Sync, report: PlanReport, columns: Mapping[str, str]) -> str | None:
    if sync.guards.schema_changes == "allow":
        return None
    row = connection.execute("SELECT columns FROM delivery.syncs WHERE sync = ?", [report.sync]).fetchone()
    if row is None:
        return None
    before: Mapping[str, str] = orjson.loads(row[0])
    changed = [
        f"{column} was {before[column]} and is {kind}"
        for column, kind in columns.items()
        if before.get(column, kind) != kind
    ]
    return f"Mapped columns changed their type since the last run: {'; '.join(changed)}." if changed else None


def _destination(connection: Connection, sync: Sync, report: PlanReport) -> str | None:
    """Ids that one vendor gave are other people's at another, and whoever one holds is not known to be at the other."""
    if sync.mode is SyncMode.REPLACE:
        return None
    row = connection.execute(
        "SELECT destination FROM delivery.runs WHERE sync = ? AND status <> 'stopped' ORDER BY started_at DESC LIMIT 1",
        [report.sync],
    ).fetchone()
    if row is None or row[0] == sync.destination:
        return None
    if not count(connection, "SELECT count(*) FROM delivery.acknowledged WHERE sync = ?", [report.sync]):
        return None
    return (
        f"The sync goes to {sync.destination}, and what was acknowledged is of {row[0]}: give it another name, unless "
        "both are the same account."
    )
