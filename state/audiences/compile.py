"""From audiences to SQL: one SELECT for all of them, with every value bound and every name quoted."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from millstream.state.audiences.compiling.own_sql import checked_select
from millstream.state.audiences.compiling.query import Bound, Compiled, Query
from millstream.state.audiences.compiling.stages import Stages
from millstream.state.audiences.order import evaluation_order
from millstream.state.audiences.ready_made import written_out
from millstream.state.audiences.rules import Audience
from millstream.state.errors import ConfigurationError
from millstream.state.suggestions import did_you_mean

if TYPE_CHECKING:
    from millstream.state.traits.rules import TraitRules

__all__ = ["Bound", "Compiled", "checked_select", "compile_audience", "compile_audiences"]


def compile_audiences(
    audiences: Mapping[str, Audience],
    *,
    traits: Mapping[str, str],
    as_of: datetime,
    only_names: Collection[str] | None = None,
    rules: TraitRules | None = None,
    given: Mapping[str, str] | None = None,
) -> Compiled:
    """One SELECT of ``audience`` and ``profile_id`` that gives the members of many audiences, each once.

    Equal conditions are told once, those on events by one scan of the events. Audiences that build on others are
    stages of the same query.

    Args:
        audiences: All audiences of the project, by name.
        traits: Columns of the people's table with their types.
        as_of: The time of the run, aware.
        only_names: The audiences whose members are wanted; all when left out. Others that they build on are those of
            the memberships in the store.
        rules: The section ``traits`` of the project file, for ready-made audiences; the usual when left out.
        given: Tables that hold already what audiences of SQL give, by the audiences' names.

    Raises:
        ConfigurationError: Audiences build on each other in a circle or on one that is not there, a rule names a trait
            that nobody has or compares it with what it is not, or SQL is more than a SELECT over the store.
    """
    written = written_out(audiences, rules, traits=traits)
    ordered = evaluation_order(written)
    for name in only_names or ():
        if name not in written:
            raise ConfigurationError(
                f"There is no audience {name!r}.", allowed=sorted(written), remedy=did_you_mean(name, written)
            )
    stages = Stages(Query(traits=traits, as_of=as_of, rules=rules), given)
    for name in ordered:
        if only_names is None or name in only_names:
            stages.add(name, written[name])
    return stages.compiled()


def compile_audience(
    audience: Audience,
    *,
    name: str,
    traits: Mapping[str, str],
    as_of: datetime,
    only: str | None = None,
    rules: TraitRules | None = None,
) -> Compiled:
    """One SELECT of the distinct ``profile_id`` of an audience's members; others it builds on are read from the store.

    Args:
        audience: The rule or SQL.
        name: The audience's name, for messages.
        traits: Columns of the people's table with their types.
        as_of: The time of the run, aware.
        only: Look at this profile alone.
        rules: The section ``traits`` of the project file, for a ready-made audience; the usual when left out.

    Raises:
        ConfigurationError: The rule names a trait that no profile has, or the SQL is not one SELECT over the store.
    """
    stages = Stages(Query(traits=traits, as_of=as_of, rules=rules, only=only))
    stages.add(name, written_out({name: audience}, rules, traits=traits)[name])
    compiled = stages.compiled()
    return Compiled(f"SELECT profile_id FROM ({compiled.sql}) AS members", compiled.values)
