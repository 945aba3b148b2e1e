"""Conditions on events: conditional aggregates of one scan of each event's rows, one row a person.

What conditions on the same events ask for is counted together, and equal conditions once. Beside a sub-query for each
condition that takes less than half the time and a third of the memory (100,000 people, 2 million events, 50 audiences
with 94 conditions); one scan for all events together takes twice as long, since each row is held against the conditions
on all others.
"""

from __future__ import annotations

from collections.abc import Mapping

from millstream.state.audiences.compiling.query import Query
from millstream.state.audiences.compiling.scan import Scan, earliest, times
from millstream.state.audiences.compiling.traits import SYMBOLS
from millstream.state.audiences.nodes import Bounds, EventCondition


class EventFeatures:
    """What conditions on events need to know of each person: how many events there were, and what they sum up to."""

    def __init__(self, query: Query) -> None:
        self._query = query
        self._groups: dict[tuple[str, ...], _Group] = {}

    def condition(self, rule: EventCondition) -> str:
        """The condition as an expression, true or false."""
        group, meant = self._meant(rule)
        count = group.aggregate("count(*)", meant)
        parts = [f"{count} > 0", *self._bounds(count, rule.count)]
        if rule.value is not None:
            # A sum of nothing but missing values is no sum; what could not be converted is one.
            parts += self._bounds(f"coalesce({group.aggregate('sum(value_base)', meant)}, 0)", rule.value)
        holds = f"coalesce({group.fact(' AND '.join(parts))}, FALSE)"
        return holds if rule.did else f"NOT {holds}"

    def events(self, rule: EventCondition) -> str:
        """A SELECT of the events that a condition is about."""
        group, meant = self._meant(rule)
        return f"SELECT * FROM ({group.scan.sql()}) AS event{f' WHERE {meant}' if meant else ''}"

    def _meant(self, rule: EventCondition) -> tuple[_Group, str]:
        """The condition's group, and whether an event of its scan is one that the condition is about."""
        names = tuple(sorted(set(rule.names())))
        if names not in self._groups:
            self._groups[names] = _Group(f"events_{len(self._groups)}", Scan(self._query))
        group = self._groups[names]
        parts = [*times(rule, self._query), *group.scan.matches(rule, since=earliest(rule, self._query.as_of))]
        return group, " AND ".join(parts)

    def _bounds(self, measure: str, bounds: Bounds | None) -> list[str]:
        given = {} if bounds is None else bounds.given()
        return [f"{measure} {SYMBOLS[name]} CAST({self._query.bind(value)} AS DOUBLE)" for name, value in given.items()]

    def relations(self) -> Mapping[str, str]:
        """The common table expressions by their names, to be joined to people."""
        return {group.name: group.sql() for group in self._groups.values()}


class _Group:
    """Conditions on the same events: the scan they share, what they count, and what is true by these counts."""

    def __init__(self, name: str, scan: Scan) -> None:
        self.name = name
        self.scan = scan
        self._aggregates: dict[str, str] = {}
        self._facts: dict[str, str] = {}

    def aggregate(self, function: str, meant: str) -> str:
        """The column that holds what is counted of the events that are meant."""
        sql = f"{function} FILTER (WHERE {meant})" if meant else function
        return self._aggregates.setdefault(sql, f"feature_{len(self._aggregates)}")

    def fact(self, expression: str) -> str:
        """The column that says whether something is true of what was counted; missing for who has no such events."""
        return f"{self.name}.{self._facts.setdefault(expression, f'fact_{len(self._facts)}')}"

    def sql(self) -> str:
        """A SELECT of one row a person who has such events: truth values, which are smaller than counts."""
        counted = ",\n".join(f"{sql} AS {name}" for sql, name in self._aggregates.items())
        facts = ",\n".join(f"{expression} AS {name}" for expression, name in self._facts.items())
        per_person = f"SELECT profile_id,\n{counted}\nFROM ({self.scan.sql()}) AS event GROUP BY profile_id"
        return f"SELECT profile_id,\n{facts}\nFROM ({per_person}) AS person"
