"""Conditions as expressions over ``profile``, a row of the people's table: true or false, never NULL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from millstream.state.audiences.compiling.events import EventFeatures
from millstream.state.audiences.compiling.query import Query
from millstream.state.audiences.compiling.sequences import Sequences
from millstream.state.audiences.compiling.traits import Traits
from millstream.state.audiences.look_alikes import look_alikes
from millstream.state.audiences.nodes import (
    AllRule,
    AudienceCondition,
    ConsentCondition,
    EventCondition,
    IdentifierCondition,
    LooksLikeCondition,
    NoneRule,
    NotAudienceCondition,
    Rule,
    SequenceCondition,
    TraitCondition,
    children,
)
from millstream.state.consent import ConsentRequirement, consent_sql


class Conditions:
    """Makes expressions of rules. Other audiences are those that stand in the store.

    Attributes:
        query: What the expressions go into.
        traits: The traits that rules may name.
    """

    def __init__(self, query: Query, where: str | None = None) -> None:
        self.query = query
        self.traits = Traits(query, where)
        self._events = EventFeatures(query)
        self._sequences = Sequences(query)

    def at(self, where: str) -> Conditions:
        """The same for another audience, with what was gathered so far; its errors say where they arose."""
        other = Conditions(self.query, where)
        other._events, other._sequences = self._events, self._sequences
        return other

    def condition(self, rule: Rule) -> str:
        """The rule as an expression.

        Raises:
            ConfigurationError: An unknown trait, or a value that does not go with the trait's type.
        """
        below = children(rule)
        if below:
            return self.combined(rule, [self.condition(child) for child in below])
        if isinstance(rule, TraitCondition):
            return self.traits.condition(rule)
        if isinstance(rule, EventCondition):
            return self._events.condition(rule)
        if isinstance(rule, SequenceCondition):
            return self._sequences.condition(rule)
        return self._membership(rule)

    @staticmethod
    def combined(rule: Rule, parts: Sequence[str]) -> str:
        """``all``, ``any`` or ``none`` of expressions."""
        joined = (" AND " if isinstance(rule, AllRule) else " OR ").join(f"({part})" for part in parts)
        return f"NOT ({joined})" if isinstance(rule, NoneRule) else joined

    def _membership(self, rule: Rule) -> str:
        if isinstance(rule, ConsentCondition):
            sql, values = consent_sql(ConsentRequirement(channel=rule.consent, topic=rule.topic))
            return self.query.belongs(self._with_marks(sql, values))
        if isinstance(rule, IdentifierCondition):
            kind = self.query.bind(rule.identifier)
            return self.query.belongs(
                "SELECT member.profile_id FROM customers.identifiers AS identifier JOIN customers.members AS member "
                f"ON member.record_id = identifier.record_id WHERE identifier.kind = {kind}"
            )
        if isinstance(rule, AudienceCondition):
            return self.query.belongs(self._stored(rule.audience))
        if isinstance(rule, NotAudienceCondition):
            return f"NOT ({self.query.belongs(self._stored(rule.not_audience))})"
        assert isinstance(rule, LooksLikeCondition)
        like = rule.looks_like
        return self.query.belongs(
            look_alikes(self.query, like, members=self._stored(like.audience), traits=self.traits)
        )

    def _stored(self, audience: str) -> str:
        """A SELECT of those who are members since a run before; who was merged since then is in by the survivor."""
        return (
            "SELECT coalesce(alias.profile_id, stay.profile_id) AS profile_id FROM customers.memberships AS stay "
            "LEFT JOIN customers.profile_aliases AS alias ON alias.alias_id = stay.profile_id "
            f"WHERE stay.audience = {self.query.bind(audience)} AND stay.left_at IS NULL"
        )

    def _with_marks(self, sql: str, values: Sequence[str]) -> str:
        """SQL with ``?`` in a statement whose values are marked."""
        texts = sql.split("?")
        return texts[0] + "".join(
            f"{self.query.bind(value)}{text}" for value, text in zip(values, texts[1:], strict=True)
        )

    def relations(self) -> Iterator[tuple[str, str]]:
        """The common table expressions that the expressions made so far rest on; call it once all are made."""
        for features in (self._events, self._sequences):
            for name, sql in features.relations().items():
                self.query.join(name, name)
                yield name, sql
        for sql, name in self.query.relations.items():
            yield name, sql
