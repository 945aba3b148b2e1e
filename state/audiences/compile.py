"""From a rule to SQL: one SELECT of ``profile_id``, with every value bound and every name quoted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from millstream.state.audiences.rules import (
    AllRule,
    AnyRule,
    Audience,
    AudienceCondition,
    Bounds,
    ConsentCondition,
    EventCondition,
    IdentifierCondition,
    NoneRule,
    NotAudienceCondition,
    Rule,
    Scalar,
    TraitCondition,
    children,
    timespan,
)
from millstream.state.consent import ConsentRequirement, consent_sql
from millstream.state.errors import ConfigurationError
from millstream.state.sql import json_path, quoted

Bound = str | float | int | bool | date | datetime
_SYMBOLS = {"equals": "=", "at_least": ">=", "at_most": "<=", "more_than": ">", "less_than": "<"}
_READABLE = {
    "TEXT": "text", "DOUBLE": "a number", "BIGINT": "a number", "BOOLEAN": "true or false", "DATE": "a date",
    "TIMESTAMPTZ": "a time",
}  # fmt: skip


@dataclass(frozen=True)
class Compiled:
    """Safe SQL text and the values to bind, in order."""

    sql: str
    values: tuple[Bound, ...] = ()


@dataclass(frozen=True)
class Compiler:
    """Makes SQL of rules.

    Attributes:
        traits: Columns of ``customers.profiles`` with their types.
        as_of: The time that ``within`` counts back from; later events do not count. Aware.
        only: A single profile to look at, which spares reading the others' events.
        where: What is being compiled, for messages.
    """

    traits: Mapping[str, str]
    as_of: datetime
    only: str | None = None
    where: str | None = field(default=None, compare=False)

    def select(self, rule: Rule) -> Compiled:
        """A SELECT of the profiles for which the rule is true."""
        condition = self.condition(rule)
        return Compiled(
            f"SELECT profile.profile_id FROM customers.profiles AS profile WHERE {condition.sql}",
            condition.values,
        )

    def condition(self, rule: Rule) -> Compiled:
        """A condition on ``profile``, a row of ``customers.profiles``; it is true or false, never NULL.

        Raises:
            ConfigurationError: An unknown trait, or a value that does not go with the trait's type.
        """
        if isinstance(rule, AllRule | AnyRule | NoneRule):
            parts = [self.condition(child) for child in children(rule)]
            joined = (" AND " if isinstance(rule, AllRule) else " OR ").join(f"({part.sql})" for part in parts)
            values = tuple(value for part in parts for value in part.values)
            return Compiled(f"NOT ({joined})" if isinstance(rule, NoneRule) else joined, values)
        if isinstance(rule, TraitCondition):
            return self._trait(rule)
        if isinstance(rule, EventCondition):
            return self._event(rule)
        return self._membership(rule)

    def _membership(
        self, rule: AudienceCondition | NotAudienceCondition | ConsentCondition | IdentifierCondition
    ) -> Compiled:
        if isinstance(rule, ConsentCondition):
            sql, values = consent_sql(ConsentRequirement(channel=rule.consent, topic=rule.topic))
            return self._belongs(Compiled(sql, tuple(values)))
        if isinstance(rule, IdentifierCondition):
            sql = "SELECT profile_id FROM customers.profile_identifiers WHERE kind = ?"
            return self._belongs(Compiled(sql, (rule.identifier,)))
        sql = "SELECT profile_id FROM customers.memberships WHERE audience = ? AND left_at IS NULL"
        if isinstance(rule, AudienceCondition):
            return self._belongs(Compiled(sql, (rule.audience,)))
        return self._belongs(Compiled(sql, (rule.not_audience,)), positive=False)

    def _belongs(self, chosen: Compiled, *, positive: bool = True) -> Compiled:
        """Whether the profile is among those a SELECT gives (which never gives NULL)."""
        sql, values = chosen.sql, chosen.values
        if self.only is not None:
            sql, values = f"SELECT profile_id FROM ({sql}) AS chosen WHERE profile_id = ?", (*values, self.only)
        return Compiled(f"profile.profile_id {'IN' if positive else 'NOT IN'} ({sql})", values)

    def events(self, rule: EventCondition) -> Compiled:
        """The WHERE of a condition's events, over ``customers.profile_events``."""
        parts = ["name = ?", "happened_at <= CAST(? AS TIMESTAMPTZ)"]
        values: list[Bound] = [rule.event, self.as_of]
        if rule.within is not None:
            parts.append("happened_at > CAST(? AS TIMESTAMPTZ)")
            values.append(self.as_of - timespan(rule.within))
        for column, wanted in (("channel", rule.channel), ("campaign", rule.campaign)):
            if wanted is not None:
                parts.append(f"{column} = ?")
                values.append(wanted)
        for name, given in rule.where.items():
            part = _property(name, given if isinstance(given, list) else [given])
            parts.append(part.sql)
            values += part.values
        if self.only is not None:
            parts.append("profile_id = ?")
            values.append(self.only)
        return Compiled(" AND ".join(parts), tuple(values))

    def _event(self, rule: EventCondition) -> Compiled:
        events = self.events(rule)
        having = [
            *_bounds("count(*)", rule.count),
            # A sum of nothing but missing values is no sum; what could not be converted is one.
            *_bounds("coalesce(sum(value_base), 0)", rule.value),
        ]
        sql = f"SELECT profile_id FROM customers.profile_events WHERE {events.sql}"
        if having:
            sql += f" GROUP BY profile_id HAVING {' AND '.join(part for part, _ in having)}"
        values = (*events.values, *(value for _, value in having))
        return Compiled(f"profile.profile_id {'IN' if rule.did else 'NOT IN'} ({sql})", values)

    def _trait(self, rule: TraitCondition) -> Compiled:
        name, sql_type = self.column(rule.trait)
        parts = [
            self._comparison(rule.trait, name, sql_type, comparison, value)
            for comparison, value in rule.comparisons().items()
        ]
        return Compiled(
            " AND ".join(part.sql for part in parts), tuple(value for part in parts for value in part.values)
        )

    def column(self, trait: str) -> tuple[str, str]:
        """The quoted column of a trait and its type.

        Raises:
            ConfigurationError: No profile has such a trait.
        """
        name = trait.lower()
        if name not in self.traits or name == "profile_id":
            raise ConfigurationError(
                f"No profile has a trait {trait!r}.",
                where=self.where,
                allowed=sorted(set(self.traits) - {"profile_id"}),
                remedy="check the spelling, and that the source that brings the trait has been pulled.",
            )
        return f"profile.{quoted(name)}", self.traits[name]

    def _comparison(
        self, trait: str, column: str, sql_type: str, comparison: str, value: Scalar | list[Scalar]
    ) -> Compiled:
        if comparison == "is_set":
            return Compiled(f"{column} IS {'NOT ' if value else ''}NULL")
        if sql_type.endswith("[]"):
            return self._list_comparison(trait, column, comparison, value)
        if comparison == "contains":
            if sql_type != "TEXT":
                raise self._misfit(trait, sql_type, "cannot be searched with 'contains'")
            return Compiled(f"coalesce(strpos({column}, ?) > 0, FALSE)", (str(value),))
        given = value if isinstance(value, list) else [value]
        fitted = tuple(self._fit(trait, sql_type, each) for each in given)
        if comparison in ("in", "not_in", "equals", "not_equals"):
            marks = ", ".join(f"CAST(? AS {sql_type})" for _ in fitted)
            sql = f"coalesce({column} IN ({marks}), FALSE)"
            return Compiled(f"NOT {sql}" if comparison.startswith("not") else sql, fitted)
        if sql_type == "BOOLEAN":
            raise self._misfit(trait, sql_type, f"cannot be compared with {comparison!r}")
        return Compiled(f"coalesce({column} {_SYMBOLS[comparison]} CAST(? AS {sql_type}), FALSE)", fitted)

    def _list_comparison(self, trait: str, column: str, comparison: str, value: Scalar | list[Scalar]) -> Compiled:
        if comparison != "contains":
            raise self._misfit(trait, "TEXT[]", "is a list: use contains or is_set")
        return Compiled(f"coalesce(array_contains({column}, ?), FALSE)", (str(value),))

    def _fit(self, trait: str, sql_type: str, value: Scalar) -> Bound:
        """The value as the column's type has it."""
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if sql_type in ("DOUBLE", "BIGINT") and is_number:
            return value
        if sql_type == "BOOLEAN" and isinstance(value, bool):
            return value
        if sql_type == "TEXT" and not isinstance(value, date):
            return str(value).lower() if isinstance(value, bool) else str(value)
        if sql_type in ("DATE", "TIMESTAMPTZ"):
            return self._fit_time(trait, sql_type, value)
        raise self._misfit(trait, sql_type, f"is compared with {value!r}")

    def _fit_time(self, trait: str, sql_type: str, value: Scalar) -> Bound:
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                raise self._misfit(trait, sql_type, f"is compared with {value!r}") from None
        if not isinstance(value, date):
            raise self._misfit(trait, sql_type, f"is compared with {value!r}")
        if not isinstance(value, datetime):
            value = datetime(value.year, value.month, value.day, tzinfo=UTC)
        value = value if value.tzinfo else value.replace(tzinfo=UTC)
        return value.astimezone(UTC).date() if sql_type == "DATE" else value

    def _misfit(self, trait: str, sql_type: str, problem: str) -> ConfigurationError:
        return ConfigurationError(
            f"The trait {trait!r} is {_READABLE.get(sql_type, sql_type)} and {problem}.",
            where=self.where,
            remedy="write a value of the trait's own type; dates as 2026-01-31.",
        )


