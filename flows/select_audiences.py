"""The flow ``select``: compute who is in which audience."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from millstream.flows.artifacts import publish_audiences
from millstream.flows.choices import AudienceName, open_project
from millstream.flows.steps import PipelineReport, Workspace, new_run_id, recorded_run
from millstream.flows.steps import select as select_step
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


@flow(name="select")
def select(audiences: list[AudienceName] | None = None) -> list[AudienceReport]:
    """Compute who is in which audience, and keep when and why each person entered and left.

    Args:
        audiences: The audiences to compute; all when left out.

    Returns:
        Size, entries and exits of each audience.

    Raises:
        ConfigurationError: The project file or a rule is wrong.
    """
    run = PipelineReport(new_run_id())
    with recorded_run(Workspace.open(open_project()), run.run_id, "select", run):
        run.selected = select_task(audiences, run_id=run.run_id)
    return run.selected
