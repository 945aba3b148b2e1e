"""The command that deletes what a source brought, or an identifier: delete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from millstream.flows.cli.application import STEER, JsonOption, ProjectOption, command
from millstream.flows.cli.commands.steering import ByOption, DryRunOption, ReasonOption, YesOption

if TYPE_CHECKING:
    from millstream.flows.steering.deleting import Deleted
    from millstream.flows.steps import Workspace


@command("delete", panel=STEER)
def delete(
    *,
    source: Annotated[
        str | None,
        typer.Option("--source", metavar="NAME", help="All that a source brought; also one that the project has lost."),
    ] = None,
    identifier: Annotated[
        str | None,
        typer.Option("--identifier", metavar="VALUE", help="An e-mail address, phone number or any other id."),
    ] = None,
    kind: Annotated[
        str | None, typer.Option("--kind", metavar="KIND", help="Of the identifier, where several have that value.")
    ] = None,
    restore: Annotated[
        bool, typer.Option("--restore", help="Let the identifier, deleted before, be known again instead.")
    ] = False,
    reason: ReasonOption = "",
    by: ByOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> bool:
    """Delete from the store what a source brought, or an identifier; without either, list the identifiers deleted.

    Shows what goes and who comes apart, and asks before it is done. A source is then read from the start, if it is
    still in the project; an identifier stays away, though sources still say it. Nothing is deleted at a vendor.
    """
    from millstream.flows import steps
    from millstream.flows.cli.confirming import confirmed
    from millstream.flows.cli.views.deletions import show_deleted, show_done, show_list, show_restored
    from millstream.flows.project import load_project
    from millstream.flows.steering import deleting, restoring
    from millstream.flows.steering.identity import who_decides
    from millstream.flows.steps import Workspace
    from millstream.state.errors import ConfigurationError

    if source is not None and identifier is not None:
        raise ConfigurationError("One thing at a time.", remedy="give --source or --identifier.")
    for option, name in (("--source", source), ("--identifier", identifier)):
        if name is not None and not name.strip():
            raise ConfigurationError(f"{option} is empty.", remedy="say what is to be deleted.")
    if identifier is None and (restore or kind):
        raise ConfigurationError(
            f"{'--restore' if restore else '--kind'} needs --identifier.",
            remedy="say which by --identifier; `millstream delete` lists those that were deleted.",
        )
    if restore and dry_run:
        raise ConfigurationError(
            "--restore cannot be tried.",
            where="--dry-run",
            remedy="leave --dry-run out; nothing was changed. What comes of it, `millstream resolve --dry-run` shows.",
        )
    if source is None and identifier is None:
        return show_list(restoring.list_deleted(Workspace.open(load_project(project))), as_json=as_json)
    made_by = by or who_decides()
    if restore and identifier:
        workspace, restored = Workspace.open(load_project(project)), restoring.RestoreRun(reason, made_by)
        with steps.recorded_run(workspace, steps.new_run_id(), "restore", restored):
            restored.done = restoring.restore_identifier(workspace, identifier, kind=kind)
        return show_restored(restored.done, as_json=as_json)

    def work(workspace: Workspace, run_id: str, keep: bool) -> Deleted:
        if source:
            return deleting.delete_source(workspace, source, run_id=run_id, keep=keep)
        return deleting.delete_identifier(
            workspace, identifier or "", kind=kind, reason=reason, made_by=made_by, run_id=run_id, keep=keep
        )

    return confirmed(
        "delete",
        project,
        work,
        deleting.DeletionRun(reason, made_by),
        show=lambda deleted: show_deleted(deleted, as_json=as_json),
        show_done=show_done,
        yes=yes,
        dry_run=dry_run,
        as_json=as_json,
        about=source,
    )
