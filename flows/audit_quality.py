"""The flow ``audit``: how complete, valid, unique, fresh and consistent the data are, and which days are odd."""

from __future__ import annotations

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from millstream.flows.artifacts.publishing import publish_audit
from millstream.flows.deploying.choices import open_project
from millstream.flows.steps import PipelineReport, Workspace, new_run_id, recorded_run
from millstream.flows.steps.auditing import AuditReport
from millstream.flows.steps.auditing import audit as audit_step


@task(name="audit", cache_policy=NO_CACHE, persist_result=False)
def audit_task(*, run_id: str) -> AuditReport:
    """Look at the quality of the data, and leave a page of what was found."""
    workspace = Workspace.open(open_project())
    report = audit_step(workspace, run_id)
    for one in report.judgements:
        if not one.ok:
            get_run_logger().warning("threshold %s: %s", one.name, one.told())
    for day in report.odd_yesterday:
        get_run_logger().warning("%s: %s", day.source, day.told())
    get_run_logger().info("%s checks", f"{len(report.findings):,}")
    publish_audit(workspace.project.name, report)
    return report


@flow(name="audit")
def audit() -> AuditReport:
    """Look at the quality of the data: completeness, validity, uniqueness, freshness, consistency, and odd days.

    A threshold that is not reached is an alert, and told in the report; the run completes all the same.

    Returns:
        What was found.

    Raises:
        ConfigurationError: The project file is wrong.
    """
    run = PipelineReport(new_run_id())
    with recorded_run(Workspace.open(open_project()), run.run_id, "audit", run):
        run.audited = audit_task(run_id=run.run_id)
    return run.audited


if __name__ == "__main__":
    audit()
