"""The command for people who must not be addressed: suppress."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from millstream.flows.cli.application import DELIVER, JsonOption, ProjectOption, command

if TYPE_CHECKING:
    from millstream.flows.showing.cells import Row
    from millstream.flows.steering.suppressions import SuppressionCount


@command("suppress", panel=DELIVER)
def suppress(
    *,
    who: Annotated[
        list[str] | None,
        typer.Argument(metavar="WHO", help="E-mail addresses, phone numbers, vendors' ids or profile ids."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", help="One a line; of a CSV the first column counts.")
    ] = None,
    channel: Annotated[
        str, typer.Option("--channel", metavar="NAME", help="email, sms, ...; all channels when left out.")
    ] = "",
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why.")] = "by hand",
    remove: Annotated[bool, typer.Option("--remove", help="Take them off the list instead.")] = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> bool:
    """Keep people out of every sync, whatever their consent says; without names, count who is on the list.

    They leave mirrored audiences with the next run. The list keeps hashes only.
    """
    from millstream.flows.cli.output import print_json, print_note
    from millstream.flows.project import load_project
    from millstream.flows.steering import suppressions
    from millstream.flows.steps import Workspace
    from millstream.state.amounts import counted

    workspace = Workspace.open(load_project(project))
    names = [*(who or ()), *(suppressions.lines_of(file) if file else ())]
    changed = 0
    if names and remove:
        changed = suppressions.release(workspace, names, channel=channel)
    elif names:
        changed = suppressions.suppress(workspace, names, reason=reason, channel=channel)
    listed = suppressions.suppression_list(workspace)
    if as_json:
        print_json({"changed": changed, "suppressed": [asdict(one) for one in listed]})
        return True
    if names:
        print_note(f"{counted(changed, 'entry', 'entries')} {'taken off' if remove else 'put on'} the list.")
    else:
        _show(listed)
    return True


def _show(listed: Sequence[SuppressionCount]) -> None:
    from millstream.flows.cli.output import age, print_table

    rows: list[Row] = [
        {"channel": one.channel, "reason": one.reason, "entries": one.entries, "latest": age(one.latest)}
        for one in listed
    ]
    print_table("Suppression list", rows, empty="Nobody is on it.")
