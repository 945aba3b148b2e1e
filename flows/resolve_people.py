"""The flow ``resolve``: work out who is who and what is true of them."""

from __future__ import annotations

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from millstream.flows.artifacts.publishing import publish_people, publish_rehearsal
from millstream.flows.deploying.choices import open_project
from millstream.flows.dry_runs.resolving import Rehearsal, rehearse
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


@task(name="rehearse", cache_policy=NO_CACHE, persist_result=False)
def rehearse_task(*, run_id: str, full: bool = False) -> Rehearsal:
    """Do all of it and take it back, and leave a page about what would change."""
    workspace = Workspace.open(open_project())
    found = rehearse(workspace, run_id=run_id, full=full)
    people = found.people
    get_run_logger().info(
        "%s people would be merged into others, %s would lose a part", f"{people.merged:,}", f"{people.split:,}"
    )
    publish_rehearsal(workspace.project.name, found)
    return found


@flow(name="resolve")
def resolve(full: bool = False, dry_run: bool = False) -> ResolveReport | Rehearsal:
    """Work out which records belong to one person, and describe each person.

    Args:
        full: Do it again for everyone, not only for whom something changed.
        dry_run: Write nothing, and leave a page about what would change: for trying out changed rules.

    Returns:
        Records in, profiles out; of a dry run, what would change.

    Raises:
        ConfigurationError: The project file is wrong.
    """
    run_id = new_run_id()
    if dry_run:
        return rehearse_task(run_id=run_id, full=full)
    run = PipelineReport(run_id)
    with recorded_run(Workspace.open(open_project()), run_id, "resolve", run):
        run.resolved = resolve_task(run_id=run_id, full=full)
    return run.resolved
