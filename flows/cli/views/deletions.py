"""Deletions by hand, shown: what goes with one, and the identifiers that were deleted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from millstream.flows.cli.output import day, print_json, print_line, print_note, print_table
from millstream.flows.cli.views.dry_runs import count_rows, show_people
from millstream.flows.showing.audiences import move_rows
from millstream.state.amounts import counted, people_counted

if TYPE_CHECKING:
    from millstream.flows.showing.cells import Row
    from millstream.flows.steering.deleting import Deleted
    from millstream.flows.steering.restoring import Restored
    from millstream.state.model.deleting import DeletedIdentifier


def show_deleted(deleted: Deleted, *, as_json: bool) -> None:
    """What goes, and how people and audiences change with it."""
    if as_json:
        print_json(deleted.as_json())
        return
    would = "is deleted" if deleted.done else "would be deleted"
    named = f"The {deleted.kind} {deleted.name}" if deleted.kind else f"What {deleted.name} brought"
    amounts: Row = {name.replace("_", " "): amount for name, amount in asdict(deleted.deletion).items()}
    print_table(f"{named} {would}", [amounts], rare=("raw rows", "records", "events"))
    print_table("What there is", count_rows(deleted.people))
    show_people(deleted.people)
    print_table("Audiences", move_rows(deleted.audiences))
    if deleted.refusals_kept:
        who = people_counted(deleted.refusals_kept)
        print_note(f"{who} refused, or were suppressed, and nothing that is left would know: the suppression list "
                   f"{'keeps' if deleted.done else 'would keep'} them out; see `millstream suppress`.")  # fmt: skip
    if deleted.in_project:
        print_note(f"{deleted.name} is in the project file: the next run pulls it again, from the start. Take it out "
                   "there if it is to stay away.")  # fmt: skip


def show_done(deleted: Deleted) -> None:
    """What to know once it is done."""
    undo = f" To take it back: millstream delete --restore --kind {deleted.kind} --identifier {deleted.name}"
    print_line(f"\nDone.{undo if deleted.kind else ''}")
    print_note("Destinations are brought in step by the next `millstream run` or `millstream activate`.")


def show_list(deleted: Sequence[DeletedIdentifier], *, as_json: bool) -> bool:
    """The identifiers that were deleted by hand."""
    if as_json:
        print_json({"identifiers": [asdict(one) for one in deleted]})
        return True
    rows: list[Row] = [
        {
            "kind": one.kind,
            "value": one.value,
            "reason": one.reason,
            "by": one.made_by,
            "deleted": day(one.deleted_at),
        }
        for one in deleted
    ]
    print_table("Identifiers deleted by hand", rows, rare=("reason",))
    return True


def show_restored(restored: Restored, *, as_json: bool) -> bool:
    """An identifier that counts again."""
    if as_json:
        print_json(restored.as_json())
        return True
    one = restored.identifier
    if restored.records:
        borne = f"is back on {counted(restored.records, 'record')}: the next run joins who bears it"
    else:
        borne = "counts again, once a record says it"
    print_line(f"The {one.kind} {one.value} {borne}.")
    return True
