"""The events that conditions look at, and which of them a condition is about."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from millstream.state.audiences.compiling.query import Query
from millstream.state.audiences.nodes import EventCondition, EventFilter, Scalar, SequenceCondition
from millstream.state.audiences.spans import is_span, moment
from millstream.state.spans import timespan
from millstream.state.sql import json_path

EVENTS = "customers.profile_events"


class Scan:
    """The events that some conditions ask for, with the properties they compare, and nothing else of them."""

    def __init__(self, query: Query) -> None:
        self._query = query
        self._names: dict[str, None] = {}
        self._properties: dict[str, dict[str, None]] = {}
        self._since: list[datetime | None] = []

    def name(self, wanted: EventFilter) -> str:
        """Whether an event bears a wanted name; to be asked where the scan has events of others, too."""
        marks = self._marks(wanted)
        return f"name = {marks[0]}" if len(marks) == 1 else f"name IN ({', '.join(marks)})"

    def matches(self, wanted: EventFilter, *, since: datetime | None) -> list[str]:
        """What else an event must be like, whenever it happened; the scan takes such events in.

        Args:
            wanted: What is asked for.
            since: Earlier events are of no use to whoever asks; None where they are.
        """
        marks = self._marks(wanted)
        self._names |= dict.fromkeys(marks)
        self._since.append(since)
        own = (("channel", wanted.channel), ("campaign", wanted.campaign))
        parts = [f"{column} = {self._query.bind(value)}" for column, value in own if value is not None]
        for name, given in wanted.where.items():
            parts.append(self._property(name, given if isinstance(given, list) else [given], marks))
        return parts

    def _marks(self, wanted: EventFilter) -> list[str]:
        return [self._query.bind(name) for name in dict.fromkeys(wanted.names())]

    def _property(self, name: str, wanted: Iterable[Scalar], events: Iterable[str]) -> str:
        """A property is one of the values; numbers are compared as numbers, anything else as text."""
        path = self._query.bind(json_path(name))
        self._properties.setdefault(path, {}).update(dict.fromkeys(events))
        column = f"property_{list(self._properties).index(path)}"
        parts = []
        for value in wanted:
            if isinstance(value, int | float) and not isinstance(value, bool):
                parts.append(f"TRY_CAST({column} AS DOUBLE) = CAST({self._query.bind(value)} AS DOUBLE)")
            else:
                text = str(value).lower() if isinstance(value, bool) else str(value)
                parts.append(f"{column} = {self._query.bind(text)}")
        return f"({' OR '.join(parts)})"

    def sql(self) -> str:
        """A SELECT of the events. A property is taken from its document once, and only where it is asked for."""
        columns = ["profile_id", "name", "happened_at", "value_base", "channel", "campaign"]
        for number, (path, events) in enumerate(self._properties.items()):
            value = f"json_extract_string(properties, {path})"
            if len(events) < len(self._names):
                value = f"CASE WHEN name IN ({', '.join(events)}) THEN {value} END"
            columns.append(f"{value} AS property_{number}")
        wanted = f"name IN ({', '.join(self._names)}) AND happened_at <= {self._query.moment(self._query.as_of)}"
        bounds = [since for since in self._since if since is not None]
        if len(bounds) == len(self._since):
            wanted += f" AND happened_at >= {self._query.moment(min(bounds))}"
        return f"SELECT {', '.join(columns)} FROM {EVENTS} WHERE {wanted}{self._query.only_one('AND')}"


def earliest(rule: EventCondition | SequenceCondition, as_of: datetime) -> datetime | None:
    """No event before this moment counts; None where there is no such bound."""
    bounds = [as_of - timespan(rule.within)] if rule.within is not None else []
    if rule.after is not None:
        bounds.append(moment(rule.after, as_of))
    return max(bounds, default=None)


def times(rule: EventCondition | SequenceCondition, query: Query) -> list[str]:
    """When an event must have happened to count.

    A span and its opposite divide time: what happened exactly 30 days ago was before 30d, and not within.
    """
    parts = []
    if rule.within is not None:
        parts.append(f"happened_at > {query.moment(query.as_of - timespan(rule.within))}")
    if rule.after is not None:
        sign = ">" if is_span(rule.after) else ">="
        parts.append(f"happened_at {sign} {query.moment(moment(rule.after, query.as_of))}")
    if rule.before is not None:
        sign = "<=" if is_span(rule.before) else "<"
        parts.append(f"happened_at {sign} {query.moment(moment(rule.before, query.as_of))}")
    return parts
