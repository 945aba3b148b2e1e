"""Sequences: events that followed each other, found in one pass over each person's events in their order.

For each event that fits step ``i``, a window gives the latest beginning among all chains that lead there by way of the
steps before. Of several chains that end in the same event, the one that began last is the shortest and so fits every
bound that another fits: keeping that one finds a chain where there is any, and there is no join of events with events.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from millstream.state.audiences.compiling.query import Query
from millstream.state.audiences.compiling.scan import Scan, earliest, times
from millstream.state.audiences.nodes import SequenceCondition, Step
from millstream.state.spans import timespan

_NEXT = "INTERVAL '0.000001' SECOND"
"""The least that one event can be later than another."""


class Sequences:
    """What sequences need to know of each person: whether there was such a chain of events."""

    NAME = "sequences"

    def __init__(self, query: Query) -> None:
        self._query = query
        self._scan = Scan(query)
        # Columns by their expressions: those of a level can be told once those of the levels before are.
        self._levels: list[dict[str, str]] = []
        self._found: dict[str, str] = {}

    def condition(self, rule: SequenceCondition) -> str:
        """The condition as an expression, true or false."""
        chains = self.chains(rule)
        found = self._found.setdefault(f"bool_or({self._complete(rule, chains[-1])})", f"found_{len(self._found)}")
        holds = f"coalesce({self.NAME}.{found}, FALSE)"
        return holds if rule.did else f"NOT {holds}"

    def chains(self, rule: SequenceCondition) -> list[str]:
        """For each step the column that tells, of an event, when the latest chain up to this step began."""
        since = earliest(rule, self._query.as_of)
        between = times(rule, self._query)
        columns: list[str] = []
        for number, step in enumerate(rule.sequence):
            parts = [self._scan.name(step), *self._scan.matches(step, since=since)]
            fits = " AND ".join([*parts, *between] if step.did else parts)
            if number == 0:
                sql = f"CASE WHEN {fits} THEN happened_at END"
            elif step.did:
                sql = f"CASE WHEN {fits} THEN {self._latest(columns[-1], step)} END"
            else:
                sql = self._undone(columns[-1], fits, step)
            columns.append(self._column(number, sql))
        return columns

    def _column(self, level: int, sql: str) -> str:
        if level == len(self._levels):
            self._levels.append({})
        columns = self._levels[level]
        return columns.setdefault(sql, f"step_{level}_{len(columns)}")

    def _latest(self, before: str, step: Step) -> str:
        """The latest beginning of a chain whose last event is earlier than this one, but not too much."""
        since = "UNBOUNDED" if step.within is None else _interval(timespan(step.within))
        return f"max({before}) OVER ({_ORDER} RANGE BETWEEN {since} PRECEDING AND {_NEXT} PRECEDING)"

    def _undone(self, before: str, fits: str, step: Step) -> str:
        """The beginning of a chain after whose end an event did not come in time, where that time is over."""
        until = "UNBOUNDED" if step.within is None else _interval(timespan(step.within))
        came = f"max(CASE WHEN {fits} THEN 1 END) OVER ({_ORDER} RANGE BETWEEN {_NEXT} FOLLOWING AND {until} FOLLOWING)"
        parts = [f"{before} IS NOT NULL"]
        if step.within is not None:
            parts.append(f"happened_at <= {self._query.moment(self._query.as_of - timespan(step.within))}")
        return f"CASE WHEN {' AND '.join(parts)} AND {came} IS NULL THEN {before} END"

    @staticmethod
    def _complete(rule: SequenceCondition, last: str) -> str:
        if rule.in_total is None:
            return f"{last} IS NOT NULL"
        return f"coalesce({last} >= happened_at - {_interval(timespan(rule.in_total))}, FALSE)"

    def steps(self) -> str:
        """A SELECT of the events with the columns of all chains that were asked for."""
        sql = self._scan.sql()
        for level in self._levels:
            columns = ",\n".join(f"{made} AS {name}" for made, name in level.items())
            sql = f"SELECT event.*,\n{columns}\nFROM ({sql}) AS event"
        return sql

    def relations(self) -> Mapping[str, str]:
        """The common table expression by its name; to be joined to people. None where no condition asks for it."""
        if not self._found:
            return {}
        columns = ",\n".join(f"{sql} AS {name}" for sql, name in self._found.items())
        return {self.NAME: f"SELECT profile_id,\n{columns}\nFROM ({self.steps()}) AS step GROUP BY profile_id"}


_ORDER = "PARTITION BY profile_id ORDER BY happened_at NULLS FIRST"
"""No event is without its time; not every engine can sort the missing ones last here."""


def _interval(span: timedelta) -> str:
    """In seconds: days differ in length where clocks are put forward."""
    return f"INTERVAL '{int(span.total_seconds())}' SECOND"
