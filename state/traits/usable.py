"""The trait sets of a project where some of its files are wrong: those fail, and all others are computed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from millstream.state.errors import ConfigurationError
from millstream.state.profiles.columns import existing_columns
from millstream.state.traits.contract import Trait, TraitSet
from millstream.state.traits.registry import check_left_out, ordered, own_files, read_own_set, shipped_sets

if TYPE_CHECKING:
    from millstream.state.store import Connection
    from millstream.state.traits.rules import TraitRules

Known = Mapping[str, Mapping[str, Trait]]
"""Traits by the names of their sets."""


def known_traits(connection: Connection) -> Known:
    """The traits of each set, as the last run left them."""
    if not existing_columns(connection, "computed_traits"):
        return {}
    found: dict[str, dict[str, Trait]] = {}
    for trait, name, kind, unit, description in connection.execute(
        "SELECT trait, trait_set, type, unit, description FROM customers.computed_traits"
    ).fetchall():
        found.setdefault(str(name), {})[str(trait)] = Trait(description=description, type=kind, unit=unit)
    return found


def usable_sets(rules: TraitRules, *, root: Path, known: Known, also: Iterable[TraitSet] = ()) -> tuple[TraitSet, ...]:
    """The sets that a project computes, each after those it builds on.

    In place of a set whose file is wrong, or does not fit the others, stands one that is ``broken``, with the traits
    that it had. Of two that do not fit together it is the one that came last.

    Args:
        rules: The section ``traits`` of the project file.
        root: The folder of the project file.
        known: The traits of each set as of the last run.
        also: Sets that follow from other sections.

    Raises:
        ConfigurationError: The section is wrong, or sets of which none is a file of the project do not fit together.
    """
    check_left_out(rules)
    own = {one.name: one for one in sorted(_own(rules, root, known), key=lambda one: one.name not in known)}
    others = [*shipped_sets(rules, without={*rules.without, *own}), *also]
    while True:
        try:
            return ordered([*others, *own.values()])
        except ConfigurationError as error:
            wrong = next((one for one in own.values() if one.file == error.where and not one.broken), None)
            if wrong is None:
                raise
            own[wrong.name] = _broken(wrong.name, error, known)


def _own(rules: TraitRules, root: Path, known: Known) -> Iterator[TraitSet]:
    for name, paths in own_files(rules, root).items():
        try:
            found = read_own_set(name, paths, rules)
        except ConfigurationError as error:
            found = _broken(name, error, known)
        if found is not None:
            yield found


def _broken(name: str, error: ConfigurationError, known: Known) -> TraitSet:
    return TraitSet(
        name=name,
        description="Its file is wrong.",
        traits=known.get(name, {}),
        inputs=(),
        file=error.where or "",
        broken=str(error),
    )
