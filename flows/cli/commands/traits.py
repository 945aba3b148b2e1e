"""The command that lists computed traits: traits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from millstream.flows.cli.application import LOOK, JsonOption, ProjectOption, command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from millstream.flows.looking.traits import TraitDetails, TraitStatus
    from millstream.flows.showing.cells import Row


@command("traits", panel=LOOK)
def traits(
    *,
    name: Annotated[
        str | None, typer.Argument(metavar="TRAIT", help="Tell all of this one; lists all when none.")
    ] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> bool:
    """List the computed traits: who has a value, when it was computed, whether that went well.

    With a trait's name: what it means, what it is computed from and how, what stands behind a prediction in plain
    words, and how its values are spread. No single person is shown.
    """
    from millstream.flows.cli.output import print_json
    from millstream.flows.looking.traits import list_traits, trait_details
    from millstream.flows.project import load_project
    from millstream.flows.steps import Workspace

    workspace = Workspace.open(load_project(project))
    if name is not None:
        details = trait_details(workspace, name)
        if as_json:
            print_json(details.as_json())
        else:
            _show_details(details)
        return True
    listed = list_traits(workspace)
    if as_json:
        print_json({"traits": [vars(one) for one in listed]})
    else:
        _show_list(listed)
    return True


def _show_list(listed: Sequence[TraitStatus]) -> None:
    from millstream.flows.cli.output import age, print_error, print_note, print_table

    rows: list[Row] = [
        {
            "trait": one.trait,
            "set": one.trait_set,
            "type": f"{one.type}, {one.unit}" if one.unit else one.type,
            "people": one.people if one.people is not None else "",
            "share": f"{one.share:.0%}" if one.share is not None else "",
            "computed": age(one.computed_at) or "never",
            "status": one.status,
        }
        for one in listed
    ]
    print_table("Computed traits", rows)
    reasons = {one.trait_set: one for one in listed if one.message}
    for trait_set, one in reasons.items():
        (print_error if one.status == "failed" else print_note)(f"{trait_set}: {one.message}")
    if not any(one.computed_at for one in listed):
        print_note("Nothing is computed yet: run `millstream describe`.")


def _show_details(details: TraitDetails) -> None:
    from millstream.flows.cli.output import age, print_line, print_table

    status = details.status
    print_line(f"{status.trait}: {status.description}")
    facts = {
        "type": f"{status.type}, {status.unit}" if status.unit else status.type,
        "set": f"{status.trait_set} ({details.file}): {details.about}" if details.file else status.trait_set,
        "computed from": ", ".join(details.inputs),
        "at most every": details.every,
        "people": f"{status.people:,} ({status.share:.0%})" if status.people is not None else "",
        "computed": age(status.computed_at) or "never",
        "status": status.status,
        "why": status.message,
    }
    for title, text in facts.items():
        if text:
            print_line(f"  {title}: {text}")
    if details.quantiles:
        print_table("So large a share of the people is at most at", [details.quantiles])
    if details.groups:
        print_table("Values", [{"value": one.value, "people": one.people} for one in details.groups])
        if details.others:
            print_line(f"  {details.others:,} people have other values, which few share.")
    if details.card:
        print_line(f"\n{details.card.sentence}")
        for line in details.card.lines():
            print_line(f"  {line}")
        _show_calibration(details)
    if details.sql:
        print_line(f"\n{details.sql}")


def _show_calibration(details: TraitDetails) -> None:
    from millstream.flows.cli.output import print_table
    from millstream.flows.showing.traits import calibration_rows

    assert details.card is not None
    rows = calibration_rows(details.card)
    if rows:
        print_table("Foretold, and what happened on time it had not seen", rows)
