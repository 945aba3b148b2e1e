"""A statement in the making: the values it binds, and what it joins to each person."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millstream.state.traits.rules import TraitRules

Bound = str | float | int | bool | date | datetime
PEOPLE = "customers.people"
"""Where a person's traits stand, one row a person."""

_MARK = re.compile("\x01([0-9]+)\x02")


@dataclass(frozen=True)
class Compiled:
    """Safe SQL text and the values to bind, in order."""

    sql: str
    values: tuple[Bound, ...] = ()


class Query:
    """Gathers what the conditions of one statement share. Equal things are kept once.

    Expressions are made over ``profile``, a row of the people's table, and over what is joined to it. Values
    stand in them as marks until the statement is whole.

    Attributes:
        traits: Columns of the people's table with their types.
        as_of: The time of the run; later events do not count. Aware.
        only: A single profile to look at, which spares reading the others' events.
        rules: The section ``traits`` of the project file, where it is known: it tells which traits are computed.
        relations: Name of each common table expression, by its SQL, in the order in which they build on each other.
    """

    def __init__(
        self,
        *,
        traits: Mapping[str, str],
        as_of: datetime,
        only: str | None = None,
        rules: TraitRules | None = None,
    ) -> None:
        self.traits = traits
        self.rules = rules
        self.as_of = as_of
        self.only = only
        self.relations: dict[str, str] = {}
        self._sets: dict[str, str] = {}
        self._joins: dict[str, None] = {}
        self._values: list[Bound] = []
        self._marks: dict[tuple[type, Bound], str] = {}

    def bind(self, value: Bound) -> str:
        """The mark of a value."""
        key = (type(value), value)
        if key not in self._marks:
            self._marks[key] = f"\x01{len(self._values)}\x02"
            self._values.append(value)
        return self._marks[key]

    def moment(self, value: datetime) -> str:
        """A moment as an expression."""
        return f"CAST({self.bind(value)} AS TIMESTAMPTZ)"

    def relation(self, sql: str, prefix: str) -> str:
        """The name of a common table expression."""
        return self.relations.setdefault(sql, f"{prefix}_{len(self.relations)}")

    def belongs(self, select: str) -> str:
        """Whether the profile is among those a SELECT of ``profile_id`` gives; joined once for all who ask."""
        if select not in self._sets:
            name = self._sets[select] = f"set_{len(self._sets)}"
            chosen = f"SELECT DISTINCT profile_id FROM ({select}) AS chosen{self.only_one('WHERE')}"
            self.join(f"({chosen})", name)
        return f"{self._sets[select]}.profile_id IS NOT NULL"

    def join(self, relation: str, name: str) -> None:
        """Join a relation with at most one row a profile to the people."""
        self._joins[f"LEFT JOIN {relation} AS {name} ON {name}.profile_id = profile.profile_id"] = None

    def only_one(self, keyword: str) -> str:
        """``WHERE profile_id = …`` or ``AND profile_id = …`` where a single profile is looked at."""
        return "" if self.only is None else f" {keyword} profile_id = {self.bind(self.only)}"

    def people(self) -> str:
        """The people's table with all that is joined to it, as it stands after FROM; or the one who is looked at."""
        one = "" if self.only is None else f"WHERE profile.profile_id = {self.bind(self.only)}"
        return "\n".join([f"{PEOPLE} AS profile", *self._joins, one])

    def compiled(self, sql: str) -> Compiled:
        """The whole statement, with ``?`` in place of the marks."""
        numbers = [int(number) for number in _MARK.findall(sql)]
        return Compiled(_MARK.sub("?", sql), tuple(self._values[number] for number in numbers))
