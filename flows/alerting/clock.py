"""What the clock says: syncs that were not completed for too long, schedules whose run never started."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from cronsim import CronSim

from millstream.flows.project.references import REQUIRED_PARAMETERS
from millstream.state.ledger.alerts import Condition, first_seen
from millstream.state.ledger.run_history import has_run, last_completed

if TYPE_CHECKING:
    from millstream.flows.project import Project
    from millstream.flows.project.alerts import AlertRules
    from millstream.flows.project.models import Schedule
    from millstream.state.ledger.journal import Journal

EARLY = timedelta(minutes=1)
"""Clocks of two machines may differ so much."""
NOT_LOOKED_AT = "watch"
"""The flow that looks cannot miss itself."""


def stale_syncs(project: Project, journal: Journal, rules: AlertRules, *, now: datetime) -> Iterator[Condition]:
    """Each sync that has a time within which it is to be completed again."""
    allowed = {
        name: rules.of_sync(name).stale_after
        for name, sync in project.syncs.items()
        if sync.enabled and rules.of_sync(name).stale_after
    }
    completed = last_completed(journal, list(allowed)) if allowed else {}
    for name, limit in allowed.items():
        assert limit is not None
        owner = rules.of_sync(name).owner
        watched = Condition(subject=f"sync {name}", kind="stale", firing=False, what="It is watched.", owner=owner)
        since = completed.get(name) or first_seen(journal, watched, now=now)
        stale = now - since > limit
        last = f"was last completed at {since:%Y-%m-%d %H:%M} UTC" if name in completed else "was never completed"
        what = f"It {last}; {_shown(limit)} are allowed." if stale else f"It {last}."
        yield Condition(subject=watched.subject, kind="stale", firing=stale, what=what, owner=owner)


def missing_runs(project: Project, journal: Journal, rules: AlertRules, *, now: datetime) -> Iterator[Condition]:
    """Each schedule, and whether a run of its flow began when one was last due."""
    for name, schedule in project.schedules.items():
        if schedule.flow == NOT_LOOKED_AT:
            continue
        watched = Condition(
            subject=f"schedule {name}", kind="not_started", firing=False, what="It is watched.", owner=rules.owner
        )
        due = last_due(schedule, before=now - rules.late_after)
        if due is None or first_seen(journal, watched, now=now) > due:
            continue
        parameter = REQUIRED_PARAMETERS.get(schedule.flow)
        about = str(schedule.parameters[parameter]) if parameter else None
        missing = not has_run(journal, schedule.flow, about=about, since=due - EARLY)
        of_what = f"{schedule.flow} of {about}" if about else schedule.flow
        what = (
            f"A run of {of_what} was due at {due:%Y-%m-%d %H:%M} UTC, and none began. Is a worker running?"
            if missing
            else f"A run of {of_what} began."
        )
        yield Condition(subject=watched.subject, kind="not_started", firing=missing, what=what, owner=rules.owner)


def last_due(schedule: Schedule, *, before: datetime) -> datetime | None:
    """When a schedule last came due before a time, in UTC; None for one that never does."""
    local = before.astimezone(ZoneInfo(schedule.timezone))
    found = next(CronSim(schedule.cron, local, reverse=True), None)
    return found.astimezone(before.tzinfo) if found else None


def _shown(length: timedelta) -> str:
    minutes = int(length.total_seconds() // 60)
    for unit, size in (("days", 1_440), ("hours", 60)):
        if minutes % size == 0 and minutes >= 2 * size:
            return f"{minutes // size} {unit}"
    return f"{minutes} minutes"
