"""The engine that runs Prefect's flows."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millstream.flows.cli.engines.contract import Outcome
from millstream.flows.dry_runs.resolving import Rehearsal
from millstream.flows.dry_runs.selecting import SelectPreview
from millstream.flows.steps import PipelineReport
from millstream.flows.steps.failure import RunFailedError
from millstream.flows.steps.reconciling import ReconcileReport
from millstream.state.errors import ConfigurationError

if TYPE_CHECKING:
    from millstream.flows.project import Project
    from millstream.flows.report import ReportRun
    from millstream.flows.steps.auditing import AuditReport
    from millstream.flows.steps.measuring import MeasureReport


class ThroughPrefect:
    """Calls the flows, so that the runs show in Prefect's UI."""

    def __init__(self, project: Project) -> None:
        # The flows find the project by it, and it has to stand there when they are imported.
        os.environ["MILLSTREAM_PROJECT"] = str(project.path)

    def ingest(
        self, sources: Sequence[str], first: date | None, last: date | None, *, full: bool, accept_empty: bool
    ) -> Outcome:
        """One flow run for each source."""
        outcome = Outcome(PipelineReport(""))
        for source in sources:
            report, problems = _call(
                "ingest_source",
                "ingest",
                source=source,
                start=first,
                end=last,
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
