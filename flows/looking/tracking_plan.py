"""How what was pulled stands to the tracking plan, by the project file as it is now."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from millstream.flows.project.names import named

if TYPE_CHECKING:
    from millstream.flows.steps import Workspace
    from millstream.state.model.plan_findings import PlanReport


def hold_against_plan(workspace: Workspace, *, since: datetime | None = None, source: str | None = None) -> PlanReport:
    """Hold the stored events against the tracking plan and the exchange rates; the store stays as it is.

    Args:
        workspace: The project with its databases.
        since: Only events that happened from then on; aware.
        source: Only events of this source.

    Raises:
        ConfigurationError: There is no such source, or the exchange rates cannot be read.
    """
    from millstream.state.model.currency import keep_rates
    from millstream.state.model.judging import judge_anew
    from millstream.state.model.plan_report import report_on_plan
    from millstream.state.model.standard_events import whole_plan
    from millstream.state.model.tables import create_tables

    project = workspace.project
    if source is not None:
        named("source", source, project.sources)
    with workspace.store.rehearsal() as connection:
        create_tables(connection)
        keep_rates(connection, project.currency, root=project.root)
        judge_anew(connection, whole_plan(project.tracking_plan))
        return report_on_plan(
            connection, project.tracking_plan, converts=project.currency is not None, since=since, source=source
        )
