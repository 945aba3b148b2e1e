"""The flow ``resolve``: work out who is who and what is true of them."""

from __future__ import annotations

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from millstream.flows.artifacts import publish_people
from millstream.flows.choices import open_project
from millstream.flows.steps import PipelineReport, ResolveReport, Workspace, new_run_id, recorded_run
from millstream.flows.steps import resolve as resolve_step


@task(name="resolve", cache_policy=NO_CACHE, persist_result=False)
def resolve_task(*, run_id: str, full: bool = False) -> ResolveReport:
    """Model new rows, resolve them into profiles, and leave a table of the counts."""
    workspace = Workspace.open(open_project())
    report = resolve_step(workspace, run_id=run_id, full=full)
    get_run_logger().info("%s records belong to %s people", f"{report.records:,}", f"{report.profiles:,}")
    publish_people(workspace.project.name, report)
    return report


@flow(name="resolve")
def resolve(full: bool = False) -> ResolveReport:
    """Work out which records belong to one person, and describe each person.

    Args:
        full: Do it again for everyone, not only for whom something changed.

    Returns:
        Records in, profiles out.

    Raises:
        ConfigurationError: The project file is wrong.
    """
    run = PipelineReport(new_run_id())
    with recorded_run(Workspace.open(open_project()), run.run_id, "resolve", run):
        run.resolved = resolve_task(run_id=run.run_id, full=full)
    return run.resolved
