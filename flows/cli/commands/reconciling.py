"""The command that reads destinations back: reconcile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from millstream.flows.cli.application import DELIVER, JsonOption, PrefectOption, ProjectOption, command
from millstream.flows.cli.choosing import chosen_names

if TYPE_CHECKING:
    from millstream.flows.steps.reconciling import ReconcileReport


@command("reconcile", panel=DELIVER)
def reconcile(
    *,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="SYNC", help="Syncs; all enabled ones when none.")
    ] = None,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Have the next `activate` put right what is not as acknowledged."),
    ] = False,
    project: ProjectOption = None,
    prefect: PrefectOption = False,
    as_json: JsonOption = False,
) -> bool:
    """Compare what destinations hold with what they acknowledged: who is missing, who is there although taken out.

    Only reads. People whom a sync did not put there are counted, and never touched, with --repair neither.
    """
    from millstream.flows.cli.engines import engine_for
    from millstream.flows.project import load_project

    loaded = load_project(project)
    syncs = chosen_names("sync", names, loaded.syncs, default=loaded.enabled_syncs)
    loaded.require(destinations=dict.fromkeys(loaded.syncs[name].destination for name in syncs))
    report = engine_for(loaded, prefect=prefect).reconcile(syncs, repair=repair)
    return _show(report, as_json=as_json)


def _show(report: ReconcileReport, *, as_json: bool) -> bool:
    from millstream.flows.cli.output import print_error, print_json, print_note, print_table
    from millstream.flows.showing.syncs import RARELY_DRIFTED, drift_rows
    from millstream.state.amounts import people_counted

    if as_json:
        print_json({**report.as_json(), "problems": report.problems})
    else:
        print_table("Read back", drift_rows(report.reconciled), rare=RARELY_DRIFTED, empty="There is no sync.")
        if repaired := sum(one.repaired for one in report.reconciled):
            print_note(f"The next `millstream activate` puts {people_counted(repaired)} right.")
    for problem in report.problems:
        print_error(problem)
    return report.ok
