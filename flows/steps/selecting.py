"""Select: who is in which audience."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millstream.flows.project import Project
    from millstream.flows.steps.workspace import Workspace
    from millstream.state.audiences.failing import Failing
    from millstream.state.audiences.select import AudienceReport
    from millstream.state.store import Connection


def select(workspace: Workspace, audiences: Iterable[str] | None = None, *, run_id: str) -> list[AudienceReport]:
    """Work out who is in each audience now, and keep who entered and left."""
    from millstream.state.audiences.failing import without_failing

    project, wanted = workspace.project, None if audiences is None else list(audiences)
    for name in wanted or ():
        project.audience(name)

    def work(failing: Failing) -> list[AudienceReport]:
        now = datetime.now(UTC)
        with workspace.store.transaction() as connection:
            return select_on(connection, project, failing, only=wanted, run_id=run_id, now=now)

    return without_failing(work)


def select_on(
    connection: Connection,
    project: Project,
    failing: Failing,
    *,
    run_id: str,
    now: datetime,
    only: Sequence[str] | None = None,
) -> list[AudienceReport]:
    """The same on an open store, also for dry runs and decisions by hand; to be called within ``without_failing``."""
    from millstream.state.audiences.select import select_audiences

    return select_audiences(
        connection,
        project.audiences,
        only=only,
        run_id=run_id,
        as_of=now,
        rules=project.traits,
        root=project.root,
        sql_seconds=project.sql_seconds,
        failing=failing,
    )
