"""Traits: the groups people fall into, how much is known of them, and how far predictions can be trusted."""

from __future__ import annotations

from collections.abc import Iterator

from millstream.flows.report import charts
from millstream.flows.report.blocks import Block, Chart, Missing, Note, Section, Table
from millstream.flows.report.facts.traits import Trait, TraitFacts
from millstream.flows.report.gather import ReportData
from millstream.flows.report.numbers import (
    NOTHING,
    day,
    drawn,
    people_count,
    people_share,
    titled,
    words,
)

_MOST_GROUPS = 10


def traits_section(data: ReportData) -> Section:
    """What is true of people."""
    facts, title = data.traits, "What is known of people"
    blocks = tuple(_blocks(facts, data.people.people if data.people else 0))
    if not facts.described:
        missing = Missing(
            "Here stand the groups people fall into, how many have each computed trait, and how good the predictions "
            "are, once traits were computed.",
            "millstream describe",
        )
        return Section("traits", title, "", (missing, *blocks))
    sets = len({one.trait_set for one in facts.traits})
    return Section("traits", title, f"{len(facts.traits):,} computed traits in {sets:,} sets.", blocks)


def _blocks(facts: TraitFacts, people: int) -> Iterator[Block]:
    descriptions = {one.name: one.description for one in facts.traits}
    for trait, groups in facts.groups.items():
        yield _groups(trait, groups, descriptions.get(trait, ""), people)
    if any(one.people is not None for one in facts.traits):
        yield _coverage(facts.traits)
    for trait, card in facts.cards.items():
        yield Note(f"{titled(trait)}: {card.sentence}")  # which says what the model is worth, and whether it is used
    if facts.cards:
        yield _cards(facts)
    for state in facts.states:
        told = state.message if state.message.lower().startswith(state.status) else f"{state.status}. {state.message}"
        yield Note(f"Set {words(state.name)}: {told[:1].lower()}{told[1:]}".strip())
    if facts.fresh:
        yield Table(
            "Values that go stale",
            ("trait", "believed for", "people who have it", "still believed"),
            tuple(
                (words(one.trait), f"{one.lifetime_days:,} days", people_count(one.people),
                 people_share(one.fresh, one.people))
                for one in facts.fresh
            ),
            frozenset({2, 3}),
        )  # fmt: skip


def _groups(trait: str, groups: tuple[tuple[str, int], ...], description: str, people: int) -> Chart:
    title = titled(trait)
    shown = groups[:_MOST_GROUPS]
    largest, count = shown[0]
    return Chart(
        title=title,
        description=f"{description} Bars of people in each group; the largest is {words(largest)} with "
        f"{people_count(count)}.".strip(),
        specification=charts.bars([charts.Bar(words(group), drawn(size), people_count(size)) for group, size in shown]),
        table=Table(
            title,
            ("group", "people", "of all people"),
            tuple((words(group), people_count(size), people_share(size, people)) for group, size in shown),
            frozenset({1, 2}),
        ),
    )


def _coverage(traits: tuple[Trait, ...]) -> Table:
    return Table(
        "Computed traits",
        ("trait", "meaning", "people", "of all"),
        tuple(
            (
                words(one.name),
                one.description,
                NOTHING if one.people is None else people_count(one.people),
                NOTHING
                if one.people is None or one.share is None
                else (people_share(one.people, round(one.people / one.share)) if one.share else "0.0 %"),
            )
            for one in traits
        ),
        frozenset({2, 3}),
    )


def _cards(facts: TraitFacts) -> Table:
    rows = tuple(
        (
            words(trait),
            card.model,
            people_count(card.people),
            f"{day(card.window[0])} to {day(card.window[1])}",
            f"{card.horizon.days:,} days",
            f"{card.metric}: {card.score:.3g} against {card.baseline_score:.3g}",
            card.used,
        )
        for trait, card in facts.cards.items()
    )
    heads = ("prediction", "model", "learned from people", "in the time", "looks ahead", "judged by", "in use")
    return Table("Models behind the predictions", heads, rows, frozenset({2}))
