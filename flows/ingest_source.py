"""The flow ``ingest``: pull one source into the store."""

from __future__ import annotations

from datetime import date

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from millstream.flows.artifacts.progress import PullProgress
from millstream.flows.artifacts.publishing import publish_pull
from millstream.flows.artifacts.writing import artifact_key
from millstream.flows.deploying.choices import SourceName, open_project
from millstream.flows.steps import PipelineReport, Progress, Workspace, new_run_id, recorded_run, window_of
from millstream.flows.steps import ingest as ingest_step
from millstream.flows.steps.failure import RunFailedError, pull_problems
from millstream.sources.ingest import IngestReport
from millstream.sources.pull import Window


@task(name="ingest", task_run_name="ingest {source}", cache_policy=NO_CACHE, persist_result=False)
def ingest_task(
    source: str,
    *,
    window: Window | None = None,
    full: bool = False,
    accept_empty: bool = False,
) -> IngestReport:
    """Pull one source, and leave a table of what came."""
    workspace = Workspace.open(open_project())
    project = workspace.project
    streams = [stream.name for stream in project.source(source).selected_streams()]
    progress = PullProgress(source, artifact_key(project.name, "progress", source), streams)
    report = ingest_step(
        workspace,
        source,
        window=window,
        full=full,
        accept_empty=accept_empty,
        progress=Progress(pulled=progress, foretold=progress.foretell),
    )
    progress.finish(report.rows)
    if report.skipped:
        get_run_logger().warning("%s: skipped, another run is reading it", source)
    else:
        get_run_logger().info("%s: %s rows pulled in %.1f s", source, f"{report.rows:,}", report.seconds)
    publish_pull(project.name, report)
    return report


@flow(name="ingest", flow_run_name="ingest {source}")
def ingest(
    source: SourceName,
    start: date | None = None,
    end: date | None = None,
    full: bool = False,
    accept_empty: bool = False,
) -> IngestReport:
    """Pull what is new in a source into the store.

    Args:
        source: The source to pull.
        start: First day to read again; leave it out to go on from where the last pull ended.
        end: Last day to read; today when left out. Only with a first day.
        full: Read everything again, whatever was read before.
        accept_empty: Believe a source that used to have rows and now has none.

    Returns:
        The rows of each stream.

    Raises:
        ConfigurationError: The project file or the days are wrong.
        RunFailedError: A stream was not read whole; what was read is kept.
    """
    window = window_of(start, end)
    run = PipelineReport(new_run_id())
    with recorded_run(Workspace.open(open_project()), run.run_id, "ingest", run, about=[source]):
        report = ingest_task(source, window=window, full=full, accept_empty=accept_empty)
        run.ingested.append(report)
    if problems := pull_problems(report):
        raise RunFailedError(problems, report=report)
    return report
