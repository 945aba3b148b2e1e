"""Reconcile: what destinations hold against what they acknowledged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from millstream.flows.steps.failure import drift_problems
from millstream.flows.steps.recording import recorded_run
from millstream.flows.steps.threads import side_by_side

if TYPE_CHECKING:
    from millstream.destinations.reconciling import DriftReport
    from millstream.flows.project import Project
    from millstream.flows.steps.workspace import Workspace


@dataclass
class ReconcileReport:
    """What was found: one report for each sync.

    Attributes:
        run_id: The run that looked.
        reconciled: What it found.
        failed: A sentence for each sync whose look ended without a report.
    """

    run_id: str
    reconciled: list[DriftReport] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every sync is in step, or will be with its next activation."""
        return not self.failed and all(report.ok for report in self.reconciled)

    @property
    def raised(self) -> list[str]:
        """A sentence for each sync whose destination could not be read."""
        stopped = [one for one in self.reconciled if one.status == "stopped"]
        return self.failed + [f"{one.sync} ended with {type(one.error).__name__}." for one in stopped]

    @property
    def problems(self) -> list[str]:
        """One sentence for each sync that is not."""
        return self.failed + [problem for report in self.reconciled for problem in drift_problems(report)]

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "run_id": self.run_id,
            "ok": self.ok,
            "reconciled": [report.as_json() for report in self.reconciled],
        }


def reconcile(workspace: Workspace, sync: str, *, run_id: str, repair: bool = False) -> DriftReport:
    """Compare what a sync's destination holds with what it acknowledged.

    Args:
        workspace: The project with its databases.
        sync: Name of the sync.
        run_id: The run that asks.
        repair: Whether the next activation is to put it right.

    Raises:
        ConfigurationError: There is no such sync, or a secret of its destination is missing.
    """
    from millstream.destinations.reconciling import reconcile as engine
    from millstream.destinations.stopping import settled_on_signal

    delivery = workspace.delivery(sync)
    with settled_on_signal():
        return engine(delivery, run_id, repair=repair, beside=beside(workspace.project, sync))


def reconcile_all(workspace: Workspace, syncs: Sequence[str], *, run_id: str, repair: bool = False) -> ReconcileReport:
    """Compare several, side by side, as a run that the journal remembers."""
    from millstream.destinations.stopping import settled_on_signal

    report = ReconcileReport(run_id)
    with recorded_run(workspace, run_id, "reconcile", report, about=syncs), settled_on_signal():
        report.reconciled = side_by_side(
            lambda sync: reconcile(workspace, sync, run_id=run_id, repair=repair), list(syncs)
        )
    return report


def beside(project: Project, sync: str) -> list[str]:
    """Other syncs into the same audience of the same destination: its members may be theirs."""
    mine = project.sync(sync)
    return [
        name
        for name, other in project.syncs.items()
        if name != sync
        and other.destination == mine.destination
        and (other.audience_name or "").casefold() == (mine.audience_name or "").casefold()
    ]
