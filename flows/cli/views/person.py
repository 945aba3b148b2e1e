"""One person's whole story, shown as a tree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rich.text import Text
from rich.tree import Tree

from millstream.flows.cli.output import age, console, day, joined, print_json, print_line
from millstream.state.amounts import counted, people_counted

if TYPE_CHECKING:
    from millstream.flows.looking.person import AudienceMembership, Explanation, Person, SyncStory, TraitValue
    from millstream.state.audiences import Why
    from millstream.state.identity import ProfileExplanation
    from millstream.state.identity.circumstances import DecisionSeen, LinkSeen, RefusedJoin
    from millstream.state.identity.explain import Change, IdentifierSeen

_NAMED = {"merge": "decision", "unmerge": "decision", "linkage": "link"}
"""What joins without being an identifier."""
_LINK_WORDS = {
    "merged": "joined, as nearly certain",
    "suggested": "waits for review",
    "accepted": "joined, accepted by hand",
    "refused": "refused by hand",
    "withdrawn": "no longer likely",
}


def show_explanation(explanation: Explanation, *, as_json: bool) -> bool:
    """One chain for each person meant: records, what joins them, traits, audiences, what was sent."""
    if as_json:
        print_json(explanation.as_json())
        return True
    if len(explanation.people) > 1:
        print_line(f"{len(explanation.people)} people go by that.")
    for person in explanation.people:
        if person.found_as:
            print_line(f"{person.found_as} was merged into {person.identity.profile_id}, which stands for it.")
        console().print(_person_tree(person))
    return True


def _person_tree(person: Person) -> Tree:
    tree = Tree(Text(f"profile {person.identity.profile_id}", style="bold"))
    if person.identity.aliases:
        tree.add(Text(f"once also known as {joined(person.identity.aliases)}"))
    _add_records(tree, person.identity)
    _add_circumstances(tree, person.identity)
    traits = tree.add("traits")
    for trait in person.traits:
        traits.add(_line(f"{trait.name}: {trait.value}", _origin(trait)))
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


def _origin(trait: TraitValue) -> str:
    parts = [f"from {trait.record_id}, {day(trait.observed_at)}"] if trait.record_id else []
    if trait.confirmed_at and trait.confirmed_at != trait.observed_at:
        parts.append(f"confirmed {day(trait.confirmed_at)}")
    if trait.stale:
        parts.append(f"stale since {day(trait.stale_at)}")
    return f"   {'; '.join(parts)}" if parts else ""


def _add_records(tree: Tree, identity: ProfileExplanation) -> None:
    records = tree.add(counted(len(identity.records), "record"))
    for record in identity.records:
        branch = records.add(_line(record.record_id, f"   {day(record.observed_at)}"))
        for seen in record.identifiers:
            branch.add(_line(f"{seen.kind}: {seen.value}", _aside(seen)))
    if identity.joins:
        joins = tree.add("joined by")
        for join in identity.joins:
            joins.add(Text(f"{_NAMED.get(join.kind, join.kind)} {join.value}: {join.record_id} and {join.other_id}"))
    if identity.history:
        history = tree.add("history")
        for change in identity.history:
            history.add(_line(_happened(change), f"   {day(change.changed_at)}, run {change.run_id}"))


def _aside(seen: IdentifierSeen) -> str:
    if seen.blocked:
        return f"   joins nothing: {seen.blocked}"
    if seen.shared:
        return f"   shared by several people: joins those with one {seen.shared}"
    return "" if seen.merges else "   joins nothing"


def _happened(change: Change) -> str:
    one, other = change.profile_id, change.other_id
    text = {
        "new": f"{one} came to be",
        "merge": f"{other} was merged into {one}",
        "split": f"{other} was split off {one}",
        "unmerge": f"{other} was given back by {one}",
        "removed": f"{one} was removed",
    }.get(change.change, f"{change.change} {one} {other or ''}")
    if change.kind:
        text += f" by {_NAMED.get(change.kind, change.kind)} {change.value}"
    if change.reason:
        text += f": {change.reason}{f', {change.record_id}' if change.record_id else ''}"
    return text


def _add_circumstances(tree: Tree, identity: ProfileExplanation) -> None:
    """What keeps others apart from them, and what connects them without being one person."""
    for value in identity.shared:
        tree.add(
            Text(
                f"{value.kind} {value.value} is shared: {counted(value.records, 'record')} of "
                f"{people_counted(value.groups)}, told apart "
                f"by {value.trait}"
            )
        )
    _add_each(tree, "not joined", map(_refused_line, identity.refused))
    if identity.household:
        mates = tree.add(f"household {identity.household.household_id}")
        for mate in identity.household.others:
            common = joined([f"{kind} {value}" for kind, value in mate.in_common]) or "through the others"
            mates.add(_line(f"with {mate.profile_id}", f"   {common}"))
    _add_each(tree, "decisions", map(_decision_line, identity.decisions))
    _add_links(tree, identity)


def _add_each(tree: Tree, head: str, lines: Iterable[Text]) -> None:
    branch = None
    for line in lines:
        branch = branch or tree.add(head)
        branch.add(line)


def _refused_line(refused: RefusedJoin) -> Text:
    others = f" with {joined(refused.others)}" if refused.others else ""
    by = _NAMED.get(refused.kind, refused.kind)
    return _line(
        f"{refused.record_id} of {refused.profile_id}{others} by {by} {refused.value}: {refused.reason}",
        f"   {day(refused.changed_at)}, run {refused.run_id}",
    )


def _decision_line(decision: DecisionSeen) -> Text:
    held: dict[str, int] = {}
    for _, holder in decision.records:
        name = f"of {holder}" if holder else "gone"
        held[name] = held.get(name, 0) + 1
    named = joined([f"{counted(count, 'record')} {name}" for name, count in held.items()])
    revoked = f", revoked {day(decision.revoked_at)}" if decision.revoked_at else ""
    why = f" ({decision.reason})" if decision.reason else ""
    return _line(
        f"{decision.decision} {decision.decision_id}: {named}{why}",
        f"   {day(decision.made_at)}, by {decision.made_by}{revoked}",
    )


def _add_links(tree: Tree, identity: ProfileExplanation) -> None:
    if not identity.links:
        return
    branch = tree.add("probable links")
    for link in identity.links:
        words = _link_words(link, identity.profile_id)
        holder = f" of {link.other_profile}" if link.other_profile else ""
        below = branch.add(
            _line(
                f"{link.record_id} and {link.other_id}{holder}: {words}",
                f"   {link.link_id}, probability {link.probability:.3f}, weight {link.match_weight:+.1f}",
            )
        )
        below.add(Text(levels_text(link.levels)))


def _link_words(link: LinkSeen, profile_id: str) -> str:
    """What became of a link; one that would join may be forbidden to."""
    why = f" ({link.reason})" if link.reason else ""
    if link.status in ("merged", "accepted") and link.other_profile not in (None, profile_id):
        return f"likely{why}, but not joined: see above"
    return _LINK_WORDS.get(link.status, link.status) + why


def levels_text(levels: Mapping[str, object]) -> str:
    """How well each thing compared agrees, in one line."""
    return "; ".join(f"{name}: {_plain(level)}" for name, level in levels.items())


def _plain(level: object) -> str:
    if isinstance(level, Mapping) and isinstance(weight := level.get("weight"), int | float):
        return f"{level.get('level')} ({weight:+.1f})"
    return str(level)


def _add_audience(branch: Tree, audience: AudienceMembership) -> None:
    state = f"in, since {day(audience.since)}" if audience.member else "not in"
    _add_rule(branch.add(Text(f"{audience.audience}: {state}")), audience.rule)


def _add_rule(branch: Tree, rule: Why) -> None:
    marks = {True: ("✓ ", "green"), False: ("✗ ", "red"), None: ("? ", "yellow")}
    mark = Text(marks[rule.holds][0], style=marks[rule.holds][1])
    seen = f"   ({rule.seen})" if rule.seen else ""
    below = branch.add(Text.assemble(mark, rule.condition, (seen, "dim")))
    for part in rule.parts:
        _add_rule(below, part)


def _add_sync(branch: Tree, sync: SyncStory) -> None:
    state = "at the destination" if sync.acknowledged else "not at the destination"
    alias = f", still as {sync.known_as}" if sync.known_as and sync.acknowledged else ""
    aside = f"   kept back: {sync.suppressed}" if sync.suppressed else ""
    below = branch.add(_line(f"{sync.sync}: {state}{alias}", aside))
    for outcome in sync.outcomes:
        why = " ".join(str(outcome[key]) for key in ("code", "reason") if outcome[key])
        below.add(_line(f"{outcome['operation']}: {outcome['status']} {why}".rstrip(), f"   {day(outcome['at'])}"))
    for refusal in sync.refusals:
        below.add(_waits(refusal))


def _waits(refusal: Mapping[str, Any]) -> Text:
    """What becomes of a row that was not accepted, and who can do something about it."""
    tried = f"tried {counted(refusal['attempts'], 'time')}"
    acts = f", who has to act: {refusal['fault']}" if refusal["fault"] else ""
    then = f"next try {age(refusal['next_try_at']) or 'when the row changes'}"
    if refusal["aged_out"]:
        anyway = " --unknown" if refusal["status"] == "unknown" else ""
        then += f", or by `millstream rejected --retry{anyway}`: {refusal['aged_out']}"
    return _line(f"{refusal['operation']}: waits, {tried}{acts}", f"   {then}")


def _line(text: str, aside: str) -> Text:
    return Text.assemble(text, (aside, "dim"))
