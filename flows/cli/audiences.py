"""The command that looks at audiences, and what a dry run of `select` shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from millstream.flows.cli.application import LOOK, JsonOption, ProjectOption, command
from millstream.flows.cli.choosing import chosen_names

if TYPE_CHECKING:
    from millstream.flows.membership import AudiencesReport
    from millstream.flows.previewing import SelectPreview

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
    from millstream.flows.membership import audiences_report
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
    from millstream.flows.audience_tables import history_rows, overlap_rows, standing_rows
    from millstream.flows.cli.output import Cell, print_note, print_table

    rare = ("change", "sent by", "who")
    print_table(
        f"Audiences of {report.people:,} people", standing_rows(report), rare=rare, empty="The project has none."
    )
    if rows := history_rows(report):
        print_table("Members after each run", rows)
    if report.overlap and len(report.audiences) <= _NARROW:
        print_table("In both, and which share of the smaller one that is", overlap_rows(report))
    elif report.overlap:
        pairs: list[dict[str, Cell]] = [
            {"audience": one.first, "and": one.second, "in both": one.both, "of the smaller": f"{one.share:.0%}"}
            for one in report.overlap.pairs()[:_PAIRS]
        ]
        print_table(f"Largest overlaps, of {len(report.overlap.pairs()):,} pairs", pairs)
    if ready_made:
        made: list[dict[str, Cell]] = [
            {"ready_made": one.name, "used as": ", ".join(one.used_as), "who": one.description}
            for one in report.ready_made
        ]
        print_table("To take as they are", made, rare=("used as",))
    else:
        unused = sum(not one.used_as for one in report.ready_made)
        print_note(f"{unused} ready-made audiences are not used; see `millstream audiences --ready-made`.")


def show_select_preview(preview: SelectPreview, *, as_json: bool) -> bool:
    """Show a dry run: how audiences would change and by what, and which syncs would send how much."""
    from millstream.flows.audience_tables import preview_rows, sync_preview_rows
    from millstream.flows.cli.output import Cell, print_json, print_line, print_note, print_table

    if as_json:
        print_json({"ok": True, "dry_run": True, **preview.as_json()})
        return True
    same = len(preview.audiences) - len(preview_rows(preview))
    print_table("Nothing is written; select would do this", preview_rows(preview), empty="No audience would change.")
    if same and same < len(preview.audiences):
        print_line("1 more stays as it is." if same == 1 else f"{same} more stay as they are.")
    movers: list[dict[str, Cell]] = [
        {"audience": one.audience, "would": "enter" if who.enters else "leave", "person": who.profile_id, "by": who.by}
        for one in preview.audiences
        for who in one.movers
    ]
    if movers:
        print_table("Some of them", movers)
    print_table(
        "Syncs that would get something to do",
        sync_preview_rows(preview),
        rare=("held back", "also", "guards"),
        empty="None.",
    )
    if preview.left_out:
        print_note(f"{', '.join(preview.left_out)} build on these, and follow with the next select of all.")
    print_note(f"Tried on the store and taken back, in {preview.seconds:,.1f} s.")
    return True
