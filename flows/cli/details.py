"""What a project knows, shown: its state, one person's whole story, the rows that were not accepted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.text import Text
from rich.tree import Tree

from millstream.flows.cli.output import Cell, console, joined, print_json, print_line, print_table

if TYPE_CHECKING:
    from millstream.flows.reading import AudienceMembership, Explanation, Person, StatusReport, SyncStory
    from millstream.state.audiences import Why
    from millstream.state.identity import ProfileExplanation


def show_status(report: StatusReport, *, as_json: bool) -> bool:
    """The last runs, how fresh each stream is, the audiences and the syncs."""
    if as_json:
        print_json(report.as_json())
        return True
    print_table("Last runs", map(_run_row, report.runs), empty="Nothing ran yet.")
    print_table(
        "Sources",
        [
            {"source": one.source, "stream": one.stream, "rows": one.rows, "last rows": _age(one.pulled_at)}
            for one in report.streams
        ],
        empty="Nothing was pulled yet.",
    )
    print_table(
        f"Audiences, of {report.profiles:,} people",
        [
            {"audience": one.audience, "members": one.size, "last change": _age(one.changed_at)}
            for one in report.audiences
        ],
    )
    print_table(
        "Syncs",
        [
            {
                "sync": one.sync,
                "at the destination": one.acknowledged,
                "last said so": _age(one.acknowledged_at),
                "kept back": one.suppressed,
                "not accepted": one.rejected,
                "unsettled plans": one.unsettled,
            }
            for one in report.syncs
        ],
        rare=("kept back", "not accepted", "unsettled plans"),
    )
    return True


def _run_row(run: Mapping[str, Any]) -> dict[str, Cell]:
    started, finished = _utc(run["started_at"]), _utc(run["finished_at"])
    assert started is not None
    return {
        "run": run["run_id"],
        "kind": run["kind"],
        "started": _age(started),
        "took": f"{(finished - started).total_seconds():,.1f} s" if finished else "",
        "status": run["status"],
    }


def show_rejected(rows: Sequence[Mapping[str, Any]], *, as_json: bool) -> bool:
    """The rows that destinations did not accept; people are named by their profile only."""
    if as_json:
        print_json({"rejected": [dict(row) for row in rows]})
        return True
    by_sync: dict[str, list[dict[str, Cell]]] = {}
    for row in rows:
        by_sync.setdefault(row["sync"], []).append(_rejected_row(row))
    for sync, shown in by_sync.items():
        print_table(f"{sync}: {len(shown):,} not accepted", shown, rare=("who has to act",))
    if not rows:
        print_line("Every row was accepted.")
    if rows:
        print_line("\nThe story of one: millstream explain PROFILE")
    return True


def _rejected_row(row: Mapping[str, Any]) -> dict[str, Cell]:
    return {
        "profile": row["profile_id"] or "",
        "what": row["operation"],
        "code": row["code"] or row["status"],
        "reason": row["reason"] or "",
        "who has to act": row["fault"] or "",
        "tries": row["attempts"],
        "next try": _age(row["next_try_at"]) or "when the row changes",
    }


def show_explanation(explanation: Explanation, *, as_json: bool) -> bool:
    """One chain for each person meant: records, what joins them, traits, audiences, what was sent."""
    if as_json:
        print_json(explanation.as_json())
        return True
    if len(explanation.people) > 1:
        print_line(f"{len(explanation.people)} people go by that.")
    for person in explanation.people:
        console().print(_person_tree(person))
    return True


def _person_tree(person: Person) -> Tree:
    tree = Tree(Text(f"profile {person.identity.profile_id}", style="bold"))
    if person.identity.aliases:
        tree.add(Text(f"once also known as {joined(person.identity.aliases)}"))
    _add_records(tree, person.identity)
    traits = tree.add("traits")
    for trait in person.traits:
        source = f"   from {trait.record_id}, {_day(trait.observed_at)}" if trait.record_id else ""
        traits.add(_line(f"{trait.name}: {trait.value}", source))
    consents = tree.add("consents" if person.consents else "consents: none on record, so nothing may be sent")
    for channel, topic, status in person.consents:
        consents.add(Text(f"{channel}, {topic}: {status}"))
    audiences = tree.add("audiences")
    for audience in person.audiences:
        _add_audience(audiences, audience)
    syncs = tree.add("syncs")
    for sync in person.syncs:
        _add_sync(syncs, sync)
    return tree


def _add_records(tree: Tree, identity: ProfileExplanation) -> None:
    records = tree.add(f"{len(identity.records)} records")
    for record in identity.records:
        branch = records.add(_line(record.record_id, f"   {_day(record.observed_at)}"))
        for seen in record.identifiers:
            aside = f"   joins nothing: {seen.blocked}" if seen.blocked else ("" if seen.merges else "   joins nothing")
            branch.add(_line(f"{seen.kind}: {seen.value}", aside))
    if identity.joins:
        joins = tree.add("joined by")
        for join in identity.joins:
            joins.add(Text(f"{join.kind} {join.value}: {join.record_id} and {join.other_id}"))
    if identity.history:
        history = tree.add("history")
        for change in identity.history:
            by = f" by {change.kind} {change.value}" if change.kind else ""
            other = f" with {change.other_id}" if change.other_id else ""
            history.add(_line(f"{change.change}{other}{by}", f"   {_day(change.changed_at)}, run {change.run_id}"))


def _add_audience(branch: Tree, audience: AudienceMembership) -> None:
    state = f"in, since {_day(audience.since)}" if audience.member else "not in"
    _add_rule(branch.add(Text(f"{audience.audience}: {state}")), audience.rule)


def _add_rule(branch: Tree, rule: Why) -> None:
    mark = Text("✓ " if rule.holds else "✗ ", style="green" if rule.holds else "red")
    seen = f"   ({rule.seen})" if rule.seen else ""
    below = branch.add(Text.assemble(mark, rule.condition, (seen, "dim")))
    for part in rule.parts:
        _add_rule(below, part)


def _add_sync(branch: Tree, sync: SyncStory) -> None:
    state = "at the destination" if sync.acknowledged else "not at the destination"
    aside = f"   kept back: {sync.suppressed}" if sync.suppressed else ""
    below = branch.add(_line(f"{sync.sync}: {state}", aside))
    for outcome in sync.outcomes:
        why = " ".join(str(outcome[key]) for key in ("code", "reason") if outcome[key])
        below.add(_line(f"{outcome['operation']}: {outcome['status']} {why}".rstrip(), f"   {_day(outcome['at'])}"))


def _line(text: str, aside: str) -> Text:
    return Text.assemble(text, (aside, "dim"))


def _utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment


def _day(moment: datetime | None) -> str:
    moment = _utc(moment)
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}" if moment else "at an unknown time"


def _age(moment: datetime | None) -> str:
    """``3 h ago``, ``in 5 min``; empty for None."""
    moment = _utc(moment)
    if moment is None:
        return ""
    seconds = (datetime.now(UTC) - moment).total_seconds()
    amount = _rounded(abs(seconds))
    return f"{amount} ago" if seconds >= 0 else f"in {amount}"


def _rounded(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
