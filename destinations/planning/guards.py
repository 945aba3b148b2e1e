"""Guards: what stops a sync before its first request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING

import orjson

from millstream.destinations.modes import SyncMode
from millstream.destinations.planning.last_plan import LastPlan, planned_destination
from millstream.destinations.planning.report import PlanReport
from millstream.destinations.sync import Sync
from millstream.state.amounts import people_counted
from millstream.state.store import count

if TYPE_CHECKING:
    from millstream.state.store import Connection

GUARDS = ("removals", "size", "missing", "types", "match", "destination", "audience")
"""Names of the guards: taking out too many, an unusual number of people, required fields, changed types, another match
key, another destination, another audience (for which the vendor is asked, too: ``destinations/same_audience.py``)."""

SIZES_LOOKED_AT = 10
"""Earlier runs whose number of people gives the median."""
FEWEST_SIZES = 3
SMALLEST_LOOKED_AT = 100
"""Below this many people, sizes jump without meaning anything."""


def look_at_guards(
    connection: Connection, sync: Sync, report: PlanReport, last: LastPlan | None, required: Sequence[str]
) -> None:
    """Note in the report what a guard has against the plan.

    Args:
        connection: Open on the store, with ``desired``.
        sync: What the sync is.
        report: The plan so far; reasons go here.
        last: What the sync was when it was last planned.
        required: Destination fields that must have a value.
    """
    reasons = {
        "removals": _removals(connection, sync, report),
        "size": _size(connection, sync, report),
        "missing": _missing(connection, sync, report, required),
        "types": _types(sync, report, last),
        "match": _match(connection, sync, report, last),
        "destination": _destination(connection, sync, report, last),
        "audience": _audience(connection, sync, report, last),
    }
    report.tripped = {name: reason for name, reason in reasons.items() if reason}
    report.guards += report.tripped.values()


def _removals(connection: Connection, sync: Sync, report: PlanReport) -> str | None:
    if sync.mode is SyncMode.REMOVE or not report.removes:
        return None
    held = count(connection, "SELECT count(*) FROM delivery.acknowledged WHERE sync = ? AND present", [report.sync])
    guards = sync.guards
    if not report.wanted and not guards.allow_empty:
        return f"The source is empty, and {people_counted(report.removes)} would be taken out."
    if report.removes > guards.removals_always_allowed and report.removes > guards.largest_removal_share * held:
        return (
            f"{report.removes:,} of {people_counted(held)} would be taken out; at most "
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
    usual, last = median(sizes), sizes[0]
    if max(usual, report.wanted) < SMALLEST_LOOKED_AT or not _jumps(report.wanted, usual, allowed):
        return None
    if _jumps(last, usual, allowed) and not _jumps(report.wanted, last, allowed):
        return None  # somebody let it through last time
    return (
        f"The destination should hold {people_counted(report.wanted)}, and {usual:,.0f} were usual in the last "
        f"{len(sizes)} runs; a change of at most {allowed:.0%} is allowed."
    )


def _jumps(size: int, usual: float, allowed: float) -> bool:
    return abs(size - usual) > allowed * max(usual, 1)


def _missing(connection: Connection, sync: Sync, report: PlanReport, required: Sequence[str]) -> str | None:
    for number, field in enumerate(required if report.wanted else ()):
        missing = count(connection, f"SELECT count(*) FROM desired WHERE lacks_{number}")
        if missing > sync.guards.largest_missing_share * report.wanted:
            return (
                f"{field} is required and has no value for {missing:,} of {people_counted(report.wanted)}; at most "
                f"{sync.guards.largest_missing_share:.0%} may lack one."
            )
    return None


def _types(sync: Sync, report: PlanReport, last: LastPlan | None) -> str | None:
    if last is None or sync.guards.schema_changes == "allow":
        return None
    before: Mapping[str, str] = orjson.loads(last.columns)
    changed = [
        f"{column} was {before[column]} and is {kind}"
        for column, kind in report.columns.items()
        if before.get(column, kind) != kind
    ]
    return f"Mapped columns changed their type since the last run: {'; '.join(changed)}." if changed else None


def _match(connection: Connection, sync: Sync, report: PlanReport, last: LastPlan | None) -> str | None:
    """By another key nobody is known: all are sent anew, and who was sent before is found only by the vendor's ids."""
    if last is None or last.matched_by is None or sync.mode is SyncMode.REPLACE:
        return None
    before: Mapping[str, str] = orjson.loads(last.matched_by)
    if before == sync.match or (before.keys() == sync.match.keys() and not report.adds and not report.removes):
        return None
    known = count(connection, "SELECT count(*) FROM delivery.acknowledged WHERE sync = ?", [report.sync])
    if not known:
        return None
    return (
        f"People are matched by {_said(sync.match)} now, and who is known to be there ({people_counted(known)}) by "
        f"{_said(before)}: {people_counted(report.adds)} would be sent anew, and {people_counted(report.removes)} "
        "taken out, though they may be the same. Give the sync another name, unless that is what you want."
    )


def _said(match: Mapping[str, str]) -> str:
    return ", ".join(f"{key} (column {column})" for key, column in match.items())


def _destination(connection: Connection, sync: Sync, report: PlanReport, last: LastPlan | None) -> str | None:
    """Ids that one vendor gave are other people's at another, and whoever one holds is not known to be at the other."""
    if sync.mode is SyncMode.REPLACE:
        return None
    before = planned_destination(connection, report.sync, last)
    if before in (None, sync.destination):
        return None
    if not count(connection, "SELECT count(*) FROM delivery.acknowledged WHERE sync = ?", [report.sync]):
        return None
    return (
        f"The sync goes to {sync.destination}, and what was acknowledged is of {before}: give it another name, unless "
        "both are the same account."
    )


def _audience(connection: Connection, sync: Sync, report: PlanReport, last: LastPlan | None) -> str | None:
    """Nobody who was acknowledged would be put into it. Where there is something to send, the vendor knows better."""
    if last is None or last.audience is None or sync.audience_name is None or sync.mode is SyncMode.REPLACE:
        return None
    before: str | None = orjson.loads(last.audience)
    if before == sync.audience_name or (before is not None and report.operations):
        return None
    if not count(connection, "SELECT count(*) FROM delivery.acknowledged WHERE sync = ?", [report.sync]):
        return None
    other = "no audience" if before is None else repr(before)
    return (
        f"The sync puts people into {sync.audience_name!r}, and whoever was acknowledged was put into {other}: only "
        "changes would be sent. Give the sync another name to have all sent anew, unless both are the same audience."
    )
