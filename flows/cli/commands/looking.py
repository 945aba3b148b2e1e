"""The commands that only look: status, explain."""

from __future__ import annotations

from typing import Annotated

import typer

from millstream.flows.cli.application import LOOK, JsonOption, ProjectOption, command


@command("status", panel=LOOK)
def status(*, project: ProjectOption = None, as_json: JsonOption = False) -> bool:
    """Show the last runs, how fresh each source is, the audiences, and the syncs."""
    from millstream.flows.cli.views.status import show_status
    from millstream.flows.looking.status import status as read_status
    from millstream.flows.project import load_project
    from millstream.flows.steps import Workspace

    return show_status(read_status(Workspace.open(load_project(project))), as_json=as_json)


@command("explain", panel=LOOK)
def explain(
    *,
    who: Annotated[
        str, typer.Argument(metavar="WHO", help="An e-mail address, phone number, vendor's id, record or profile id.")
    ],
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> bool:
    """Tell why a person is who they are: records, what joins them and what does not, audiences, and what was sent.

    Also decisions by hand, probable links, the household, how fresh each trait is, and each audience with its rule.
    It shows personal data in clear, to whoever may read the store anyway.
    """
    from millstream.flows.cli.views.person import show_explanation
    from millstream.flows.looking.person import explain as explain_person
    from millstream.flows.project import load_project
    from millstream.flows.steps import Workspace

    explanation = explain_person(Workspace.open(load_project(project)), who)
    return show_explanation(explanation, as_json=as_json)
