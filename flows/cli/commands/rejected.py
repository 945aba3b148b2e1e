"""The command for rows that destinations refused: rejected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from millstream.flows.cli.application import DELIVER, JsonOption, ProjectOption, command

if TYPE_CHECKING:
    from millstream.flows.showing.cells import Row


@command("rejected", panel=DELIVER)
def rejected(
    *,
    name: Annotated[str | None, typer.Argument(metavar="SYNC", help="One sync; all when left out.")] = None,
    by: Annotated[
        Literal["sync", "code", "reason", "fault"] | None, typer.Option("--by", help="Count them, most first.")
    ] = None,
    code: Annotated[str | None, typer.Option("--code", metavar="CODE", help="Only those with this code.")] = None,
    export: Annotated[
        Path | None, typer.Option("--export", metavar="FILE", help="Write them to a .csv, .jsonl or .parquet file.")
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Have the next run try them again, held ones too.")] = False,
    unknown: Annotated[
        bool,
        typer.Option("--unknown", help="With --retry: also rows sent without an answer, which may then be done twice."),
    ] = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> bool:
    """List the rows that destinations refused, with their reasons and when each is tried again.

    A row is tried again by itself when it changes, and for some time when it does not.
    """
    from millstream.flows.cli.output import print_json, print_note
    from millstream.flows.project import load_project
    from millstream.flows.steering import rejected as refused
    from millstream.flows.steps import Workspace
    from millstream.state.amounts import counted
    from millstream.state.errors import ConfigurationError

    if unknown and not retry:
        raise ConfigurationError("--unknown needs --retry.")
    workspace = Workspace.open(load_project(project))
    if name is not None:
        workspace.project.sync(name)
    retried = workspace.journal.retry_rejected(sync=name, code=code, unknown=unknown) if retry else 0
    rows = refused.rejected(workspace, name, code=code)
    groups = refused.grouped(rows, by) if by else None
    if export is not None:
        refused.export(rows, export)
    if as_json:
        print_json({"rejected": rows, "groups": [asdict(group) for group in groups or ()], "retried": retried})
        return True
    if groups is not None:
        _show_groups(groups, str(by))
    elif export is None and not retry:
        _show_rows(rows)
    if export is not None:
        print_note(f"{counted(len(rows), 'row')} written to {export}.")
    if retry:
        print_note(f"The next run tries {counted(retried, 'row')} again.")
    return True


def _show_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    from millstream.flows.cli.output import print_line, print_table

    by_sync: dict[str, list[Row]] = {}
    for row in rows:
        by_sync.setdefault(row["sync"], []).append(_row(row))
    for sync, shown in by_sync.items():
        print_table(f"{sync}: {len(shown):,} not accepted", shown, rare=("who has to act", "held because"))
    print_line("\nThe story of one: millstream explain PROFILE" if rows else "No row is refused.")


def _row(row: Mapping[str, Any]) -> Row:
    from millstream.flows.cli.output import age

    return {
        "profile": row["profile_id"] or "",
        "what": row["operation"],
        "code": row["code"] or row["status"],
        "reason": row["reason"] or "",
        "who has to act": row["fault"] or "",
        "tries": row["attempts"],
        "first": age(row["first_at"]),
        "next try": age(row["next_try_at"]) or "when the row changes",
        "held because": row["aged_out"] or "",
    }


def _show_groups(groups: Sequence[Any], by: str) -> None:
    from millstream.flows.cli.output import print_table

    print_table(
        f"Not accepted, by {by}",
        [
            {
                "sync": group.sync,
                by: group.group,
                "rows": group.rows,
                "held": group.held,
                "for example": group.example or "",
            }
            for group in groups
        ],
        empty="No row is refused.",
    )
