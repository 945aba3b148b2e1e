"""All steps in order."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from millstream.flows.project.names import named
from millstream.flows.steps.activating import activate_all
from millstream.flows.steps.auditing import audit
from millstream.flows.steps.describing import describe
from millstream.flows.steps.ingesting import ingest_all
from millstream.flows.steps.measuring import measure
from millstream.flows.steps.recording import PipelineReport, new_run_id, recorded_run
from millstream.flows.steps.resolving import resolve
from millstream.flows.steps.selecting import select
from millstream.state.errors import MillstreamError
from millstream.state.privacy import redact

if TYPE_CHECKING:
    from millstream.flows.steps.progress import Progress
    from millstream.flows.steps.workspace import Workspace

Report = TypeVar("Report")


def run_all(
    workspace: Workspace,
    *,
    run_id: str | None = None,
    sources: Sequence[str] | None = None,
    syncs: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> PipelineReport:
    """Everything in order: sources side by side, resolve, describe, select, syncs side by side, measure, audit.

    A source or a sync that fails does not stop the others. Audiences that rest on traits which could not be computed
    stay as they are, but for who withdrew a consent they ask for: the syncs go on from them.
    """
    project, started = workspace.project, time.monotonic()
    report = PipelineReport(run_id or new_run_id())
    wanted_sources = list(project.sources if sources is None else sources)
    wanted_syncs = list(project.enabled_syncs if syncs is None else syncs)
    for name in wanted_sources:
        project.source(name)  # a missing secret is said before anything starts
    for name in wanted_syncs:
        named("sync", name, project.enabled_syncs)
    with recorded_run(workspace, report.run_id, "pipeline", report):
        report.ingested = ingest_all(workspace, wanted_sources, progress=progress)
        report.resolved = resolve(workspace, run_id=report.run_id)
        report.described = describe(workspace, run_id=report.run_id)
        report.selected = select(workspace, run_id=report.run_id)
        report.activated = activate_all(workspace, wanted_syncs, run_id=report.run_id, progress=progress)
        report.measured = attempted(report, "measure", lambda: measure(workspace, run_id=report.run_id))
        report.audited = attempted(report, "audit", lambda: audit(workspace, run_id=report.run_id))
        report.seconds = time.monotonic() - started
    if project.report.after_pipeline:
        from millstream.flows.report import report_run

        attempted(report, "report", lambda: report_run(workspace))
    return report


def attempted(report: PipelineReport, step: str, work: Callable[[], Report]) -> Report | None:
    """Do a step that nothing depends on: what goes wrong in it is told by the report, and hinders nothing."""
    try:
        return work()
    except MillstreamError as error:
        report.raised.append(str(error.at(step)))
    except Exception as error:  # noqa: BLE001 - what was sent before is told all the same, and the run is not ok
        report.raised.append(f"{step}: {type(error).__name__}: {redact(str(error))}")
    return None
