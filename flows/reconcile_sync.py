"""The flow ``reconcile``: compare what destinations hold with what they acknowledged."""

from __future__ import annotations

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.task_runners import ThreadPoolTaskRunner

from millstream.destinations.reconciling import DriftReport
from millstream.destinations.stopping import settled_on_signal
from millstream.flows.artifacts.publishing import publish_drift
from millstream.flows.deploying.choices import SyncName, open_project
from millstream.flows.steps import Workspace, new_run_id, recorded_run
from millstream.flows.steps.failure import RunFailedError
from millstream.flows.steps.reconciling import ReconcileReport
from millstream.flows.steps.reconciling import reconcile as reconcile_step
from millstream.flows.steps.threads import gather


@task(name="reconcile", task_run_name="reconcile {sync}", cache_policy=NO_CACHE, persist_result=False)
def reconcile_task(sync: str, *, run_id: str, repair: bool = False) -> DriftReport:
    """Read one sync's audience back, and compare."""
    report = reconcile_step(Workspace.open(open_project()), sync, run_id=run_id, repair=repair)
    get_run_logger().info(
        "%s: %s, %d missing, %d there again, %d strangers",
        sync,
        report.status,
        report.missing,
        report.extra,
        report.strangers,
    )
    return report


@flow(name="reconcile", task_runner=ThreadPoolTaskRunner(max_workers=8))  # type: ignore[arg-type]
def reconcile(syncs: list[SyncName] | None = None, repair: bool = False) -> ReconcileReport:
    """Compare what destinations hold with what they acknowledged, where they can be read back.

    Args:
        syncs: The syncs to compare; all enabled ones when left out.
        repair: Have the next activation send again who is missing, and take out again who was taken out and is there.

    Returns:
        What was found for each sync.

    Raises:
        ConfigurationError: The project file is wrong.
        RunFailedError: A destination is not as it acknowledged, or could not be read.
    """
    workspace = Workspace.open(open_project())
    project = workspace.project
    chosen = list(project.enabled_syncs if syncs is None else syncs)
    project.require(destinations={project.sync(name).destination for name in chosen})
    report = ReconcileReport(new_run_id())
    with recorded_run(workspace, report.run_id, "reconcile", report, about=chosen), settled_on_signal():
        looks = {sync: reconcile_task.submit(sync, run_id=report.run_id, repair=repair) for sync in chosen}
        report.reconciled, report.failed = gather(looks)
    publish_drift(project.name, report)
    if report.problems:
        raise RunFailedError(report.problems, report=report)
    return report


if __name__ == "__main__":
    reconcile()
