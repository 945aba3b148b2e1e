"""Traits that Millstream computes, for rules that name one which is not there, or no longer."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from millstream.state.errors import ConfigurationError
from millstream.state.profiles.columns import COMPUTED, existing_columns
from millstream.state.sql import quoted
from millstream.state.suggestions import did_you_mean

if TYPE_CHECKING:
    from millstream.state.audiences.rules import Audience
    from millstream.state.store import Connection
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


def refuse_lost_traits(connection: Connection, audiences: Mapping[str, Audience]) -> None:
    """Stop where a rule names a trait that nobody has since it could not be computed: everybody would leave, or enter.

    Earlier values stay when a set fails, but not those of a trait that was given another name or type.

    Raises:
        ConfigurationError: There is such an audience.
    """
    if not existing_columns(connection, "trait_sets"):
        return
    rows = connection.execute(
        """
        SELECT computed.trait, trait_set.name, trait_set.message FROM customers.computed_traits AS computed
        JOIN customers.trait_sets AS trait_set ON trait_set.name = computed.trait_set
        WHERE trait_set.status = 'failed'
        """
    ).fetchall()
    failed = {str(trait): (str(name), str(message)) for trait, name, message in rows}
    for audience, definition in audiences.items():
        for trait in sorted({one.removeprefix(COMPUTED) for one in definition.traits()} & failed.keys()):
            filled = f"SELECT 1 FROM customers.computed WHERE {quoted(trait)} IS NOT NULL LIMIT 1"
            if connection.execute(filled).fetchone() is None:
                name, message = failed[trait]
                raise ConfigurationError(
                    f"Nobody has the trait {trait!r}: the trait set {name!r} failed. {message}",
                    where=f"audiences.{audience}",
                    remedy="put it right, and run `millstream describe`; until then nobody enters or leaves.",
                )
