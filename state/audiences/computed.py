"""Traits that Millstream computes, for audiences that name one which is not there, or could not be computed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from millstream.state.audiences.compiling.own_sql import columns_of
from millstream.state.audiences.order import evaluation_order
from millstream.state.errors import ConfigurationError
from millstream.state.profiles.columns import COMPUTED, existing_columns
from millstream.state.suggestions import did_you_mean

if TYPE_CHECKING:
    from millstream.state.audiences.rules import Audience
    from millstream.state.store import Connection
    from millstream.state.traits.contract import TraitSet
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


def held_audiences(
    connection: Connection,
    audiences: Mapping[str, Audience],
    *,
    rules: TraitRules | None = None,
    root: Path | None = None,
    failing: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Audiences that rest on traits which are not computed, or fail, and those that build on them, with the reason.

    They stand still: by earlier values, or by none, people would enter and leave for what is not so.

    Args:
        connection: The open store.
        audiences: All audiences of the project, ready-made ones written out.
        rules: The section ``traits`` of the project file; the usual when left out.
        root: The folder of the project file; without it, only the shipped trait sets are known.
        failing: Audiences whose SQL does not work, by name, with the reason.
    """
    failed = _failed_traits(connection) | _awaited_traits(connection, audiences, rules, root)
    held = {name: why for name, why in (failing or {}).items() if name in audiences}
    for name in evaluation_order(audiences) if failed or held else ():
        audience = audiences[name]
        columns = _traits_of(audience) if audience.sql is None else columns_of(audience.sql)
        if name in held:
            continue
        if resting := sorted(columns & failed.keys()):
            held[name] = failed[resting[0]]
        elif below := sorted(audience.refers_to() & held.keys()):
            held[name] = f"it builds on {below[0]!r}, which stands still"
    return held


def _traits_of(audience: Audience) -> set[str]:
    """The columns that a rule compares."""
    return {trait.lower() for trait in audience.traits()}


def _awaited_traits(
    connection: Connection, audiences: Mapping[str, Audience], rules: TraitRules | None, root: Path | None
) -> dict[str, str]:
    """Traits that nobody has, and that a trait set of the project gives or may give once it is computed."""
    named = set().union(*(_traits_of(audience) for audience in audiences.values()))
    missing = named - existing_columns(connection, "people").keys()
    if not missing:
        return {}
    from millstream.state.traits.registry import shipped_sets
    from millstream.state.traits.rules import TraitRules
    from millstream.state.traits.usable import known_traits, usable_sets

    rules = rules or TraitRules()
    if root is None:
        sets: Collection[TraitSet] = shipped_sets(rules, without=rules.without)
    else:
        try:
            sets = usable_sets(rules, root=root, known=known_traits(connection))
        except ConfigurationError as error:
            return dict.fromkeys(missing, f"nobody has the trait, and sets of traits do not fit together: {error}")
    wrong = next((one.broken for one in sets if one.broken), None)
    told = "nobody has the trait {!r}, and a file of traits is wrong: {}"
    found = {trait: told.format(trait, wrong) for trait in missing if wrong}
    return found | {
        trait: f"the trait set {one.name!r} was not computed yet: run `millstream describe`"
        for one in sets
        for trait in missing & one.traits.keys()
    }


def _failed_traits(connection: Connection) -> dict[str, str]:
    """Columns of the people's table whose trait set failed when it was last tried, and how."""
    if not existing_columns(connection, "trait_sets"):
        return {}
    rows = connection.execute(
        """
        SELECT computed.trait, trait_set.name, trait_set.message FROM customers.computed_traits AS computed
        JOIN customers.trait_sets AS trait_set ON trait_set.name = computed.trait_set
        WHERE trait_set.status = 'failed'
        """
    ).fetchall()
    said = existing_columns(connection)
    return {
        f"{COMPUTED}{trait}" if trait in said else str(trait): f"the trait set {name!r} failed: {message}"
        for trait, name, message in rows
    }
