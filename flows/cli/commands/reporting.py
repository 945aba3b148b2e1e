"""The command that makes a page to be read: report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from millstream.flows.cli.application import LOOK, JsonOption, PrefectOption, ProjectOption, command


@command("report", panel=LOOK)
def report(
    *,
    output: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="The page; where the project file says if left out."),
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    project: ProjectOption = None,
    prefect: PrefectOption = False,
    as_json: JsonOption = False,
) -> bool:
    """Write one HTML page about people, audiences, figures, quality and deliveries, to be read and sent around.

    It holds counts only, names nobody, and needs no network. --json prints its numbers as well.
    """
    from millstream.flows.cli.engines import engine_for
    from millstream.flows.cli.output import print_json, print_line
    from millstream.flows.project import load_project

    written = engine_for(load_project(project), prefect=prefect).report(output)
    if as_json:
        print_json({**written.as_json(), "sections": [section.as_json() for section in written.sections]})
    else:
        print_line(f"{written.path}: {written.size / 1e6:.1f} MB, in {written.seconds:.1f} s")
    if open_page and written.path:
        import webbrowser

        webbrowser.open(written.path.as_uri())
    return written.ok
