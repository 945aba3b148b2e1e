"""Audiences that a project writes as SQL: one SELECT that reads tables of the store, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from millstream.state.errors import ConfigurationError
from millstream.state.reach import reached_for

if TYPE_CHECKING:
    from sqlglot import exp

_CONSENTS = frozenset({"profile_consents", "consents", "denied_values"})
"""Tables that tell who granted what."""
_REMEDY = "write a single SELECT that gives a column profile_id and changes nothing."


def checked_select(sql: str, *, where: str) -> str:
    """A project's own SELECT, once it is known to only read tables of the store and to give ``profile_id``.

    Raises:
        ConfigurationError: It is more than one statement, it writes, it reads files or what else is not a table of the
            store, it wants values bound, or it gives no ``profile_id``.
    """
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        statements = [statement for statement in sqlglot.parse(sql, read="duckdb") if statement is not None]
    except SqlglotError as error:
        line = str(error).splitlines()[0]
        raise ConfigurationError(f"The SQL cannot be read: {line}", where=where, remedy=_REMEDY) from error
    changes = (exp.DML, exp.DDL, exp.Command, exp.Into, exp.Pragma, exp.Set, exp.Attach, exp.Copy, exp.Drop, exp.Lock)
    others = (*changes, exp.Describe, exp.Summarize, exp.Show)
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise ConfigurationError("The SQL is not one SELECT.", where=where, remedy=_REMEDY)
    query = statements[0]
    if any(isinstance(node, others) and not isinstance(node, exp.Query) for node in query.walk()):
        raise ConfigurationError("The SQL does more, or other, than read.", where=where, remedy=_REMEDY)
    for problem in _strange(query):
        raise ConfigurationError(
            f"The SQL {problem}.",
            where=where,
            remedy="read tables of the store by their schema, such as customers.people or raw_shop.orders.",
        )
    if not query.is_star and "profile_id" not in [name.lower() for name in query.named_selects]:
        raise ConfigurationError("The SQL gives no column profile_id.", where=where, remedy=_REMEDY)
    return query.sql(dialect="duckdb", comments=False)


def columns_of(sql: str) -> set[str]:
    """The names of columns that a SELECT speaks of, in small letters; none of one that cannot be read."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        statements = sqlglot.parse(sql, read="duckdb")
    except SqlglotError:
        return set()
    return {column.name.lower() for one in statements if one is not None for column in one.find_all(exp.Column)}


@dataclass(frozen=True)
class AskedConsents:
    """How a SELECT speaks of consents.

    Attributes:
        texts: The texts it names, channels among them.
        status: Whose profiles it gives, those who granted or those who denied; None where that is not plain to see.
    """

    texts: frozenset[str]
    status: Literal["granted", "denied"] | None


def consents_in(sql: str) -> AskedConsents | None:
    """How a SELECT speaks of consents; None where it does not."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        query = sqlglot.parse_one(sql, read="duckdb")
    except SqlglotError:
        return None
    if not any(table.name.lower() in _CONSENTS for table in query.find_all(exp.Table)):
        return None
    texts = frozenset(one.name for one in query.find_all(exp.Literal) if one.is_string)
    turned = (exp.Not, exp.NEQ, exp.Except, exp.Is, exp.Case, exp.If, exp.AggFunc)
    plain = query.find(*turned) is None and not any(one.side or one.kind for one in query.find_all(exp.Join))
    said = texts & {"granted", "denied", "unknown"}
    if plain and said == {"granted"}:
        return AskedConsents(texts, "granted")
    return AskedConsents(texts, "denied" if plain and said == {"denied"} else None)


def _strange(query: exp.Query) -> Iterator[str]:
    """What there is in it that a SELECT of people has no use for."""
    from sqlglot import exp

    for mark in query.find_all(exp.Placeholder, exp.Parameter, exp.SessionParameter):
        yield f"has a mark for a value, {mark.sql(dialect='duckdb')!r}, and there is none to put there"
    yield from reached_for(query)
