"""The commands that steer identity by hand: merge, unmerge, decisions, review."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from millstream.flows.cli.application import STEER, JsonOption, ProjectOption, command

if TYPE_CHECKING:
    from pathlib import Path

    from millstream.flows.steering.reports import Steered
    from millstream.flows.steps import Workspace

Who = "An e-mail address, phone number, vendor's id, record or profile id."
ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; is kept with the decision.")]
ByOption = Annotated[
    str | None, typer.Option("--by", metavar="NAME", help="Who decides; the account's name when left out.")
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only show what would happen.")]


@command("merge", panel=STEER)
def merge(
    *,
    people: Annotated[list[str], typer.Argument(metavar="WHO", help=Who)],
    reason: ReasonOption = "",
    by: ByOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> bool:
    """Say that two or more people are one person.

    Shows both sides and what would come of it, and asks before it is done. Every later run keeps to it.

    The older id stays, and the other one stands for it. `millstream decisions --revoke` takes it back.
    """
    from millstream.flows.steering import identity
    from millstream.state.errors import ConfigurationError

    if len(people) < 2:
        raise ConfigurationError("One person cannot be merged.", remedy="name two or more.")

    def work(workspace: Workspace, run_id: str, keep: bool) -> Steered:
        return identity.merge(
            workspace, people, reason=reason, made_by=by or identity.who_decides(), run_id=run_id, keep=keep
        )

    return _steer("merge", project, work, yes=yes, dry_run=dry_run, as_json=as_json)


@command("unmerge", panel=STEER)
def unmerge(
    *,
    who: Annotated[str, typer.Argument(metavar="WHO", help=f"{Who} An id that was merged away comes out again.")],
    from_id: Annotated[
        str | None, typer.Option("--from", metavar="ID", help="Which id that was merged into the person comes out.")
    ] = None,
    records: Annotated[
        list[str] | None,
        typer.Option("--record", metavar="RECORD", help="A record that is somebody else's; may be repeated."),
    ] = None,
    reason: ReasonOption = "",
    by: ByOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> bool:
    """Take apart what is not one person, whether it was merged by hand or by the rules.

    Without --from and --record the id comes out that was merged into the person; of several, the one that WHO is of.

    Every later run keeps both sides apart. `millstream decisions --revoke` takes it back.
    """
    from millstream.flows.steering import identity
    from millstream.state.errors import ConfigurationError

    if from_id and records:
        raise ConfigurationError("--from and --record say the same in two ways.", remedy="give one of them.")

    def work(workspace: Workspace, run_id: str, keep: bool) -> Steered:
        return identity.unmerge(
            workspace,
            who,
            from_id=from_id,
            records=records or (),
            reason=reason,
            made_by=by or identity.who_decides(),
            run_id=run_id,
            keep=keep,
        )

    return _steer("unmerge", project, work, yes=yes, dry_run=dry_run, as_json=as_json)


@command("decisions", panel=STEER)
def decisions(
    *,
    revoked: Annotated[
        str | None, typer.Option("--revoke", metavar="DECISION", help="Let this one no longer hold.")
    ] = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> bool:
    """List what was merged and unmerged by hand, by whom and why; or revoke one, so that the rules decide again."""
    from millstream.flows.cli.views.decisions import show_decisions
    from millstream.flows.project import load_project
    from millstream.flows.steering import identity
    from millstream.flows.steps import Workspace

    if revoked is None:
        made = identity.list_decisions(Workspace.open(load_project(project)))
        return show_decisions(made, as_json=as_json)

    def work(workspace: Workspace, run_id: str, keep: bool) -> Steered:
        return identity.revoke(workspace, revoked, run_id=run_id, keep=keep)

    return _steer("revoke", project, work, yes=yes, dry_run=dry_run, as_json=as_json)


@command("review", panel=STEER)
def review(
    *,
    accepted: Annotated[
        str | None, typer.Option("--accept", metavar="LINK", help="They are one person: merge them.")
    ] = None,
    refused: Annotated[
        str | None, typer.Option("--refuse", metavar="LINK", help="They are two: do not suggest it again.")
    ] = None,
    reason: ReasonOption = "",
    by: ByOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> bool:
    """List records that are probably one person, and joins that a limit refused; accept or refuse a suggestion."""
    from millstream.flows.cli.views.decisions import show_review
    from millstream.flows.project import load_project
    from millstream.flows.steering import identity
    from millstream.flows.steps import Workspace
    from millstream.state.errors import ConfigurationError

    if accepted and refused:
        raise ConfigurationError("One suggestion at a time.", remedy="give --accept or --refuse.")
    link_id = accepted or refused
    if link_id is None:
        return show_review(identity.review(Workspace.open(load_project(project))), as_json=as_json)

    def work(workspace: Workspace, run_id: str, keep: bool) -> Steered:
        return identity.judge_link(
            workspace,
            link_id,
            accepted=accepted is not None,
            reason=reason,
            made_by=by or identity.who_decides(),
            run_id=run_id,
            keep=keep,
        )

    return _steer("review", project, work, yes=yes, dry_run=dry_run, as_json=as_json)


def _steer(
    kind: str,
    project: Path | None,
    work: Callable[[Workspace, str, bool], Steered],
    *,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> bool:
    from millstream.flows.cli.confirming import confirmed
    from millstream.flows.cli.views.decisions import show_done, show_steered
    from millstream.flows.steering.reports import SteeringRun

    return confirmed(
        kind,
        project,
        work,
        SteeringRun(),
        show=lambda steered: show_steered(steered, as_json=as_json),
        show_done=show_done,
        yes=yes,
        dry_run=dry_run,
        as_json=as_json,
    )
