"""SELECTs that somebody wrote: one statement that only reads, with the columns and the values it may have."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from millstream.state.reach import reached_for
from millstream.state.suggestions import did_you_mean

if TYPE_CHECKING:
    from sqlglot import exp

SETTINGS = ("timezone", "active_days", "lapsed_days", "horizon_days")
"""Settings of the section ``traits`` that a SELECT may use as bound values."""
VALUES = ("as_of", *SETTINGS)


class SelectError(ValueError):
    """What is wrong with a SELECT, and in which of its lines (from 1) as far as that is known."""

    def __init__(self, what: str, *, line: int | None = None, remedy: str | None = None) -> None:
        super().__init__(what)
        self.what, self.line, self.remedy = what, line, remedy


@dataclass(frozen=True)
class Select:
    """A checked SELECT.

    Attributes:
        columns: Names of its columns, in lower case.
        reads: Names of the relations it reads that belong to no schema, in lower case.
        values: Names of the bound values it uses.
    """

    columns: tuple[str, ...]
    reads: frozenset[str]
    values: frozenset[str]


@lru_cache(maxsize=200)
def read_select(sql: str) -> Select:
    """What a SELECT gives and needs. A run asks more than once, of each set that is shipped and of its own.

    Raises:
        SelectError: It is not one SELECT that only reads and names its columns.
    """
    from sqlglot import exp

    query = _parsed(sql)
    if not isinstance(query, exp.Query):
        raise SelectError("the SQL is not a SELECT.", remedy="write one SELECT; the engine stores what it gives.")
    writes = (exp.DML, exp.DDL, exp.Command, exp.Into, exp.Pragma, exp.Set, exp.Attach, exp.Copy, exp.Drop)
    if any(isinstance(node, writes) and not isinstance(node, exp.Query) for node in query.walk()):
        raise SelectError("the SQL does more than read.", remedy="write one SELECT; the engine stores what it gives.")
    reads = _reads(query)
    # Which of the names are known is the file's to say; that none is a file is said here.
    for problem in reached_for(query, known=reads):
        remedy = "read the inputs by their names, and tables of the store by their schema, as customers.consents."
        raise SelectError(f"the SQL {problem}.", remedy=remedy)
    if query.is_star:
        raise SelectError("the SELECT says * in place of its columns.", remedy="name profile_id and each trait.")
    return Select(
        columns=tuple(name.lower() for name in query.named_selects),
        reads=reads,
        values=frozenset(str(mark.name) for mark in query.find_all(exp.Placeholder)),
    )


def check_select(select: Select, *, traits: Iterable[str], inputs: Collection[str], relations: Collection[str]) -> None:
    """Hold a SELECT against what its file declares.

    Raises:
        SelectError: Other columns than the declared ones, a relation that is not among the inputs, an unknown value.
    """
    wanted = ("profile_id", *traits)
    given = list(select.columns)
    if "profile_id" not in given:
        raise SelectError("the SELECT gives no column profile_id.")
    for name in wanted:
        if given.count(name) != 1:
            told = "gives no column" if name not in given else "gives twice the column"
            raise SelectError(f"the SELECT {told} {name!r}.", remedy=did_you_mean(name, set(given) - set(wanted)))
    for name in given:
        if name not in wanted:
            raise SelectError(
                f"the SELECT gives a column {name!r}, which is not declared.", remedy=did_you_mean(name, wanted)
            )
    for name in sorted(select.reads - set(inputs)):
        other = did_you_mean(name, inputs) or "tables of the store are named with their schema, as customers.consents."
        remedy = f"add {name} to the inputs." if name in relations else other
        raise SelectError(f"the SELECT reads {name!r}, which is not among the inputs.", remedy=remedy)
    for name in sorted(select.values):
        if name not in VALUES:
            allowed = ", ".join(f"${value}" for value in VALUES)
            raise SelectError(f"the SELECT uses ${name}; there are {allowed}.", remedy=did_you_mean(name, VALUES))


def bound(values: Iterable[str], known: Mapping[str, object]) -> dict[str, object] | None:
    """The values that a SELECT uses; None for none, which is what an engine takes then."""
    return {name: known[name] for name in values} or None


def _parsed(sql: str) -> exp.Expr:
    import sqlglot
    from sqlglot.errors import ParseError, SqlglotError

    try:
        statements = [statement for statement in sqlglot.parse(sql, read="duckdb") if statement is not None]
    except ParseError as error:
        found = error.errors[0] if error.errors else {}
        line = found.get("line")
        told = str(found.get("description") or str(error).splitlines()[0]).rstrip(".")
        raise SelectError(f"the SQL cannot be read: {told}.", line=line) from error
    except SqlglotError as error:
        raise SelectError(f"the SQL cannot be read: {str(error).splitlines()[0]}") from error
    if len(statements) != 1:
        raise SelectError(f"there are {len(statements)} statements.", remedy="write one SELECT.")
    return statements[0]


def _reads(query: exp.Query) -> frozenset[str]:
    from sqlglot import exp

    own = {common.alias_or_name.lower() for common in query.find_all(exp.CTE)}
    tables = {table.name.lower() for table in query.find_all(exp.Table) if not table.db and table.name}
    return frozenset(tables - own)
