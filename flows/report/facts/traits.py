"""Traits: how many people have each, the groups they make, and the models behind predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from millstream.flows.report.facts.reader import Reader
from millstream.state.sql import quoted
from millstream.state.traits.cards import latest_cards
from millstream.state.traits.contract import ModelCard

GROUPS = (
    "lifecycle",
    "rfm_group",
    "engagement",
    "churn_group",
    "nps_group",
    "survey_sentiment_group",
    "support_load",
    "preferred_channel",
)
"""Shipped traits that put people into groups a reader can act on, in the order in which they are shown."""


@dataclass(frozen=True, kw_only=True)
class Trait:
    """A computed trait.

    Attributes:
        name: Its name.
        trait_set: The set it is computed with.
        description: What it means.
        unit: What its number counts.
        people: Who has a value; None where that was not counted.
        share: Of all people.
    """

    name: str
    trait_set: str
    description: str
    unit: str
    people: int | None
    share: float | None


@dataclass(frozen=True)
class Fresh:
    """A trait that goes stale, and how many of its values are still believed."""

    trait: str
    lifetime_days: int
    people: int
    fresh: int


@dataclass(frozen=True)
class SetState:
    """How the last computation of a set of traits ended, where it is not simply done."""

    name: str
    status: str
    message: str


@dataclass(frozen=True, kw_only=True)
class TraitFacts:
    """What is known of people beyond who they are.

    Attributes:
        traits: In the order of their sets.
        groups: Groups and their people by trait, the largest first.
        fresh: Traits whose values go stale.
        states: Sets that were not computed, with the reason.
        cards: The models behind predicted traits.
    """

    traits: tuple[Trait, ...]
    groups: Mapping[str, tuple[tuple[str, int], ...]]
    fresh: tuple[Fresh, ...]
    states: tuple[SetState, ...]
    cards: Mapping[str, ModelCard]

    @property
    def described(self) -> bool:
        """Whether traits were ever computed."""
        return bool(self.traits)


def read_traits(reader: Reader) -> TraitFacts:
    """Computed traits; empty where none was computed yet."""
    return TraitFacts(
        traits=tuple(_traits(reader)),
        groups=_groups(reader),
        fresh=tuple(_fresh(reader)),
        states=tuple(_states(reader)),
        cards=latest_cards(reader.connection)
        if reader.has("customers.computed_traits", "customers.trait_sets")
        else {},
    )


def _traits(reader: Reader) -> list[Trait]:
    if not reader.has("customers.computed_traits"):
        return []
    counted: dict[str, tuple[int, float]] = {}
    if reader.has("customers.trait_coverage"):
        rows = reader.rows(
            """
            SELECT one.trait, one.people, one.share FROM customers.trait_coverage AS one JOIN (
                SELECT trait, max(as_of) AS as_of FROM customers.trait_coverage GROUP BY trait
            ) AS latest ON latest.trait = one.trait AND latest.as_of = one.as_of
            """
        )
        counted = {str(trait): (people, share) for trait, people, share in rows}
    rows = reader.rows(
        "SELECT trait, trait_set, description, unit FROM customers.computed_traits ORDER BY trait_set, trait"
    )
    found = []
    for name, trait_set, description, unit in rows:
        people, share = counted.get(name, (None, None))
        found.append(
            Trait(name=name, trait_set=trait_set, description=description, unit=unit or "", people=people, share=share)
        )
    return found


def _groups(reader: Reader) -> dict[str, tuple[tuple[str, int], ...]]:
    """Counts by group. The computed columns stand in a table of their own, which is quicker than the view."""
    columns = reader.columns("customers.computed")
    found: dict[str, tuple[tuple[str, int], ...]] = {}
    for trait in (name for name in GROUPS if name in columns):
        rows = reader.rows(
            f"""
            SELECT {quoted(trait)} AS named, count(*) AS people FROM customers.computed
            WHERE {quoted(trait)} IS NOT NULL GROUP BY 1 ORDER BY people DESC, named
            """
        )
        if rows:
            found[trait] = tuple((str(group), people) for group, people in rows)
    return found


def _fresh(reader: Reader) -> list[Fresh]:
    if not reader.has("customers.trait_freshness"):
        return []
    rows = reader.rows(
        """
        SELECT one.trait, one.lifetime_days, one.profiles, one.fresh FROM customers.trait_freshness AS one
        WHERE one.as_of = (SELECT max(as_of) FROM customers.trait_freshness) AND one.lifetime_days IS NOT NULL
        ORDER BY one.profiles DESC, one.trait
        """
    )
    return [Fresh(*row) for row in rows]


def _states(reader: Reader) -> list[SetState]:
    if not reader.has("customers.trait_sets"):
        return []
    rows = reader.rows("SELECT name, status, message FROM customers.trait_sets ORDER BY name")
    return [
        SetState(name, status, message or "")
        for name, status, message in rows
        if status not in ("computed", "kept") or message
    ]
