"""The flow ``pipeline``: everything in order, sources side by side, syncs side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from prefect import flow
from prefect.futures import PrefectFuture
from prefect.task_runners import ThreadPoolTaskRunner

from millstream.destinations.stopping import settled_on_signal
from millstream.flows.activate_sync import activate_task
from millstream.flows.artifacts import publish_pipeline
from millstream.flows.audit_quality import audit_task
from millstream.flows.choices import SourceName, SyncName, open_project
from millstream.flows.describe_people import describe_task
from millstream.flows.failure import RunFailedError, describe_problems, pull_problems, sync_problems
from millstream.flows.ingest_source import ingest_task
from millstream.flows.measure_figures import measure_task
from millstream.flows.resolve_people import resolve_task
from millstream.flows.select_audiences import select_task
from millstream.flows.steps import PipelineReport, Workspace, enabled_syncs, new_run_id, recorded_run
from millstream.flows.write_report import report_task
from millstream.state.errors import MillstreamError
from millstream.state.privacy import redact

ReportT = TypeVar("ReportT")


def gather(futures: Mapping[str, PrefectFuture[ReportT]]) -> tuple[list[ReportT], list[str]]:
    """Wait for tasks that run side by side.

    Returns:
        The reports of those that came back, and a sentence for each that did not.
    """
    reports: list[ReportT] = []
    problems: list[str] = []
    for name, future in futures.items():
        outcome = future.result(raise_on_failure=False)
        if isinstance(outcome, MillstreamError):
            problems.append(str(outcome.at(name)))
        elif isinstance(outcome, BaseException):
            problems.append(f"{name}: {type(outcome).__name__}: {redact(str(outcome))}")
        else:
            reports.append(outcome)
    return reports, problems


def pull(report: PipelineReport, problems: list[str], sources: Iterable[str], *, full: bool) -> None:
    """Pull the sources, side by side."""
    report.ingested, failed = gather({source: ingest_task.submit(source, full=full) for source in sources})
    problems += failed
    report.raised += failed
    problems += [problem for one in report.ingested for problem in pull_problems(one)]


def know(report: PipelineReport, problems: list[str]) -> bool:
    """Resolve, describe, select. Nothing may be sent from an outdated picture, so each needs the one before it.

    Returns:
        Whether the audiences are up to date.
    """
    people, failed = gather({"resolve": resolve_task.submit(run_id=report.run_id)})
    problems += failed
    report.raised += failed
    if not people:
        return False
    report.resolved = people[0]
    described, failed = gather({"describe": describe_task.submit(run_id=report.run_id)})
    problems += failed
    report.raised += failed
    if not described:
        return False
    report.described = described[0]
    problems += describe_problems(report.described)
    if not report.described.ok:
        return False
    audiences, failed = gather({"select": select_task.submit(run_id=report.run_id)})
    problems += failed
    report.raised += failed
    if not audiences:
        return False
    report.selected = audiences[0]
    return True


def push(report: PipelineReport, problems: list[str], syncs: Iterable[str], *, override_guards: bool) -> None:
    """Send the syncs, side by side."""
    sends = {sync: activate_task.submit(sync, run_id=report.run_id, override_guards=override_guards) for sync in syncs}
    report.activated, failed = gather(sends)
    problems += failed
    report.raised += failed
    problems += [problem for sync in report.activated for problem in sync_problems(sync)]


def learn(report: PipelineReport, problems: list[str]) -> None:
    """Measure, and look at the quality of the data. Nothing depends on it, and so it hinders nothing."""
    measured, failed = gather({"measure": measure_task.submit(run_id=report.run_id)})
    audited, failed_audit = gather({"audit": audit_task.submit(run_id=report.run_id)})
    problems += failed + failed_audit
    report.raised += failed + failed_audit
    report.measured = measured[0] if measured else None
    report.audited = audited[0] if audited else None


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
    chosen_syncs = list(enabled_syncs(project) if syncs is None else syncs)
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
