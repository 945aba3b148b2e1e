"""Traits that Millstream computes, for rules that name one which is not there."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from millstream.state.suggestions import did_you_mean

if TYPE_CHECKING:
    from millstream.state.traits.rules import TraitRules


def remedy_for_missing(trait: str, known: Collection[str], rules: TraitRules | None = None) -> str:
    """What to do about a trait that nobody has.

    Args:
        trait: Its name, in small letters.
        known: The traits that people have.
        rules: The section ``traits`` of the project file; the usual when left out.
    """
    from millstream.state.traits.registry import shipped_sets
    from millstream.state.traits.rules import TraitRules

    rules = rules or TraitRules()
    sets = {name: one.name for one in shipped_sets(rules) for name in one.traits}
    if sets.get(trait) in rules.without:
        return f"take {sets[trait]!r} out of `traits.without`, so that the trait is computed."
    if trait in sets:
        return f"run `millstream describe`, which computes it (trait set {sets[trait]!r})."
    guess = did_you_mean(trait, {*known, *sets})
    usual = "check the spelling, and that the source that brings the trait has been pulled."
    return f"{guess} Else {usual}" if guess else usual
