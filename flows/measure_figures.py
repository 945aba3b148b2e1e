"""The flow ``measure``: key figures by day, cohorts, funnels, journeys, and what campaigns changed."""

from __future__ import annotations

from datetime import date

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from millstream.flows.artifacts.publishing import publish_measured
from millstream.flows.deploying.choices import open_project
from millstream.flows.steps import PipelineReport, Workspace, new_run_id, recorded_run
from millstream.flows.steps.measuring import MeasureReport
from millstream.flows.steps.measuring import measure as measure_step


@task(name="measure", cache_policy=NO_CACHE, persist_result=False)
def measure_task(*, run_id: str, full: bool = False, since: date | None = None) -> MeasureReport:
    """Measure, and leave a page of what came of it."""
    workspace = Workspace.open(open_project())
    report = measure_step(workspace, run_id, full=full, since=since)
    get_run_logger().info("%s figures from %s to %s", f"{len(report.figures):,}", report.first, report.last)
    publish_measured(workspace.project.name, report)
    return report


@flow(name="measure")
def measure(full: bool = False, since: date | None = None) -> MeasureReport:
    """Compute key figures by day, who comes back, funnels, journeys, and what campaigns and variants changed.

    Args:
        full: Compute the figures of all days anew, also of those of which no late events are expected.
        since: Report the figures from this day on; those of two weeks when left out.

    Returns:
        What was measured.

    Raises:
        ConfigurationError: The project file or a figure's SQL is wrong.
    """
    run = PipelineReport(new_run_id())
    with recorded_run(Workspace.open(open_project()), run.run_id, "measure", run):
        run.measured = measure_task(run_id=run.run_id, full=full, since=since)
    return run.measured


if __name__ == "__main__":
    measure()
