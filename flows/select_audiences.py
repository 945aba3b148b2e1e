"""The flow ``select``: compute who is in which audience."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from millstream.flows.artifacts.publishing import publish_audiences, publish_select_preview
from millstream.flows.deploying.choices import AudienceName, open_project
from millstream.flows.dry_runs.selecting import SelectPreview, preview_select
from millstream.flows.steps import PipelineReport, Workspace, new_run_id, recorded_run
from millstream.flows.steps import select as select_step
from millstream.flows.steps.failure import RunFailedError, select_problems
from millstream.state.audiences.select import AudienceReport


@task(name="select", cache_policy=NO_CACHE, persist_result=False)
def select_task(audiences: Sequence[str] | None = None, *, run_id: str) -> list[AudienceReport]:
    """Compute audiences, and leave a table of their sizes."""
    workspace = Workspace.open(open_project())
    reports = select_step(workspace, audiences, run_id=run_id)
    for report in reports:
        get_run_logger().info("%s: %s members", report.name, f"{report.size:,}")
    publish_audiences(workspace.project.name, reports)
    return reports


@task(name="preview", cache_policy=NO_CACHE, persist_result=False)
def preview_task(audiences: Sequence[str] | None = None, *, run_id: str, sample: int = 0) -> SelectPreview:
    """Do it and take it back, and leave a page about what would change."""
    workspace = Workspace.open(open_project())
    found = preview_select(workspace, audiences, run_id=run_id, sample=sample)
    for one in found.audiences:
        get_run_logger().info("%s: %s would enter, %s leave", one.audience, f"{one.entered:,}", f"{one.left:,}")
    publish_select_preview(workspace.project.name, found)
    return found


@flow(name="select")
def select(
    audiences: list[AudienceName] | None = None, dry_run: bool = False, sample: int = 0
) -> list[AudienceReport] | SelectPreview:
    """Compute who is in which audience, and keep when and why each person entered and left.

    Args:
        audiences: The audiences to compute; all when left out.
        dry_run: Write nothing, and leave a page about who would enter and leave, and what the syncs would send: for
            trying out changed rules.
        sample: In a dry run, so many people who would enter each audience are named by their ids in the result, and so
            many who would leave.

    Returns:
        Size, entries and exits of each audience; of a dry run, what would change.

    Raises:
        ConfigurationError: The project file or a rule is wrong.
        RunFailedError: Audiences rest on traits that could not be computed, and stay as they are.
    """
    run = PipelineReport(new_run_id())
    if dry_run:
        return preview_task(audiences, run_id=run.run_id, sample=sample)
    with recorded_run(Workspace.open(open_project()), run.run_id, "select", run):
        run.selected = select_task(audiences, run_id=run.run_id)
    if problems := select_problems(run.selected):
        raise RunFailedError(problems, report=run.selected)
    return run.selected