def _bounds(measure: str, bounds: Bounds | None) -> list[tuple[str, float]]:
    if bounds is None:
        return []
    return [(f"{measure} {_SYMBOLS[name]} CAST(? AS DOUBLE)", value) for name, value in bounds.given().items()]


def _property(name: str, wanted: list[Scalar]) -> Compiled:
    """A property is one of the values; numbers are compared as numbers, anything else as text."""
    path = json_path(name)
    parts: list[str] = []
    values: list[Bound] = []
    for value in wanted:
        seen = "json_extract_string(properties, ?)"
        if isinstance(value, int | float) and not isinstance(value, bool):
            parts.append(f"TRY_CAST({seen} AS DOUBLE) = CAST(? AS DOUBLE)")
            values += [path, value]
        else:
            parts.append(f"{seen} = ?")
            values += [path, str(value).lower() if isinstance(value, bool) else str(value)]
    return Compiled(f"({' OR '.join(parts)})", tuple(values))


def checked_select(sql: str, *, where: str) -> str:
    """A project's own SELECT, once it is known to be a single statement that only reads and gives ``profile_id``.

    Raises:
        ConfigurationError: It is not.
    """
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    remedy = "write a single SELECT that gives a column profile_id and changes nothing."
    try:
        statements = [statement for statement in sqlglot.parse(sql, read="duckdb") if statement is not None]
    except SqlglotError as error:
        line = str(error).splitlines()[0]
        raise ConfigurationError(f"The SQL cannot be read: {line}", where=where, remedy=remedy) from error
    writes = (exp.DML, exp.DDL, exp.Command, exp.Into, exp.Pragma, exp.Set, exp.Attach, exp.Copy, exp.Drop)
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise ConfigurationError("The SQL is not one SELECT.", where=where, remedy=remedy)
    query = statements[0]
    if any(isinstance(node, writes) and not isinstance(node, exp.Query) for node in query.walk()):
        raise ConfigurationError("The SQL does more than read.", where=where, remedy=remedy)
    if not query.is_star and "profile_id" not in [name.lower() for name in query.named_selects]:
        raise ConfigurationError("The SQL gives no column profile_id.", where=where, remedy=remedy)
    return query.sql(dialect="duckdb")


def compile_audience(
    audience: Audience, *, name: str, traits: Mapping[str, str], as_of: datetime, only: str | None = None
) -> Compiled:
    """One SELECT of the distinct ``profile_id`` of an audience's members.

    Args:
        audience: The rule or SQL.
        name: The audience's name, for messages.
        traits: Columns of ``customers.profiles`` with their types.
        as_of: The time of the run, aware.
        only: Look at this profile alone.

    Raises:
        ConfigurationError: The rule names a trait that no profile has, or the SQL is not one SELECT.
    """
    where = f"audiences.{name}"
    if audience.rule is not None:
        compiled = Compiler(traits=traits, as_of=as_of, only=only, where=where).select(audience.rule)
    else:
        chosen = checked_select(audience.sql or "", where=where)
        compiled = Compiled(
            "SELECT DISTINCT profile.profile_id FROM customers.profiles AS profile "
            f"JOIN ({chosen}) AS chosen ON chosen.profile_id = profile.profile_id"
        )
    if only is None:
        return compiled
    return Compiled(
        f"SELECT profile_id FROM ({compiled.sql}) AS members WHERE profile_id = ?", (*compiled.values, only)
    )
