"""Dry runs, shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millstream.flows.cli.output import print_json, print_line, print_note, print_table
from millstream.flows.showing.audiences import move_rows
from millstream.flows.showing.people import change_row
from millstream.state.amounts import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from millstream.flows.dry_runs.resolving import Rehearsal
    from millstream.flows.dry_runs.selecting import SelectPreview
    from millstream.flows.showing.cells import Row
    from millstream.state.identity.changes import Cause, Preview

_COUNTS = {
    "profiles": "people",
    "households": "households",
    "blocked_values": "values left aside",
    "shared_values": "shared values",
    "refused_joins": "joins refused",
    "suggestions": "to review",
}


def show_rehearsal(rehearsal: Rehearsal, *, as_json: bool) -> bool:
    """What would change: how many people, the largest merges and splits with their causes, values, audiences."""
    if as_json:
        print_json({"ok": True, "dry_run": True, **rehearsal.as_json()})
        return True
    print_line(_compared_with(rehearsal))
    print_table("Nothing is written; resolve would do this", count_rows(rehearsal.people))
    show_people(rehearsal.people)
    print_table("Audiences", move_rows(rehearsal.audiences))
    print_note(f"Tried on the store and taken back, in {rehearsal.seconds:,.1f} s.")
    return True


def show_people(people: Preview) -> None:
    """How many people change, and the largest merges and splits with their causes."""
    print_table("People", [change_row(people)])
    if people.merges:
        print_table("Largest merges", [
            {"person": one.profile_id, "of people": one.profiles, "records": one.records, "by": _causes(one.causes)}
            for one in people.merges
        ])  # fmt: skip
    if people.splits:
        print_table("Largest splits", [
            {"person": one.profile_id, "into": one.parts, "records": one.records, "keeps": one.kept,
             "no longer joined by": _causes(one.causes)}
            for one in people.splits
        ])  # fmt: skip
    if people.values:
        print_table(f"Values that change, {people.turned:,} in all", [
            {"kind": one.kind, "value": one.value, "records": one.records, "was": one.was or "joins",
             "becomes": one.becomes or "joins"}
            for one in people.values
        ])  # fmt: skip
    print_table("Largest people then", [
        {"person": one.profile_id, "records": one.records, "now": one.records_before, "of people": one.profiles_before}
        for one in people.largest
    ])  # fmt: skip


def _compared_with(rehearsal: Rehearsal) -> str:
    rows = counted(rehearsal.new_rows, "new row")
    if rehearsal.rules_changed:
        also = f", with {rows} counted on both sides" if rehearsal.new_rows else ""
        return f"Compared with the identity rules of the last run{also}."
    return (
        f"The identity rules are those of the last run: what changes comes from {rows}, from time, or from other "
        "parts of the project file."
    )


def count_rows(people: Preview) -> list[Row]:
    """What there is now and what there is then: people, households, values."""
    return [
        {"": words, "now": people.before[name], "then": people.after[name]}
        for name, words in _COUNTS.items()
        if name == "profiles" or people.before[name] or people.after[name]
    ]


def _causes(causes: Sequence[Cause]) -> str:
    shown = [cause_text(cause) for cause in causes[:3]]
    more = [f"and {len(causes) - 3} more"] if len(causes) > 3 else []
    return "\n".join([*shown, *more])


def cause_text(cause: Cause) -> str:
    """``email ana@box.example: rules changed``."""
    named = " ".join(part for part in (cause.kind, cause.value) if part)
    reason = cause.reason if cause.reason != cause.kind else None
    return ": ".join(part for part in (named, reason) if part) or "unknown"


def show_select_preview(preview: SelectPreview, *, as_json: bool) -> bool:
    """Show a dry run: how audiences would change and by what, and which syncs would send how much."""
    from millstream.flows.cli.output import print_json, print_line, print_note, print_table
    from millstream.flows.showing.audiences import preview_rows, sync_preview_rows

    if as_json:
        print_json({"ok": True, "dry_run": True, **preview.as_json()})
        return True
    same = len(preview.audiences) - len(preview_rows(preview))
    print_table("Nothing is written; select would do this", preview_rows(preview), empty="No audience would change.")
    if same and same < len(preview.audiences):
        print_line("1 more stays as it is." if same == 1 else f"{same} more stay as they are.")
    movers: list[Row] = [
        {"audience": one.audience, "would": "enter" if who.enters else "leave", "person": who.profile_id, "by": who.by}
        for one in preview.audiences
        for who in one.movers
    ]
    if movers:
        print_table("Some of them", movers)
    print_table(
        "Syncs that would get something to do",
        sync_preview_rows(preview),
        rare=("kept back", "also", "guards"),
        empty="None.",
    )
    if preview.left_out:
        print_note(f"{', '.join(preview.left_out)} build on these, and follow with the next select of all.")
    print_note(f"Tried on the store and taken back, in {preview.seconds:,.1f} s.")
    return True
