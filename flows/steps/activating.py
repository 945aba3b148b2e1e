"""Activate: bring destinations in step; and plan, which only tells what that would do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from millstream.flows.steps.threads import side_by_side
from millstream.state.errors import MISTAKES, MillstreamError, StoreLockedError, mistaken

if TYPE_CHECKING:
    from millstream.destinations.preview import Look, PlanPreview, SavedPlan
    from millstream.destinations.sync_report import SyncReport
    from millstream.flows.steps.progress import Progress
    from millstream.flows.steps.workspace import Workspace


def plan(workspace: Workspace, sync: str, *, run_id: str, look: Look | None = None) -> PlanPreview:
    """What an activation of a sync would do; nothing is sent."""
    return workspace.delivery(sync).plan(run_id, look)


def plan_all(
    workspace: Workspace, syncs: Sequence[str], *, run_id: str, look: Look
) -> tuple[list[PlanPreview], list[MillstreamError]]:
    """What activations would do, and what keeps others from being planned: nobody else's is lost by it.

    Raises:
        MillstreamError: None can be planned; the first one's error.
    """
    previews: list[PlanPreview] = []
    errors: list[MillstreamError] = []
    for sync in syncs:
        try:
            previews.append(plan(workspace, sync, run_id=run_id, look=look))
        except StoreLockedError:
            raise  # all others would wait for it, too
        except MillstreamError as error:
            errors.append(error.at(f"sync {sync}"))
    if errors and not previews:
        raise errors[0]
    return previews, errors


def activate(
    workspace: Workspace,
    sync: str,
    *,
    run_id: str,
    override_guards: bool = False,
    saved: SavedPlan | None = None,
    progress: Progress | None = None,
) -> SyncReport:
    """Bring a destination in step with a sync's people.

    What goes wrong at the vendor is in the report; only a wrong configuration is raised, or that there is something
    else to send by now than in ``saved``.
    """
    from millstream.destinations.stopping import settled_on_signal

    with settled_on_signal():
        return workspace.delivery(sync).activate(
            run_id, override_guards=override_guards, saved=saved, progress=progress.sent if progress else None
        )


def activate_all(
    workspace: Workspace,
    syncs: Sequence[str],
    *,
    run_id: str,
    override_guards: bool = False,
    progress: Progress | None = None,
) -> list[SyncReport]:
    """Bring destinations in step, side by side; SIGTERM lets what is in flight end and be settled.

    What goes wrong with one, a wrong configuration or a connector's own mistake too, is in its report: nobody else's is
    lost by it.
    """
    from millstream.destinations.stopping import settled_on_signal
    from millstream.destinations.sync_report import SyncReport

    def one(sync: str) -> SyncReport:
        try:
            return activate(workspace, sync, run_id=run_id, override_guards=override_guards, progress=progress)
        except MillstreamError as error:
            why = error
        except MISTAKES as error:
            why = mistaken(error).at(f"sync {sync}")
        report = SyncReport(sync)
        report.end(why, waiting=False)
        return report

    with settled_on_signal():
        return side_by_side(one, syncs)
