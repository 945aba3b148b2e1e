"""The parts of ``docs/traits.md`` that are made from declarations: relations and shipped traits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from millstream.flows.reference.markdown import table
from millstream.state.traits.contract import Trait, TraitSet
from millstream.state.traits.registry import shipped_sets
from millstream.state.traits.relations import RELATIONS
from millstream.state.traits.rules import Propensity, TraitRules

BEGIN_RELATIONS = "<!-- made by `make docs` from the relations' declarations; change those -->"
BEGIN_TRAITS = "<!-- made by `make docs` from the traits' declarations; change those -->"
EXAMPLE = TraitRules(propensities={"name": Propensity(event="Order Completed")})
"""With a propensity, whose set is not there without one."""


def relations_text() -> str:
    """What sets may name among their inputs."""
    rows = [
        (f"`{name}`", one.description, ", ".join(f"`{column}`" for column in one.columns) or "those of the profiles")
        for name, one in RELATIONS.items()
    ]
    return "\n".join(table(("relation", "rows", "columns"), rows))


def traits_text() -> str:
    """Every shipped trait, set by set."""
    parts = []
    for one in shipped_sets(EXAMPLE):
        rows = [(f"`{_name(name)}`", _type(trait), trait.description) for name, trait in one.traits.items()]
        parts += ["\n".join([f"#### {one.name}", "", *_about(one), "", *table(("trait", "type", "meaning"), rows)])]
    return "\n\n".join(parts)


def _about(one: TraitSet) -> Iterator[str]:
    facts = [f"Computed from {', '.join(f'`{name}`' for name in one.inputs)}"]
    if one.every:
        hours = one.every.total_seconds() / 3600
        facts.append(f"at most every {f'{hours / 24:g} days' if hours >= 48 else f'{hours:g} hours'}")
    if one.needs:
        facts.append(f"needs `pip install 'millstream[{one.needs[1]}]'`")
    link = f"[{Path(one.file).name}](../state/traits/{one.file})"
    yield f"{' '.join(one.description.split()).rstrip('.')}. {'; '.join(facts)}. {link}"


def _name(trait: str) -> str:
    return trait.replace("propensity_name", "propensity_<name>")


def _type(trait: Trait) -> str:
    if trait.allowed:
        return ", ".join(trait.allowed)
    return f"{trait.type}, {trait.unit}" if trait.unit else trait.type
