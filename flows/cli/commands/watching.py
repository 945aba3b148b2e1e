"""The command that looks at the clock: watch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from millstream.flows.cli.application import LOOK, JsonOption, ProjectOption, command

if TYPE_CHECKING:
    from millstream.flows.alerting import WatchReport
    from millstream.flows.showing.cells import Row
    from millstream.flows.steps import Workspace


@command("watch", panel=LOOK)
def watch(
    *,
    test: Annotated[bool, typer.Option("--test", help="Only send a message to every channel, to try them.")] = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> bool:
    """Tell of syncs that are late and schedules that did not start, and list all that is wrong now.

    Runs look at themselves when they end. What never starts has to be looked at from outside: have cron or a monitor
    call this every few minutes, not on the worker's machine where that matters. Exit code 1: something is wrong.
    """
    from millstream.flows.alerting import watch as look
    from millstream.flows.project import load_project
    from millstream.flows.steps import Workspace, new_run_id

    workspace = Workspace.open(load_project(project))
    if test:
        return _test(workspace, as_json=as_json)
    return _show(look(workspace, run_id=new_run_id()), as_json=as_json)


def _show(report: WatchReport, *, as_json: bool) -> bool:
    from millstream.flows.cli.output import age, print_error, print_json, print_note, print_table

    if as_json:
        print_json(report.as_json())
    else:
        rows: list[Row] = [
            {"what": one.subject, "kind": one.kind, "since": age(one.since), "owner": one.owner or "", "more": one.what}
            for one in report.firing
        ]
        print_table("Wrong now", rows, rare=("owner",), empty="Nothing.")
        if report.told:
            print_note(f"{report.told:,} changes were told.")
    for failure in report.failures:
        print_error(f"channel {failure.channel}: {failure.problem}")
    return report.ok


def _test(workspace: Workspace, *, as_json: bool) -> bool:
    from millstream.flows.alerting import try_channels
    from millstream.flows.cli.output import print_json, print_table

    tried = try_channels(workspace)
    ok = not any(tried.values())
    if as_json:
        print_json({"ok": ok, "channels": tried})
    else:
        rows: list[Row] = [
            {"channel": name, "ok": problem is None, "problem": problem or ""} for name, problem in tried.items()
        ]
        print_table("Channels", rows, rare=("problem",), empty="The project file has none, see docs/delivery.md.")
    return ok
