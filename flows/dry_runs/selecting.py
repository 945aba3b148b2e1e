"""A dry run of select: who would enter and leave which audience, and what the syncs would make of it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from millstream.state.errors import ConfigurationError

if TYPE_CHECKING:
    from millstream.destinations.sync import Sync
    from millstream.flows.project import Project
    from millstream.flows.steps import Workspace
    from millstream.state.audiences.preview import AudiencePreview
    from millstream.state.store import Connection


@dataclass(frozen=True)
class SyncPreview:
    """What the next activation of a sync would do, once the audiences are as they would be.

    Attributes:
        sync: Its name.
        destination: Where it goes.
        mode: What it may do there.
        on_leave: What happens there to who leaves; None in modes that take nobody out by it.
        enabled: Whether runs include it.
        audience: Whose members it sends; None for a sync of a table or of SQL.
        enter: Who would enter the audience.
        leave: Who would leave it.
        adds: Rows to put in. This and what follows is of all that the sync has to do, also what earlier runs left to
            it; None where that is not known.
        updates: Rows whose fields change.
        removes: Rows to take out.
        held: People kept back, by why: ``consent``, ``suppression list``, ``holdout``, ``priority``.
        holdouts: Names of the holdouts that apply, with their shares.
        earlier: Audiences that come before this one in a priority list: who is in one of them is sent with it only.
        guards: What guards would say; empty where nothing is in the way.
        problem: Why it cannot be told; empty otherwise.
    """

    sync: str
    destination: str
    mode: str
    on_leave: str | None
    enabled: bool
    audience: str | None
    enter: int = 0
    leave: int = 0
    adds: int | None = None
    updates: int | None = None
    removes: int | None = None
    held: Mapping[str, int] | None = None
    holdouts: Mapping[str, float] | None = None
    earlier: tuple[str, ...] = ()
    guards: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class SelectPreview:
    """What `millstream select` would do.

    Attributes:
        as_of: The time it was worked out for.
        audiences: How each would change.
        syncs: Those that it would give something to do.
        left_out: Audiences that build on those that were asked for, and would follow with the next whole select.
        seconds: How long it took.
    """

    as_of: datetime
    audiences: tuple[AudiencePreview, ...]
    syncs: tuple[SyncPreview, ...]
    left_out: tuple[str, ...]
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {**asdict(self), "seconds": round(self.seconds, 3)}


def preview_select(
    workspace: Workspace, audiences: Sequence[str] | None = None, *, run_id: str, sample: int = 0
) -> SelectPreview:
    """Select as the project file says now, look at what it did and what the syncs would send, and take it all back.

    Args:
        workspace: The project with its databases.
        audiences: Names; all when left out.
        run_id: Names the run in messages only: nothing of it is kept.
        sample: So many people who would enter each audience are named by their ids, and so many who would leave.

    Raises:
        ConfigurationError: There is no such audience, or a rule is wrong.
    """
    from millstream.state.audiences.failing import Failing, without_failing
    from millstream.state.audiences.order import built_on
    from millstream.state.audiences.preview import preview_audiences

    project, started, now = workspace.project, time.monotonic(), datetime.now(UTC)
    for name in audiences or ():
        project.audience(name)

    def work(failing: Failing) -> tuple[list[AudiencePreview], list[SyncPreview]]:
        with workspace.store.rehearsal() as connection:
            found = preview_audiences(
                connection,
                project.audiences,
                run_id=run_id,
                as_of=now,
                only=audiences,
                rules=project.traits,
                sample=sample,
                root=project.root,
                sql_seconds=project.sql_seconds,
                failing=failing,
            )
            return found, _syncs(workspace, connection, {one.audience: one for one in found}, run_id=run_id)

    found, syncs = without_failing(work)
    left_out = tuple(built_on(project.audiences, audiences)) if audiences is not None else ()
    return SelectPreview(now, tuple(found), tuple(syncs), left_out, time.monotonic() - started)


def _syncs(
    workspace: Workspace, connection: Connection, audiences: Mapping[str, AudiencePreview], *, run_id: str
) -> list[SyncPreview]:
    """The syncs whose audience moves, or one that comes before it in a priority list."""
    moving = {name for name, one in audiences.items() if one.entered or one.left or one.before != one.after}
    found = []
    for name, sync in workspace.project.syncs.items():
        if sync.audience is None:
            if moving and "memberships" in f"{sync.table} {sync.sql}".lower():
                why = "it reads the memberships by itself: `millstream plan` tells once they are written"
                found.append(_plain(name, sync, None, problem=why))
            continue
        earlier = workspace.project.delivery.earlier_than(sync.audience) if sync.has_holdouts else ()
        if moving & {sync.audience, *earlier}:
            found.append(_planned(workspace, connection, name, audiences.get(sync.audience), run_id=run_id))
    return found


def _planned(
    workspace: Workspace, connection: Connection, name: str, audience: AudiencePreview | None, *, run_id: str
) -> SyncPreview:
    project, sync = workspace.project, workspace.project.syncs[name]
    try:
        plan = workspace.delivery(name).foresee(connection, run_id)
    except ConfigurationError as error:
        return _plain(name, sync, audience, problem=error.what)
    return _plain(
        name,
        sync,
        audience,
        adds=plan.adds,
        updates=plan.updates,
        removes=plan.removes,
        held=plan.held,
        guards=tuple(plan.guards),
        **_restraints(project, sync),
    )


def _restraints(project: Project, sync: Sync) -> dict[str, Any]:
    if sync.audience is None or not sync.has_holdouts:
        return {}
    rules = project.delivery
    return {"holdouts": rules.holdouts_of(sync.audience), "earlier": rules.earlier_than(sync.audience)}


def _plain(name: str, sync: Sync, audience: AudiencePreview | None, **more: Any) -> SyncPreview:
    from millstream.destinations.modes import SyncMode

    return SyncPreview(
        sync=name,
        destination=sync.destination,
        mode=sync.mode.value,
        on_leave=sync.leaving.value if sync.mode is SyncMode.MIRROR else None,
        enabled=sync.enabled,
        audience=sync.audience,
        enter=audience.entered if audience else 0,
        leave=audience.left if audience else 0,
        **more,
    )
