"""The flow ``report``: write the page for marketers, and leave the same numbers as artifacts."""

from __future__ import annotations

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from millstream.flows.deploying.choices import open_project
from millstream.flows.report import ReportRun, report_run
from millstream.flows.steps import Workspace


@task(name="report", cache_policy=NO_CACHE, persist_result=False)
def report_task(output: str | None = None) -> ReportRun:
    """Write the page, and publish it."""
    from millstream.flows.report.publishing import publish_report

    workspace = Workspace.open(open_project())
    run = report_run(workspace, output=workspace.project.root / output if output else None)
    get_run_logger().info("%s: %s bytes in %.1f s", run.path, f"{run.size:,}", run.seconds)
    publish_report(workspace.project.name, run)
    return run


@flow(name="report")
def report(output: str | None = None) -> ReportRun:
    """Write one page about people, audiences, figures, quality and deliveries; counts only, nobody is named.

    Args:
        output: The file, from the project's folder on; what the project file says when left out.

    Returns:
        Where the page is, and what it holds.

    Raises:
        ConfigurationError: The project file is wrong, the extra `report` is missing, or the file cannot be written.
    """
    return report_task(output)


if __name__ == "__main__":
    report()
