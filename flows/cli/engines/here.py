"""The engine that works in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from millstream.flows import steps
from millstream.flows.cli.engines.contract import Outcome, problems_of
from millstream.flows.cli.progress import shown_progress
from millstream.flows.dry_runs.resolving import Rehearsal, rehearse
from millstream.flows.dry_runs.selecting import SelectPreview, preview_select
from millstream.flows.steps import PipelineReport, ReconcileReport, Workspace
from millstream.state.errors import ConfigurationError

if TYPE_CHECKING:
    from millstream.destinations.preview import SavedPlan
    from millstream.flows.project import Project
    from millstream.flows.report import ReportRun
    from millstream.flows.steps.auditing import AuditReport
    from millstream.flows.steps.measuring import MeasureReport


class Here:
    """Calls the steps in this process, with progress bars while a person watches."""

    def __init__(self, project: Project) -> None:
        self._workspace = Workspace.open(project)

    def ingest(
        self, sources: Sequence[str], first: date | None, last: date | None, *, full: bool, accept_empty: bool
    ) -> Outcome:
        """Pull sources side by side."""
        window = steps.window_of(first, last)

        def work(run: PipelineReport) -> None:
            run.ingested = steps.ingest_all(
                self._workspace, sources, window=window, full=full, accept_empty=accept_empty, progress=progress
            )

        with shown_progress() as progress:
            return self._recorded("ingest", work, about=sources)

    def resolve(self, *, full: bool) -> Outcome:
        """Work out who is who."""

        def work(run: PipelineReport) -> None:
            run.resolved = steps.resolve(self._workspace, run_id=run.run_id, full=full)

        return self._recorded("resolve", work)

    def rehearse(self, *, full: bool) -> Rehearsal:
        """See what working out who is who would change."""
        return rehearse(self._workspace, run_id=steps.new_run_id(), full=full)

    def describe(self, *, full: bool) -> Outcome:
        """Compute traits."""

        def work(run: PipelineReport) -> None:
            run.described = steps.describe(self._workspace, run_id=run.run_id, full=full)

        return self._recorded("describe", work)

    def select(self, audiences: Sequence[str] | None) -> Outcome:
        """Compute audiences."""

        def work(run: PipelineReport) -> None:
            run.selected = steps.select(self._workspace, audiences, run_id=run.run_id)

        return self._recorded("select", work)

    def preview(self, audiences: Sequence[str] | None, *, sample: int) -> SelectPreview:
        """See what computing audiences would change."""
        return preview_select(self._workspace, audiences, run_id=steps.new_run_id(), sample=sample)

    def activate(self, syncs: Sequence[str], *, override_guards: bool, saved: SavedPlan | None = None) -> Outcome:
        """Send syncs side by side; with a saved plan, send that of one sync or nothing."""
        if saved:
            return self._activate_saved(saved, override_guards=override_guards)

        def work(run: PipelineReport) -> None:
            run.activated = steps.activate_all(
                self._workspace, syncs, run_id=run.run_id, override_guards=override_guards, progress=progress
            )
            errors = [one.error for one in run.activated]
            if errors and all(isinstance(error, ConfigurationError) for error in errors):
                raise errors[0]  # type: ignore[misc]  # nothing was done

        with shown_progress() as progress:
            return self._recorded("activate", work, about=syncs)

    def _activate_saved(self, saved: SavedPlan, *, override_guards: bool) -> Outcome:
        def work(run: PipelineReport) -> None:
            report = steps.activate(
                self._workspace,
                saved.sync,
                run_id=run.run_id,
                override_guards=override_guards,
                saved=saved,
                progress=progress,
            )
            run.activated.append(report)

        with shown_progress() as progress:
            return self._recorded("activate", work, about=[saved.sync])

    def run(self, sources: Sequence[str] | None, syncs: Sequence[str] | None) -> Outcome:
        """Everything in order."""
        with shown_progress() as progress:
            report = steps.run_all(self._workspace, sources=sources, syncs=syncs, progress=progress)
        return Outcome(report, problems_of(report))

    def measure(self, *, full: bool, since: date | None) -> MeasureReport:
        """Compute what is measured."""
        run = PipelineReport(steps.new_run_id())
        with steps.recorded_run(self._workspace, run.run_id, "measure", run):
            run.measured = steps.measure(self._workspace, run_id=run.run_id, full=full, since=since)
        return run.measured

    def audit(self) -> AuditReport:
        """Look at the quality of the data."""
        run = PipelineReport(steps.new_run_id())
        with steps.recorded_run(self._workspace, run.run_id, "audit", run):
            run.audited = steps.audit(self._workspace, run_id=run.run_id)
        return run.audited

    def reconcile(self, syncs: Sequence[str], *, repair: bool) -> ReconcileReport:
        """Compare destinations with what they acknowledged, side by side."""
        return steps.reconcile_all(self._workspace, syncs, run_id=steps.new_run_id(), repair=repair)

    def report(self, output: Path | None) -> ReportRun:
        """Write the page."""
        from millstream.flows.report import report_run

        return report_run(self._workspace, output=output)

    def _recorded(
        self, kind: str, work: Callable[[PipelineReport], None], *, about: Sequence[str] | None = None
    ) -> Outcome:
        """Do the work as a run that the journal remembers."""
        run = PipelineReport(steps.new_run_id())
        with steps.recorded_run(self._workspace, run.run_id, kind, run, about=about):
            work(run)
        return Outcome(run, problems_of(run))
