"""Audiences that a project writes as SQL: one SELECT that reads tables of the store, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from millstream.state.errors import ConfigurationError
from millstream.state.reach import reached_for

if TYPE_CHECKING:
    from sqlglot import exp

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


def _strange(query: exp.Query) -> Iterator[str]:
    """What there is in it that a SELECT of people has no use for."""
    from sqlglot import exp

    for mark in query.find_all(exp.Placeholder, exp.Parameter, exp.SessionParameter):
        yield f"has a mark for a value, {mark.sql(dialect='duckdb')!r}, and there is none to put there"
    yield from reached_for(query)
