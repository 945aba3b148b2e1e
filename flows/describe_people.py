"""The flow ``describe``: compute what follows from what people did."""

from __future__ import annotations

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from millstream.flows.artifacts.publishing import publish_traits
from millstream.flows.deploying.choices import open_project
from millstream.flows.looking.traits import model_cards
from millstream.flows.steps import PipelineReport, Workspace, new_run_id, recorded_run
from millstream.flows.steps import describe as describe_step
from millstream.flows.steps.failure import RunFailedError, describe_problems
from millstream.state.traits.report import DescribeReport


@task(name="describe", cache_policy=NO_CACHE, persist_result=False)
def describe_task(*, run_id: str, full: bool = False) -> DescribeReport:
    """Compute traits, and leave a table of the sets and a page of what stands behind predictions."""
    workspace = Workspace.open(open_project())
    report = describe_step(workspace, run_id=run_id, full=full)
    for one in report.sets:
        get_run_logger().info("%s: %s, %s people %s", one.name, one.status, f"{one.people:,}", one.message)
    publish_traits(workspace.project.name, report, model_cards(workspace))
    return report


@flow(name="describe")
def describe(full: bool = False) -> DescribeReport:
    """Compute the traits of everybody that are due: orders, engagement, groups, predictions.

    Args:
        full: Compute all of them, due or not.

    Returns:
        How each set of traits went.

    Raises:
        ConfigurationError: The project file or a trait file is wrong.
        RunFailedError: A set failed; its earlier values stay, and the others are computed.
    """
    run = PipelineReport(new_run_id())
    with recorded_run(Workspace.open(open_project()), run.run_id, "describe", run):
        run.described = describe_task(run_id=run.run_id, full=full)
    if problems := describe_problems(run.described):
        raise RunFailedError(problems, report=run.described)
    return run.described


if __name__ == "__main__":
    describe()
