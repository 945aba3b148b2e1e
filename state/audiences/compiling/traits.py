"""Conditions on traits as expressions over ``profile``, a row of the people's table."""

from __future__ import annotations

from datetime import date

from millstream.state.audiences.compiling.query import PEOPLE, Bound, Query
from millstream.state.audiences.computed import remedy_for_missing
from millstream.state.audiences.nodes import Scalar, TraitCondition
from millstream.state.audiences.spans import utc
from millstream.state.errors import ConfigurationError
from millstream.state.sql import quoted

SYMBOLS = {"equals": "=", "at_least": ">=", "at_most": "<=", "more_than": ">", "less_than": "<"}
NUMBERS = ("DOUBLE", "BIGINT", "INTEGER", "FLOAT")
_TIMES = ("DATE", "TIMESTAMPTZ")
_READABLE = {
    "TEXT": "text", "BOOLEAN": "true or false", "DATE": "a date", "TIMESTAMPTZ": "a time", "TEXT[]": "a list",
    **dict.fromkeys(NUMBERS, "a number"),
}  # fmt: skip
_PARTS = 100_000_000
"""A percentage is told in millionths, so that its share of the people is counted in whole numbers."""


class Traits:
    """Makes expressions of conditions on traits; each is true or false, never NULL.

    Args:
        query: What the expressions go into.
        where: What is being compiled, for messages.
    """

    def __init__(self, query: Query, where: str | None = None) -> None:
        self._query = query
        self._where = where

    def condition(self, rule: TraitCondition) -> str:
        """All comparisons of a condition.

        Raises:
            ConfigurationError: No person has the trait, or a value does not go with its type.
        """
        name, sql_type = self.column(rule.trait)
        compared = rule.comparisons().items()
        return " AND ".join(self._comparison(rule.trait, name, sql_type, each, value) for each, value in compared)

    def column(self, trait: str) -> tuple[str, str]:
        """The name of a trait's column and its type.

        Raises:
            ConfigurationError: No person has such a trait.
        """
        name = trait.lower()
        if name in self._query.traits and name != "profile_id":
            return name, self._query.traits[name]
        allowed = sorted(set(self._query.traits) - {"profile_id"})
        raise ConfigurationError(
            f"No profile has a trait {trait!r}.",
            where=self._where,
            allowed=allowed,
            remedy=remedy_for_missing(name, allowed, self._query.rules),
        )

    def misfit(self, trait: str, sql_type: str, problem: str) -> ConfigurationError:
        """An error about a trait that is of another type than its use."""
        return ConfigurationError(
            f"The trait {trait!r} is {_READABLE.get(sql_type, sql_type)} and {problem}.",
            where=self._where,
            remedy="write a value of the trait's own type; dates as 2026-01-31.",
        )

    def _comparison(self, trait: str, name: str, sql_type: str, comparison: str, value: Scalar | list[Scalar]) -> str:
        column = f"profile.{quoted(name)}"
        if comparison == "is_set":
            return f"{column} IS {'NOT ' if value else ''}NULL"
        if sql_type.endswith("[]"):
            if comparison != "contains":
                raise self.misfit(trait, sql_type, "goes with contains and is_set only")
            return f"coalesce(array_contains({column}, {self._query.bind(str(value))}), FALSE)"
        if comparison == "contains":
            if sql_type != "TEXT":
                raise self.misfit(trait, sql_type, "cannot be searched with 'contains'")
            return f"coalesce(strpos({column}, {self._query.bind(str(value))}) > 0, FALSE)"
        if comparison.endswith("_percent"):
            return self._percent(trait, name, sql_type, comparison, value)
        given = value if isinstance(value, list) else [value]
        fitted = [f"CAST({self._query.bind(self._fit(trait, sql_type, each))} AS {sql_type})" for each in given]
        if comparison in ("in", "not_in", "equals", "not_equals"):
            sql = f"coalesce({column} IN ({', '.join(fitted)}), FALSE)"
            return f"NOT {sql}" if comparison.startswith("not") else sql
        if sql_type == "BOOLEAN":
            raise self.misfit(trait, sql_type, f"cannot be compared with {comparison!r}")
        return f"coalesce({column} {SYMBOLS[comparison]} {fitted[0]}, FALSE)"

    def _percent(self, trait: str, name: str, sql_type: str, comparison: str, percent: object) -> str:
        """Among the first of those who have the trait: fewer than so many of them are better, which keeps ties in."""
        if sql_type not in (*NUMBERS, *_TIMES):
            raise self.misfit(trait, sql_type, f"has no highest and lowest values for {comparison!r}")
        assert isinstance(percent, float)
        order = "DESC" if comparison == "top_percent" else "ASC"
        standing = self._query.relation(
            f"SELECT profile_id, rank() OVER (ORDER BY {quoted(name)} {order}) - 1 AS better, "
            f"count(*) OVER () AS people FROM {PEOPLE} WHERE {quoted(name)} IS NOT NULL",
            "standing",
        )
        share = self._query.bind(round(percent * _PARTS / 100))
        first = f"SELECT profile_id FROM {standing} WHERE better * {_PARTS} < people * CAST({share} AS BIGINT)"
        return self._query.belongs(first)

    def _fit(self, trait: str, sql_type: str, value: Scalar) -> Bound:
        """The value as the column's type has it."""
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if sql_type in NUMBERS and is_number:
            return value
        if sql_type == "BOOLEAN" and isinstance(value, bool):
            return value
        if sql_type == "TEXT" and not isinstance(value, date):
            return str(value).lower() if isinstance(value, bool) else str(value)
        if sql_type in _TIMES and isinstance(value, date | str):
            try:
                moment = utc(value)
            except (ValueError, OverflowError):
                raise self.misfit(trait, sql_type, f"is compared with {value!r}") from None
            return moment.date() if sql_type == "DATE" else moment
        raise self.misfit(trait, sql_type, f"is compared with {value!r}")
