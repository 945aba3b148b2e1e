"""Decisions about identity, shown: what one does, those that were made, what waits for one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from millstream.flows.cli.output import day, joined, print_json, print_line, print_note, print_table
from millstream.flows.cli.views.person import levels_text
from millstream.state.amounts import counted, people_counted

if TYPE_CHECKING:
    from millstream.flows.showing.cells import Row
    from millstream.flows.steering.reports import Review, Steered
    from millstream.flows.steering.sides import Side
    from millstream.state.identity.decisions import Decision

_MOST_TRAITS = 40
_TITLES = {
    "merge": ("{before} are one person", "{before} would be one person"),
    "unmerge": ("One person is {after}", "One person would be {after}"),
    "revoke": ("The decision no longer holds", "The decision would no longer hold"),
    "accept": ("The suggestion is accepted", "The suggestion would be accepted"),
    "refuse": ("The suggestion is refused", "The suggestion would be refused"),
}


def show_steered(steered: Steered, *, as_json: bool) -> None:
    """The people a decision is about, side by side, before and after."""
    if as_json:
        print_json(steered.as_json())
        return
    title = _TITLES[steered.decision][0 if steered.done else 1]
    before, after = people_counted(len(steered.before)), people_counted(len(steered.after))
    print_table(title.format(before=before, after=after), _trait_rows(steered))
    audiences = _audience_rows(steered)
    if audiences:
        print_table("Audiences", audiences)
    if steered.others:
        change = "changed" if steered.done else "would change"
        print_note(f"{counted(steered.others, 'other person', 'other people')} {change} with it.")


def show_done(steered: Steered) -> None:
    """What to know once it is done."""
    if steered.decision in ("merge", "unmerge"):
        print_line(f"\nDone, as {steered.decision_id}. To take it back: millstream decisions --revoke"
                   f" {steered.decision_id}")  # fmt: skip
    else:
        print_line("\nDone.")
    if _changes(steered):
        print_note("Destinations are brought in step by the next `millstream run` or `millstream activate`.")


def _changes(steered: Steered) -> bool:
    before, after = ({(side.profile_id, side.records) for side in sides} for sides in (steered.before, steered.after))
    return before != after


def _sides(steered: Steered) -> list[tuple[str, Side]]:
    """The columns: everybody before, and where that changes anything, after."""
    sides = [(side.profile_id, side) for side in steered.before]
    return sides + [(f"then {side.profile_id}", side) for side in steered.after] if _changes(steered) else sides


def _trait_rows(steered: Steered) -> list[Row]:
    sides = _sides(steered)
    names = list(dict.fromkeys(name for _, side in sides for name in side.traits))
    rows: list[Row] = [{"": "records", **{head: f"{side.records:,}" for head, side in sides}}]
    rows += [{"": name, **{head: side.traits.get(name, "") for head, side in sides}} for name in names[:_MOST_TRAITS]]
    if len(names) > _MOST_TRAITS:
        rows.append({"": f"and {len(names) - _MOST_TRAITS} more: --json", **{head: "" for head, _ in sides}})
    return rows


def _audience_rows(steered: Steered) -> list[Row]:
    sides = _sides(steered)
    names = sorted({name for _, side in sides for name in side.audiences})
    return [
        {"audience": name, **{head: "in" if name in side.audiences else "" for head, side in sides}} for name in names
    ]


def show_decisions(made: Sequence[Decision], *, as_json: bool) -> bool:
    """All decisions by hand."""
    if as_json:
        print_json({"decisions": [asdict(decision) for decision in made]})
        return True
    rows: list[Row] = [
        {
            "decision": one.decision_id,
            "what": one.decision,
            "records": _sizes(one),
            "reason": one.reason,
            "by": one.made_by,
            "made": day(one.made_at),
            "revoked": day(one.revoked_at) if one.revoked_at else "",
        }
        for one in made
    ]
    print_table("Decisions by hand", rows, rare=("reason", "revoked"))
    return True


def _sizes(decision: Decision) -> str:
    sides = [side for _, side in decision.records]
    return f"{sides.count('a')} and {sides.count('b')}"


def show_review(review: Review, *, as_json: bool) -> bool:
    """What waits for somebody to look at it."""
    if as_json:
        print_json(review.as_json())
        return True
    suggestions: list[Row] = [
        {
            "link": link.link_id,
            "probability": f"{link.probability:.3f}",
            "weight": f"{link.match_weight:+.1f}",
            "people": f"{link.profile_a}\n{link.profile_b}",
            "records": f"{link.record_a}\n{link.record_b}",
            "how they compare": levels_text(link.levels),
        }
        for link in review.suggestions
    ]
    print_table("Probably one person", suggestions, empty="Nothing is suggested.")
    if suggestions:
        print_line("\nBoth sides of one: millstream review --accept LINK --dry-run")
    refused: list[Row] = [
        {
            "record": join.record_id,
            "of": join.profile_id,
            "not joined with": joined(join.others),
            "by": f"{join.kind} {join.value}",
            "because": join.reason,
            "since": day(join.changed_at),
        }
        for join in review.refused
    ]
    print_table("Joins that were refused", refused, empty="None was refused.")
    return True
