"""Decisions by hand on the command line: shown as they would be, agreed to, done, and kept in the journal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from millstream.state.errors import ConfigurationError

if TYPE_CHECKING:
    from millstream.flows.steps import Workspace

DoneT = TypeVar("DoneT")


class DecisionRun(Protocol[DoneT]):
    """What the journal keeps of it."""

    done: DoneT | None

    @property
    def ok(self) -> bool:
        """Whether it was done."""

    def as_json(self) -> Mapping[str, Any]:
        """For programs."""


def confirmed(
    kind: str,
    project: Path | None,
    work: Callable[[Workspace, str, bool], DoneT],
    run: DecisionRun[DoneT],
    *,
    show: Callable[[DoneT], None],
    show_done: Callable[[DoneT], None],
    yes: bool,
    dry_run: bool,
    as_json: bool,
    about: str | None = None,
) -> bool:
    """Show what would happen, ask, do it, and keep in the journal that it was done.

    Args:
        kind: What the journal calls it.
        project: The project file or its folder.
        work: Does it, in a run of this id; or only tries it.
        run: What the journal keeps.
        show: Shows what would happen, or what happened.
        show_done: Says what to know afterwards; not told to programs.
        yes: Do not ask.
        dry_run: Only show.
        as_json: It is for a program.
        about: The source that it is about.

    Raises:
        ConfigurationError: It cannot be done; or it could, and there is nobody to ask.
    """
    from millstream.flows import steps
    from millstream.flows.cli.asking import agreed, someone_is_there
    from millstream.flows.project import load_project

    workspace, run_id = steps.Workspace.open(load_project(project)), steps.new_run_id()
    tried = work(workspace, run_id, False)
    if not (yes or dry_run) and (as_json or not someone_is_there()):
        raise ConfigurationError(
            "Nobody is there to confirm it.", remedy="add --yes, or --dry-run to only see what would happen."
        )
    if not yes or dry_run:
        show(tried)
        if dry_run or not agreed():
            return dry_run
    with steps.recorded_run(workspace, run_id, kind, run, about=about and [about]):
        done = run.done = work(workspace, run_id, True)
    if yes:
        show(done)
    if not as_json:
        show_done(done)
    return True
