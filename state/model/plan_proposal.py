"""What to write into the tracking plan so that near-duplicates become one event, as text of the project file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import yaml

from millstream.state.model.similar_names import KnownNames, Similar, words_of
from millstream.state.model.tracking_plan import TrackingPlan, fold
from millstream.state.privacy import redact


@dataclass
class Proposal:
    """Names that become one event.

    Attributes:
        event: The canonical name, which the plan has or is to have.
        is_planned: Whether the plan has it.
        names: The names that are to be its aliases, the most frequent first.
    """

    event: str
    is_planned: bool
    names: list[str] = field(default_factory=list)


def propose(plan: TrackingPlan, unknown: Iterable[str]) -> tuple[list[Proposal], dict[str, Similar]]:
    """Find what unknown names are probably meant for: events of the plan, or one another.

    Args:
        plan: The whole plan.
        unknown: Names that it does not know, the most frequent first.

    Returns:
        Proposals, and for each name that is like another, that one and why.
    """
    planned, others = KnownNames(), KnownNames()
    for canonical, event in plan.events.items():
        for name in (canonical, *event.aliases):
            planned.add(name, canonical)
    proposals: dict[str, Proposal] = {}
    similar: dict[str, Similar] = {}
    for name in unknown:
        if redact(name) != name:
            continue  # with somebody's address in it, it is no event's name
        if found := planned.closest(name):
            proposals.setdefault(found.name, Proposal(found.name, True)).names.append(name)
        elif found := others.closest(name):
            proposals.setdefault(found.name, Proposal(as_canonical(found.name), False, [found.name])).names.append(name)
        else:
            others.add(name, name)
            continue
        similar[name] = found
    return list(proposals.values()), similar


def as_canonical(name: str) -> str:
    """A name as canonical ones are written: ``signed_up`` as ``Signed Up``. One that is written so stays."""
    if " " in name and name[:1].isupper():
        return name
    return " ".join(word[:1].upper() + word[1:] for word in words_of(name)) or name


def proposal_text(own: TrackingPlan, proposals: Sequence[Proposal]) -> str:
    """The section ``tracking_plan`` with the events that proposals change, each whole; empty where there are none.

    Args:
        own: The project's plan, as it stands in the file.
        proposals: What to add.
    """
    events: dict[str, Mapping[str, object]] = {}
    for proposal in proposals:
        mine = own.events.get(proposal.event)
        known = [*mine.aliases] if mine else []
        said = mine.model_dump(mode="json", exclude_unset=True) if mine else {}
        aliases = _without_repeats([*known, *proposal.names], proposal.event)
        events[proposal.event] = {**said, "aliases": aliases} if aliases else said
    if not events:
        return ""
    section = {"tracking_plan": {"events": events}}
    return yaml.safe_dump(section, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)


def _without_repeats(names: Iterable[str], canonical: str) -> list[str]:
    """One spelling of each: case, spaces and punctuation do not matter to an alias."""
    by_letters = {fold(name): name for name in reversed(list(names)) if fold(name) != fold(canonical)}
    return list(reversed(by_letters.values()))
