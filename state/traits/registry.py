"""All trait sets of a project: those that are shipped, and its own, which stand in place of shipped ones by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

from millstream.state.errors import ConfigurationError
from millstream.state.profiles.columns import COMPUTED
from millstream.state.suggestions import did_you_mean
from millstream.state.traits.files import OTHERS, read_set, shipped_set
from millstream.state.traits.relations import RELATIONS
from millstream.state.traits.shipped_names import SHIPPED, is_set, shipped_names

if TYPE_CHECKING:
    from millstream.state.traits.contract import TraitSet
    from millstream.state.traits.rules import TraitRules


def trait_sets(rules: TraitRules, *, root: Path | None = None) -> tuple[TraitSet, ...]:
    """The sets that a project computes, each after those it builds on.

    Args:
        rules: The section ``traits`` of the project file.
        root: The folder of the project file; without it, only what is shipped.

    Raises:
        ConfigurationError: A file is wrong, two sets give one trait, sets build on each other in a circle.
    """
    check_left_out(rules)
    own = own_sets(rules, root) if root else []
    taken = {*rules.without, *(one.name for one in own)}
    return ordered([*(shipped_sets(rules, without=taken)), *own])


def check_left_out(rules: TraitRules) -> None:
    """Hold ``traits.without`` against the sets that are shipped.

    Raises:
        ConfigurationError: There is no such set.
    """
    known = shipped_names()
    for name in rules.without:
        if name not in known:
            raise ConfigurationError(
                f"There is no shipped trait set {name!r}.",
                where="traits.without",
                allowed=known,
                remedy=did_you_mean(name, known),
            )


def shipped_sets(rules: TraitRules, *, without: Iterable[str] = ()) -> list[TraitSet]:
    """The sets that come with Millstream, in the order of their names."""
    left_out = set(without)
    paths = {path.stem: path for path in SHIPPED.iterdir() if is_set(path) and path.stem not in left_out}
    found = (shipped_set(name, paths[name], rules) for name in sorted(paths))
    return [one for one in found if one is not None]


def own_sets(rules: TraitRules, root: Path) -> list[TraitSet]:
    """The sets of the project's own folder, in the order of their names.

    Raises:
        ConfigurationError: A file is wrong, or two are of one name.
    """
    found = (read_own_set(name, paths, rules) for name, paths in own_files(rules, root).items())
    return [one for one in found if one is not None]


def own_files(rules: TraitRules, root: Path) -> dict[str, list[Path]]:
    """The files of the project's own folder by the names of their sets, in that order; one each, if all is right."""
    folder, found = root / rules.folder, dict[str, list[Path]]()
    for path in sorted(path for path in folder.iterdir() if is_set(path)) if folder.is_dir() else ():
        found.setdefault(path.stem, []).append(path)
    return found


def read_own_set(name: str, paths: Sequence[Path], rules: TraitRules) -> TraitSet | None:
    """The set of a name; None where a Python file has nothing to compute by these rules.

    Raises:
        ConfigurationError: The file is wrong, or there are two.
    """
    *others, path = paths
    label = f"{rules.folder}/{path.name}"
    if others:
        told = f"the set {name!r} stands in {others[0].name} and in {path.name}."
        raise ConfigurationError(told, where=label, remedy="give one of the files another name.")
    return read_set(path, rules, label=label)


def ordered(sets: Sequence[TraitSet]) -> tuple[TraitSet, ...]:
    """The sets, each after those whose traits it reads, and otherwise as given.

    Raises:
        ConfigurationError: Two give one trait, one builds on a set that is not there, or there is a circle.
    """
    _refuse_clashes(sets)
    by_name = {one.name: one for one in sets}
    reads = {one.name: [_other(one, name, by_name) for name in builds_on(one)] for one in sets}
    try:
        order = list(TopologicalSorter(reads).static_order())
    except CycleError as error:
        circle: list[str] = error.args[1]
        raise ConfigurationError(
            f"Trait sets build on each other in a circle: {' -> '.join(reversed(circle))}.",
            where=by_name[circle[0]].file or circle[0],
            remedy="take one of these inputs out.",
        ) from error
    return tuple(by_name[name] for name in order)


def builds_on(one: TraitSet) -> list[str]:
    """Names of the sets whose traits a set reads."""
    return [name.removesuffix(OTHERS) for name in one.inputs if name not in RELATIONS]


def _other(one: TraitSet, name: str, by_name: dict[str, TraitSet]) -> str:
    if name not in by_name:
        raise ConfigurationError(
            f"there is no trait set {name!r}, whose traits are the input {name + OTHERS!r}.",
            where=one.file or one.name,
            allowed=sorted(by_name),
            remedy=did_you_mean(name, by_name),
        )
    return name


def _refuse_clashes(sets: Sequence[TraitSet]) -> None:
    names: dict[str, TraitSet] = {}
    traits: dict[str, TraitSet] = {}
    read_as: dict[str, tuple[str, TraitSet]] = {}
    for one in sets:
        if (other := names.setdefault(one.name, one)) is not one:
            told = f"there is another trait set {one.name!r} in {other.file or other.name}."
            raise ConfigurationError(told, where=one.file or one.name, remedy="give one of them another name.")
        for trait in one.traits:
            if trait.startswith(COMPUTED):
                told = f"the trait {trait!r} begins as those do whose names are also a source's."
                raise ConfigurationError(told, where=one.file or one.name, remedy=f"leave {COMPUTED!r} out.")
            if (other := traits.setdefault(trait, one)) is not one:
                raise ConfigurationError(
                    f"the trait {trait!r} is computed by {other.file or other.name}, too.",
                    where=one.file or one.name,
                    remedy="give one of them another name; or name the file like the shipped one to replace that.",
                )
        for trait, kind in one.profile_traits.items():
            known, other = read_as.setdefault(trait, (kind, one))
            if known != kind:
                told = f"{trait!r} of the profiles is read as {kind}, and as {known} by {other.file or other.name}."
                raise ConfigurationError(told, where=one.file or one.name, remedy="read it as the same type in both.")
