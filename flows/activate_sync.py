"""The flow ``activate``: bring a destination in step with an audience."""

from __future__ import annotations

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from millstream.destinations.sync_report import SyncReport
from millstream.flows.artifacts.publishing import publish_sync
from millstream.flows.deploying.choices import SyncName, open_project
from millstream.flows.steps import PipelineReport, Workspace, new_run_id, recorded_run
from millstream.flows.steps import activate as activate_step
from millstream.flows.steps.failure import RunFailedError, sync_problems


@task(name="activate", task_run_name="activate {sync}", cache_policy=NO_CACHE, persist_result=False)
def activate_task(sync: str, *, run_id: str, override_guards: bool = False) -> SyncReport:
    """Send one sync, and leave a table of what the destination made of it."""
    workspace = Workspace.open(open_project())
    project = workspace.project
    report = activate_step(workspace, sync, run_id=run_id, override_guards=override_guards)
    get_run_logger().info("%s: %s, %d accepted, %d rejected", sync, report.status, report.accepted, report.rejected)
    destination = project.destinations[project.sync(sync).destination]
    publish_sync(project.name, report, docs_url=destination.connector.docs_url)
    return report


@flow(name="activate", flow_run_name="activate {sync}")
def activate(sync: SyncName, override_guards: bool = False) -> SyncReport:
    """Bring a destination in step with an audience: add who entered, update who changed, remove who left.

    Args:
        sync: The sync to send.
        override_guards: Send although a guard (largest removal, empty audience) says stop; for this run only.

    Returns:
        What the destination accepted and rejected.

    Raises:
        ConfigurationError: The project file is wrong.
        RunFailedError: A guard stopped the sync, or it ended early; what was acknowledged is kept.
    """
    run = PipelineReport(new_run_id())
    with recorded_run(Workspace.open(open_project()), run.run_id, "activate", run, about=[sync]):
        report = activate_task(sync, run_id=run.run_id, override_guards=override_guards)
        run.activated.append(report)
    if problems := sync_problems(report):
        raise RunFailedError(problems, report=report)
    return report
