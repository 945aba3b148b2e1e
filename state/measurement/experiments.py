"""Variants by salted hash: who belongs to which, as SQL, and as a computed trait of everyone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

from millstream.state.measurement.rules import Experiment
from millstream.state.sql import literal, quoted
from millstream.state.traits.contract import Trait, TraitSet

SET = "experiments"
_DIGITS = 8
_POSITIONS = 16**_DIGITS


def salt_name(experiment: str) -> str:
    """The name under which the journal keeps an experiment's salt."""
    return f"experiment {experiment}"


def variant_trait(experiment: str) -> str:
    """The trait that holds somebody's variant."""
    return f"variant_{experiment}"


def variant_sql(profile_id: str, variants: Mapping[str, float], salt: str) -> str:
    """Somebody's variant: the same for ever, and in every database.

    The first eight digits of a salted hash are spread evenly from 00000000 to ffffffff; each variant has a stretch
    of them as long as its weight. Who changes weights or the order of variants moves people between them.
    """
    position = f"substr(md5({literal(salt)} || {profile_id}), 1, {_DIGITS})"
    *limited, last = _limits(variants)
    branches = " ".join(
        f"WHEN {position} < {literal(format(limit, f'0{_DIGITS}x'))} THEN {literal(name)}" for name, limit in limited
    )
    return f"CASE {branches} ELSE {literal(last[0])} END"


def variant_of(profile_id: str, variants: Mapping[str, float], salt: str) -> str:
    """The same for one person, without a store."""
    position = int(hashlib.md5(f"{salt}{profile_id}".encode(), usedforsecurity=False).hexdigest()[:_DIGITS], 16)
    return next(name for name, limit in _limits(variants) if position < limit or limit == _POSITIONS)


def variant_traits(experiments: Mapping[str, Experiment], salt_of: Callable[[str], str]) -> TraitSet | None:
    """A set of traits, one for each experiment; None where there are none.

    Args:
        experiments: By name.
        salt_of: Gives the journal's salt of a name; it is made when first asked for.
    """
    if not experiments:
        return None
    columns = ", ".join(
        f"{variant_sql('profile_id', experiment.variants, salt_of(salt_name(name)))} AS {quoted(variant_trait(name))}"
        for name, experiment in experiments.items()
    )
    return TraitSet(
        name=SET,
        description="Which variant of each experiment somebody belongs to.",
        traits={
            variant_trait(name): Trait(
                description=f"Variant of the experiment {name}, by a salted hash; it never changes.",
                type="text",
                allowed=tuple(experiment.variants),
                required=True,
            )
            for name, experiment in experiments.items()
        },
        inputs=("profiles",),
        sql=f"SELECT profile_id, {columns} FROM profiles",
    )


def _limits(variants: Mapping[str, float]) -> list[tuple[str, int]]:
    """Each variant, and the position at which the next begins."""
    whole, reached, limits = sum(variants.values()), 0.0, []
    for name, weight in variants.items():
        reached += weight
        limits.append((name, round(reached / whole * _POSITIONS)))
    return [*limits[:-1], (limits[-1][0], _POSITIONS)]
