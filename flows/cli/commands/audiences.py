"""The command that looks at audiences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from millstream.flows.cli.application import LOOK, JsonOption, ProjectOption, command
from millstream.flows.cli.choosing import chosen_names

if TYPE_CHECKING:
    from millstream.flows.looking.audiences import AudiencesReport
    from millstream.flows.showing.cells import Row

_NARROW = 8
"""So many audiences at most stand beside each other in a matrix; of more, the pairs are listed."""
_PAIRS = 40


@command("audiences", panel=LOOK)
def audiences(
    *,
    names: Annotated[list[str] | None, typer.Argument(metavar="AUDIENCE", help="Audiences; all when none.")] = None,
    overlap: Annotated[bool, typer.Option("--overlap", help="Count who is in two of them at once.")] = False,
    history: Annotated[int, typer.Option("--history", metavar="N", min=0, help="Show the sizes after N runs.")] = 0,
    ready_made: Annotated[bool, typer.Option("--ready-made", help="Show the audiences to take as they are.")] = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> bool:
    """Show how large the audiences are, how that changed, and which syncs send them. Nothing is computed anew.

    With --json all of it comes at once: sizes of the last 30 runs, overlap, and the ready-made audiences.
    """
    from millstream.flows.cli.output import print_json
    from millstream.flows.looking.audiences import audiences_report
    from millstream.flows.project import load_project
    from millstream.flows.steps import Workspace

    loaded = load_project(project)
    chosen = chosen_names("audience", names, loaded.audiences) if names else list(loaded.audiences)
    runs = history or (30 if as_json else 0)
    report = audiences_report(Workspace.open(loaded), chosen, runs=runs, overlap=overlap or as_json)
    if as_json:
        print_json({"ok": True, **report.as_json()})
    else:
        _show(report, ready_made=ready_made)
    return True


def _show(report: AudiencesReport, *, ready_made: bool) -> None:
    from millstream.flows.cli.output import print_note, print_table
    from millstream.flows.showing.audiences import history_rows, overlap_rows, standing_rows
    from millstream.state.amounts import counted, people_counted

    rare = ("change", "sent by", "who")
    print_table(
        f"Audiences of {people_counted(report.people)}", standing_rows(report), rare=rare, empty="The project has none."
    )
    if rows := history_rows(report):
        print_table("Members after each run", rows)
    if report.overlap and len(report.audiences) <= _NARROW:
        print_table("In both, and which share of the smaller one that is", overlap_rows(report))
    elif report.overlap:
        pairs: list[Row] = [
            {"audience": one.first, "and": one.second, "in both": one.both, "of the smaller": f"{one.share:.0%}"}
            for one in report.overlap.pairs()[:_PAIRS]
        ]
        print_table(f"Largest overlaps, of {len(report.overlap.pairs()):,} pairs", pairs)
    if ready_made:
        made: list[Row] = [
            {"ready-made": one.name, "used as": ", ".join(one.used_as), "who": one.description}
            for one in report.ready_made
        ]
        print_table("To take as they are", made, rare=("used as",))
    else:
        unused = sum(not one.used_as for one in report.ready_made)
        several = counted(unused, "ready-made audience is", "ready-made audiences are")
        print_note(f"{several} not used; see `millstream audiences --ready-made`.")
