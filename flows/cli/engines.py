"""Two ways to do the same work: in this process, or through Prefect's flows. Both give the same reports."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from millstream.flows import steps
from millstream.flows.cli.progress import shown_progress
from millstream.flows.failure import RunFailedError, describe_problems, pull_problems, sync_problems
from millstream.flows.previewing import SelectPreview, preview_select
from millstream.flows.reconciling import ReconcileReport, reconcile_all
from millstream.flows.rehearsing import Rehearsal, rehearse
from millstream.flows.steps import PipelineReport, Workspace
from millstream.state.errors import ConfigurationError

if TYPE_CHECKING:
    from millstream.destinations.preview import SavedPlan
    from millstream.flows.auditing import AuditReport
    from millstream.flows.measuring import MeasureReport
    from millstream.flows.project import Project
    from millstream.flows.report import ReportRun
    from millstream.sources.pull import Window


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


@dataclass(frozen=True)
class Days:
    """Days to read again, both included; no first day goes on from where the last pull ended."""

    first: date | None = None
    last: date | None = None

    def check(self) -> None:
        """See that they make sense.

        Raises:
            ConfigurationError: A last day without a first one, or before it.
        """
        if self.last and not self.first:
            raise ConfigurationError("--to needs --from.", remedy="give the first day as well.")
        if self.first and self.last and self.last < self.first:
            raise ConfigurationError(f"The last day, {self.last}, is before the first day, {self.first}.")


class Engine(Protocol):
    """What can be asked for."""

    def ingest(self, sources: Sequence[str], days: Days, *, full: bool, accept_empty: bool) -> Outcome: ...

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


def engine_for(project: Project, *, prefect: bool) -> Engine:
    """Prefect where it is asked for or where PREFECT_API_URL says that there is a server; else this process."""
    if prefect or os.environ.get("PREFECT_API_URL"):
        return ThroughPrefect(project)
    return Here(project)


class Here:
    """Calls the steps in this process, with progress bars while a person watches."""

    def __init__(self, project: Project) -> None:
        self._workspace = Workspace.open(project)

    def ingest(self, sources: Sequence[str], days: Days, *, full: bool, accept_empty: bool) -> Outcome:
        """Pull sources side by side."""
        window = _window(days)
        with shown_progress() as progress:
            return self._recorded(
                "ingest",
                lambda run: run.ingested.extend(
                    steps.side_by_side(
                        lambda name: steps.ingest(
                            self._workspace,
                            name,
                            window=window,
                            full=full,
                            accept_empty=accept_empty,
                            progress=progress,
                        ),
                        sources,
                    )
                ),
                about=sources,
            )

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
        with shown_progress() as progress:
            return self._recorded(
                "activate",
                lambda run: run.activated.extend(
                    steps.activate_all(
                        self._workspace,
                        syncs,
                        run_id=run.run_id,
                        override_guards=override_guards,
                        progress=progress,
                    )
                ),
                about=syncs,
            )

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
        return Outcome(report, _problems(report))

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
        return reconcile_all(self._workspace, syncs, run_id=steps.new_run_id(), repair=repair)

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
        return Outcome(run, _problems(run))


class ThroughPrefect:
    """Calls the flows, so that the runs show in Prefect's UI."""

    def __init__(self, project: Project) -> None:
        # The flows find the project by it, and it has to stand there when they are imported.
        os.environ["MILLSTREAM_PROJECT"] = str(project.path)

    def ingest(self, sources: Sequence[str], days: Days, *, full: bool, accept_empty: bool) -> Outcome:
        """One flow run for each source."""
        outcome = Outcome(PipelineReport(""))
        for source in sources:
            report, problems = _call(
                "ingest_source",
                "ingest",
                source=source,
                start=days.first,
                end=days.last,
                full=full,
                accept_empty=accept_empty,
            )
            outcome.report.ingested.append(report)
            outcome.problems += problems
        return outcome

    def resolve(self, *, full: bool) -> Outcome:
        """One flow run."""
        report, problems = _call("resolve_people", "resolve", full=full)
        return Outcome(PipelineReport("", resolved=report), problems)

    def rehearse(self, *, full: bool) -> Rehearsal:
        """One flow run, which leaves an artifact."""
        found: Rehearsal = _call("resolve_people", "resolve", full=full, dry_run=True)[0]
        return found

    def describe(self, *, full: bool) -> Outcome:
        """One flow run."""
        report, problems = _call("describe_people", "describe", full=full)
        return Outcome(PipelineReport("", described=report), problems)

    def select(self, audiences: Sequence[str] | None) -> Outcome:
        """One flow run."""
        report, problems = _call("select_audiences", "select", audiences=audiences)
        return Outcome(PipelineReport("", selected=report), problems)

    def preview(self, audiences: Sequence[str] | None, *, sample: int) -> SelectPreview:
        """One flow run, which leaves an artifact."""
        found: SelectPreview = _call("select_audiences", "select", audiences=audiences, dry_run=True, sample=sample)[0]
        return found

    def activate(self, syncs: Sequence[str], *, override_guards: bool) -> Outcome:
        """One flow run for each sync."""
        outcome = Outcome(PipelineReport(""))
        for sync in syncs:
            report, problems = _call("activate_sync", "activate", sync=sync, override_guards=override_guards)
            outcome.report.activated.append(report)
            outcome.problems += problems
        return outcome

    def run(self, sources: Sequence[str] | None, syncs: Sequence[str] | None) -> Outcome:
        """One flow run for all of it."""
        report, problems = _call("run_pipeline", "pipeline", sources=sources, syncs=syncs)
        return Outcome(report, problems)

    def measure(self, *, full: bool, since: date | None) -> MeasureReport:
        """One flow run."""
        found: MeasureReport = _call("measure_figures", "measure", full=full, since=since)[0]
        return found

    def audit(self) -> AuditReport:
        """One flow run."""
        found: AuditReport = _call("audit_quality", "audit")[0]
        return found

    def reconcile(self, syncs: Sequence[str], *, repair: bool) -> ReconcileReport:
        """One flow run for all of it."""
        found: ReconcileReport = _call("reconcile_sync", "reconcile", syncs=syncs, repair=repair)[0]
        return found

    def report(self, output: Path | None) -> ReportRun:
        """One flow run, which leaves artifacts as well."""
        found: ReportRun = _call("write_report", "report", output=str(output.absolute()) if output else None)[0]
        return found


def _call(module: str, flow: str, **parameters: object) -> tuple[Any, list[str]]:
    """Run a flow; a run that ends Failed gives its report (of the flow's own kind) and what was wrong."""
    function: Callable[..., object] = getattr(importlib.import_module(f"millstream.flows.{module}"), flow)
    try:
        return function(**parameters), []
    except RunFailedError as error:
        return error.report, list(error.problems)
    except RuntimeError as error:
        if "reach API" not in str(error):
            raise
        raise ConfigurationError(
            f"The Prefect server at {os.environ.get('PREFECT_API_URL')} does not answer.",
            remedy="start it with `prefect server start`, or unset PREFECT_API_URL.",
        ) from error


def _window(days: Days) -> Window | None:
    if days.first is None:
        return None
    from datetime import UTC, datetime

    from millstream.sources.pull import Window

    return Window.of_days(days.first, days.last or datetime.now(UTC).date())


def _problems(report: PipelineReport) -> list[str]:
    """One sentence for each source, set of traits and sync that did not do all it should."""
    pulled = [problem for one in report.ingested for problem in pull_problems(one)]
    known = pulled + report.raised + describe_problems(report.described)
    return known + [problem for sync in report.activated for problem in sync_problems(sync)]
