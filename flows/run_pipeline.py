"""The flow ``pipeline``: everything in order, sources side by side, syncs side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from prefect import flow
from prefect.futures import PrefectFuture
from prefect.task_runners import ThreadPoolTaskRunner

from millstream.destinations.stopping import settled_on_signal
from millstream.flows.activate_sync import activate_task
from millstream.flows.artifacts.publishing import publish_pipeline
from millstream.flows.audit_quality import audit_task
from millstream.flows.deploying.choices import SourceName, SyncName, open_project
from millstream.flows.describe_people import describe_task
from millstream.flows.ingest_source import ingest_task
from millstream.flows.measure_figures import measure_task
from millstream.flows.resolve_people import resolve_task
from millstream.flows.select_audiences import select_task
from millstream.flows.steps import PipelineReport, Workspace, new_run_id, recorded_run
from millstream.flows.steps.failure import (
    RunFailedError,
    describe_problems,
    pull_problems,
    select_problems,
    sync_problems,
)
from millstream.flows.steps.threads import gather
from millstream.flows.write_report import report_task

ReportT = TypeVar("ReportT")


def settled(report: PipelineReport, problems: list[str], tasks: Mapping[str, PrefectFuture[ReportT]]) -> list[ReportT]:
    """The reports of tasks, once all are over; of one that ended without a report, the run's report tells."""
    reports, failed = gather(tasks)
    problems += failed
    report.raised += failed
    return reports


def settled_alone(
    report: PipelineReport, problems: list[str], step: str, task: PrefectFuture[ReportT]
) -> ReportT | None:
    """The report of a step that is one task; None where it ended without one."""
    reports = settled(report, problems, {step: task})
    return reports[0] if reports else None


def pull(report: PipelineReport, problems: list[str], sources: Iterable[str], *, full: bool) -> None:
    """Pull the sources, side by side."""
    report.ingested = settled(report, problems, {one: ingest_task.submit(one, full=full) for one in sources})
    problems += [problem for one in report.ingested for problem in pull_problems(one)]


def know(report: PipelineReport, problems: list[str]) -> bool:
    """Resolve, describe, select. Nothing may be sent from an outdated picture, so each needs the one before it.

    Returns:
        Whether the audiences are up to date.
    """
    resolved = settled_alone(report, problems, "resolve", resolve_task.submit(run_id=report.run_id))
    if resolved is None:
        return False
    report.resolved = resolved
    described = settled_alone(report, problems, "describe", describe_task.submit(run_id=report.run_id))
    if described is None:
        return False
    report.described = described
    problems += describe_problems(described)
    selected = settled_alone(report, problems, "select", select_task.submit(run_id=report.run_id))
    if selected is None:
        return False
    report.selected = selected
    problems += select_problems(selected)
    return True


def push(report: PipelineReport, problems: list[str], syncs: Iterable[str], *, override_guards: bool) -> None:
    """Send the syncs, side by side."""
    sends = {sync: activate_task.submit(sync, run_id=report.run_id, override_guards=override_guards) for sync in syncs}
    report.activated = settled(report, problems, sends)
    problems += [problem for sync in report.activated for problem in sync_problems(sync)]


def learn(report: PipelineReport, problems: list[str]) -> None:
    """Measure, and look at the quality of the data. Nothing depends on it, and so it hinders nothing."""
    report.measured = settled_alone(report, problems, "measure", measure_task.submit(run_id=report.run_id))
    report.audited = settled_alone(report, problems, "audit", audit_task.submit(run_id=report.run_id))


@flow(name="pipeline", task_runner=ThreadPoolTaskRunner(max_workers=8))  # type: ignore[arg-type]
def pipeline(
    sources: list[SourceName] | None = None,
    syncs: list[SyncName] | None = None,
    full: bool = False,
    override_guards: bool = False,
) -> PipelineReport:
    """Pull the sources, work out who is who and what is true of them, compute the audiences, send, and measure.

    A source or a sync that fails does not stop the others; the run does what it can and then ends Failed.

    Args:
        sources: The sources to pull; all when left out.
        syncs: The syncs to send; all enabled ones when left out.
        full: Read the sources whole again, whatever was read before.
        override_guards: Send although a guard says stop; for this run only.

    Returns:
        What each step did.

    Raises:
        ConfigurationError: The project file is wrong.
        RunFailedError: Something did not work; its report tells what did.
    """
    workspace = Workspace.open(open_project())
    project = workspace.project
    chosen_sources = list(project.sources if sources is None else sources)
    chosen_syncs = list(project.enabled_syncs if syncs is None else syncs)
    project.require(sources=chosen_sources, destinations={project.sync(name).destination for name in chosen_syncs})
    report, problems = PipelineReport(new_run_id()), list[str]()
    with recorded_run(workspace, report.run_id, "pipeline", report):
        pull(report, problems, chosen_sources, full=full)
        if know(report, problems):
            with settled_on_signal():
                push(report, problems, chosen_syncs, override_guards=override_guards)
        learn(report, problems)
    if project.report.after_pipeline:
        problems += gather({"report": report_task.submit()})[1]
    publish_pipeline(project.name, report, problems)
    if problems:
        raise RunFailedError(problems, report=report)
    return report


if __name__ == "__main__":
    pipeline()
