"""Audiences that build on each other, in stages of one query.

The first stage has a row for each person, with a truth value for each audience that rests on traits, events, consents,
identifiers and stored memberships alone. Each further stage adds the audiences that are made of those of the stages
before. What they need besides of a person is told in the first stage, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from millstream.state.audiences.compiling.conditions import Conditions
from millstream.state.audiences.compiling.own_sql import checked_select
from millstream.state.audiences.compiling.query import Compiled, Query
from millstream.state.audiences.look_alikes import look_alikes
from millstream.state.audiences.nodes import (
    AudienceCondition,
    LooksLikeCondition,
    NotAudienceCondition,
    Rule,
    children,
    referred,
)
from millstream.state.audiences.rules import Audience
from millstream.state.sql import identifier

_BEFORE = "before"
"""What a stage calls the one before it."""
_NARROW = 25
"""Members are told from so many columns at a time: planning takes all columns of a relation each time it is read."""


@dataclass
class _Stage:
    """What a stage adds to the one before.

    Attributes:
        columns: Name of each column, by its expression.
        joins: Name of each relation that is joined for them, by its SELECT.
    """

    columns: dict[str, str] = field(default_factory=dict)
    joins: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Place:
    """Where the truth value of an audience stands."""

    stage: int
    column: str


class Stages:
    """One query for many audiences; add each after those it builds on.

    Args:
        query: What they share.
        given: Tables that hold already what audiences of SQL give, by the audiences' names.
    """

    def __init__(self, query: Query, given: Mapping[str, str] | None = None) -> None:
        self._query = query
        self._given = given or {}
        self._conditions = Conditions(query)
        self._stages = [_Stage()]
        self._places: dict[str, _Place] = {}

    def add(self, name: str, audience: Audience) -> None:
        """Take in an audience; those it builds on that were not added are read from the memberships in the store.

        Raises:
            ConfigurationError: Its rule or SQL is wrong.
        """
        where = f"audiences.{name}"
        if audience.rule is None:
            made = self._given.get(name)
            chosen = identifier(made) if made else f"({checked_select(audience.sql or '', where=where)}) AS own"
            self._place(name, 0, self._query.belongs(f"SELECT profile_id FROM {chosen}"))
            return
        conditions = self._conditions.at(where)
        builds_on = [self._places[other].stage for other in referred(audience.rule) if other in self._places]
        stage = max(builds_on) + 1 if builds_on else 0
        self._place(name, stage, self._expression(audience.rule, stage, conditions))

    def _place(self, name: str, stage: int, expression: str) -> None:
        self._places[name] = _Place(stage, self._column(stage, expression))

    def _column(self, stage: int, expression: str) -> str:
        columns = self._stage(stage).columns
        return columns.setdefault(expression, f"holds_{stage}_{len(columns)}")

    def _expression(self, rule: Rule, stage: int, conditions: Conditions) -> str:
        """The rule over a row of the stage before; over a person, for the first stage."""
        if stage == 0:
            return conditions.condition(rule)
        if not referred(rule) & self._places.keys():
            return f"{_BEFORE}.{self._column(0, conditions.condition(rule))}"
        below = children(rule)
        if below:
            return Conditions.combined(rule, [self._expression(child, stage, conditions) for child in below])
        if isinstance(rule, AudienceCondition):
            return f"{_BEFORE}.{self._places[rule.audience].column}"
        if isinstance(rule, NotAudienceCondition):
            return f"NOT {_BEFORE}.{self._places[rule.not_audience].column}"
        assert isinstance(rule, LooksLikeCondition)
        return self._like(rule, stage, conditions)

    def _like(self, rule: LooksLikeCondition, stage: int, conditions: Conditions) -> str:
        place = self._places[rule.looks_like.audience]
        members = f"SELECT profile_id FROM stage_{place.stage} WHERE {place.column}"
        nearest = look_alikes(self._query, rule.looks_like, members=members, traits=conditions.traits)
        joins = self._stage(stage).joins
        name = joins.setdefault(nearest, f"like_{len(joins)}")
        return f"{name}.profile_id IS NOT NULL"

    def _stage(self, stage: int) -> _Stage:
        while stage >= len(self._stages):
            self._stages.append(_Stage())
        return self._stages[stage]

    def compiled(self) -> Compiled:
        """One SELECT of ``audience`` and ``profile_id``, each pair once."""
        if not self._places:
            return Compiled("SELECT CAST(NULL AS TEXT) AS audience, CAST(NULL AS TEXT) AS profile_id WHERE FALSE")
        relations = dict(self._relations())
        members: list[str] = []
        places = list(self._places.items())
        for start in range(0, len(places), _NARROW):
            source, part = f"part_{start}", places[start : start + _NARROW]
            columns = ", ".join(dict.fromkeys(place.column for _, place in part))
            relations[source] = f"SELECT profile_id, {columns} FROM stage_{len(self._stages) - 1}"
            members += [
                f"SELECT CAST({self._query.bind(name)} AS TEXT) AS audience, profile_id FROM {source} WHERE {at.column}"
                for name, at in part
            ]
        parts = ",\n".join(f"{name} AS ({sql})" for name, sql in relations.items())
        return self._query.compiled(f"WITH {parts}\n" + "\nUNION ALL\n".join(members))

    def _relations(self) -> Iterator[tuple[str, str]]:
        """The common table expressions, each after those it reads."""
        yield from self._conditions.relations()
        for number, stage in enumerate(self._stages):
            columns = ",\n".join(f"{expression} AS {name}" for expression, name in stage.columns.items())
            if number == 0:
                yield "stage_0", f"SELECT profile.profile_id,\n{columns}\nFROM {self._query.people()}"
                continue
            joined = [
                f"LEFT JOIN ({nearest}) AS {name} ON {name}.profile_id = {_BEFORE}.profile_id"
                for nearest, name in stage.joins.items()
            ]
            source = "\n".join([f"stage_{number - 1} AS {_BEFORE}", *joined])
            yield f"stage_{number}", f"SELECT {_BEFORE}.*,\n{columns}\nFROM {source}"
