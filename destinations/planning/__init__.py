"""Plan: what a destination should hold, compared with what it has acknowledged, as numbered operations.

First ``desired`` is made (the sync's rows, mapped), and those who may not be addressed are taken out of it; then the
operations, the difference to what was acknowledged, are written to a Parquet file, and the guards look at them.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millstream.destinations.planning.differences import make_operations
from millstream.destinations.planning.eligible import hold_back
from millstream.destinations.planning.guards import look_at_guards
from millstream.destinations.planning.last_plan import last_plan, remember
from millstream.destinations.planning.report import PlanReport
from millstream.destinations.planning.source_rows import make_desired
from millstream.destinations.rules import Restraints
from millstream.destinations.sync import Sync
from millstream.state.ledger.acknowledged import create_tables
from millstream.state.store import SECONDS, count

if TYPE_CHECKING:
    from millstream.state.store import Connection

__all__ = ["PlanReport", "PlanRequest", "make_plan"]


@dataclass(frozen=True, kw_only=True)
class PlanRequest:
    """What is to be planned.

    Attributes:
        name: Name of the sync.
        sync: What it is.
        run_id: The run that asks.
        now: The time of planning.
        required: Destination fields that must have a value.
        restraints: What keeps people back, beside consent.
        waiting: The journal's rejected rows of this sync.
        folder: Where plan files go; None writes none.
        override_guards: Whether the plan is sent although a guard has something against it.
        sql_seconds: How long the SQL of the sync may take.
    """

    name: str
    sync: Sync
    run_id: str
    now: datetime
    required: Sequence[str] = ()
    restraints: Restraints = field(default_factory=Restraints)
    waiting: Sequence[Mapping[str, Any]] = ()
    folder: Path | None = None
    override_guards: bool = False
    sql_seconds: float = SECONDS


def make_plan(connection: Connection, request: PlanRequest) -> PlanReport:
    """Compare and write the plan's file; nothing is sent.

    Raises:
        ConfigurationError: A mapped column that the source does not have.
        TimeLimitError: The SQL of the sync took longer than it may.
    """
    create_tables(connection)
    name, sync = request.name, request.sync
    report = PlanReport(name)
    report.columns, report.unmatched = make_desired(
        connection, name, sync, request.required, sql_seconds=request.sql_seconds
    )
    report.held = hold_back(connection, name, sync, request.restraints, run_id=request.run_id, now=request.now)
    report.wanted = count(connection, "SELECT count(*) FROM desired")
    still = [row for row in request.waiting if row["next_try_at"] is None or row["next_try_at"] > request.now]
    plan_id = f"plan_{uuid.uuid4().hex[:16]}"
    part = request.folder / f"{name}.{plan_id}.part" if request.folder else None
    make_operations(connection, name, sync, still, report, path=part)
    last = last_plan(connection, name)
    look_at_guards(connection, sync, report, last, request.required)
    if part and report.operations:
        report.plan_id, report.path = plan_id, part.with_suffix(".parquet")
        part.rename(report.path)
    elif part:
        part.unlink(missing_ok=True)
    if report.ok or request.override_guards:
        remember(connection, name, sync, report.columns, last)
    connection.execute("DROP TABLE desired")
    return report
