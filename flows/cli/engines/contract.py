"""What commands ask of an engine, and what they get back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from millstream.flows.dry_runs.resolving import Rehearsal
from millstream.flows.dry_runs.selecting import SelectPreview
from millstream.flows.steps import PipelineReport
from millstream.flows.steps.failure import describe_problems, pull_problems, select_problems, sync_problems
from millstream.flows.steps.reconciling import ReconcileReport

if TYPE_CHECKING:
    from millstream.flows.report import ReportRun
    from millstream.flows.steps.auditing import AuditReport
    from millstream.flows.steps.measuring import MeasureReport


@dataclass
class Outcome:
    """What a command did.

    Attributes:
        report: Its reports, in the parts that the command is about.
        problems: One sentence for each thing that went wrong.
    """

    report: PipelineReport
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether everything that was asked for was done."""
        return not self.problems and self.report.ok


class Engine(Protocol):
    """What can be asked for."""

    def ingest(
        self, sources: Sequence[str], first: date | None, last: date | None, *, full: bool, accept_empty: bool
    ) -> Outcome: ...

    def resolve(self, *, full: bool) -> Outcome: ...

    def rehearse(self, *, full: bool) -> Rehearsal: ...

    def describe(self, *, full: bool) -> Outcome: ...

    def select(self, audiences: Sequence[str] | None) -> Outcome: ...

    def preview(self, audiences: Sequence[str] | None, *, sample: int) -> SelectPreview: ...

    def activate(self, syncs: Sequence[str], *, override_guards: bool) -> Outcome: ...

    def run(self, sources: Sequence[str] | None, syncs: Sequence[str] | None) -> Outcome: ...

    def measure(self, *, full: bool, since: date | None) -> MeasureReport: ...

    def audit(self) -> AuditReport: ...

    def reconcile(self, syncs: Sequence[str], *, repair: bool) -> ReconcileReport: ...

    def report(self, output: Path | None) -> ReportRun: ...


def problems_of(report: PipelineReport) -> list[str]:
    """One sentence for each source, set of traits, audience and sync that did not do all it should."""
    pulled = [problem for one in report.ingested for problem in pull_problems(one)]
    known = pulled + report.raised + describe_problems(report.described) + select_problems(report.selected)
    return known + [problem for sync in report.activated for problem in sync_problems(sync)]
