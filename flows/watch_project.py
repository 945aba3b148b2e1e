"""The flow ``watch``: tell of syncs that are late, and of schedules whose run never started."""

from __future__ import annotations

from prefect import flow, get_run_logger

from millstream.flows.alerting import WatchReport
from millstream.flows.alerting import watch as watch_step
from millstream.flows.artifacts.publishing import publish_alerts
from millstream.flows.deploying.choices import open_project
from millstream.flows.steps import Workspace, new_run_id
from millstream.flows.steps.failure import RunFailedError


@flow(name="watch")
def watch() -> WatchReport:
    """Look at what no run can tell of itself: syncs not completed in time, schedules that did not start.

    The run does not fail because something is wrong with the project: that is told.

    Returns:
        All that is wrong, and what was told.

    Raises:
        ConfigurationError: The project file is wrong.
        RunFailedError: A channel could not be told; the next run tries again.
    """
    workspace = Workspace.open(open_project())
    report = watch_step(workspace, run_id=new_run_id())
    for alert in report.firing:
        get_run_logger().warning("%s: %s", alert.name, alert.what)
    publish_alerts(workspace.project.name, report)
    if report.failures:
        raise RunFailedError([f"{one.channel}: {one.problem}" for one in report.failures], report=report)
    return report


if __name__ == "__main__":
    watch()
