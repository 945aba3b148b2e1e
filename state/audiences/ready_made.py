"""The audiences that come with Millstream: ``ready_made.yaml``, in the same language as a project's own."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path

from millstream.state.audiences.rules import READY_MADE, Audience
from millstream.state.profiles.people_view import PREFIX
from millstream.state.traits.rules import TraitRules

_FILE = Path(__file__).with_name("ready_made.yaml")


def written_out(
    audiences: Mapping[str, Audience], rules: TraitRules | None = None, *, traits: Collection[str] = ()
) -> dict[str, Audience]:
    """The same audiences, with the rule in place of each ``ready_made``.

    Args:
        audiences: Audiences by name.
        rules: The section ``traits`` of the project file, which says what active and lapsed mean, and what a purchase
            is; the usual when left out.
        traits: Columns of the people's table. A computed trait whose name a source's trait bears stands there as
            ``computed_<name>``, and is meant.
    """
    return {
        name: audience if audience.ready_made is None else _with_rule(audience, rules or TraitRules(), traits)
        for name, audience in audiences.items()
    }


def ready_made(rules: TraitRules | None = None) -> dict[str, Audience]:
    """All ready-made audiences by name, with their rules."""
    return written_out({name: Audience.model_validate({"ready_made": name}) for name in READY_MADE}, rules)


def _with_rule(audience: Audience, rules: TraitRules, traits: Collection[str]) -> Audience:
    assert audience.ready_made is not None
    shipped = _shipped()[audience.ready_made]
    values: dict[str, object] = {
        "$active_days": rules.active_days,
        "$lapsed_days_and_30": rules.lapsed_days + 30,
        "$purchases": list(rules.purchases),
    }
    rule = _filled_in(shipped["rule"], values, traits)
    return Audience.model_validate({"description": audience.description or shipped["description"], "rule": rule})


def _filled_in(part: object, values: Mapping[str, object], traits: Collection[str]) -> object:
    if isinstance(part, list):
        return [_filled_in(value, values, traits) for value in part]
    if not isinstance(part, dict):
        return values[part] if isinstance(part, str) and part.startswith("$") else part
    made = {key: _filled_in(value, values, traits) for key, value in part.items()}
    computed = f"{PREFIX}{made.get('trait')}"
    return {**made, "trait": computed} if computed in traits else made


@cache
def _shipped() -> Mapping[str, Mapping[str, object]]:
    import yaml

    found: Mapping[str, Mapping[str, object]] = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    return found
