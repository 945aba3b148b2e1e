"""The dialect notes: all that DuckDB's SQL needs beyond sqlglot to be PostgreSQL's.

SQL in the rest of Millstream is DuckDB's. sqlglot turns most of it into PostgreSQL's; the rules here do the rest, on
the parsed statement. What both engines understand is written in that way in the first place, and needs no rule.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import sqlglot
from sqlglot import ErrorLevel, exp, jsonpath
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import TokenType

from millstream.state.errors import QueryError
from millstream.state.sql import identifier
from millstream.state.store.replacing import SHAPE

LONGEST_NAME = 63
"""Bytes of a name in PostgreSQL, which cuts longer ones in silence."""

FUNCTIONS_SCHEMA = "millstream"
_POSITIONAL = "p_"
_MARK = "\x01{}\x02"


@dataclass(frozen=True)
class Statement:
    """A statement as PostgreSQL takes it.

    Attributes:
        text: The SQL, with ``%(name)s`` for values where there are any.
        names: The values' names.
        first: What must be run before.
        fills: The table it fills, whose statistics may need an update.
        view: The view that is made of the text, in place of one that is there.
        table: The table that is filled by the text, if there is any, in place of one that is there.
        shape: Makes an empty table with the columns that it is to have.
        afterwards: What must be run after.
    """

    text: str
    names: frozenset[str] = frozenset()
    first: tuple[str, ...] = ()
    fills: str | None = None
    view: str | None = None
    table: str | None = None
    shape: str = ""
    afterwards: tuple[str, ...] = ()


@lru_cache(maxsize=4096)
def translate(sql: str) -> tuple[Statement, ...]:
    """The statements of a text in DuckDB's dialect.

    ``?`` marks are named by their position: ``p_0``, ``p_1``, ...

    Raises:
        QueryError: The text cannot be read, or PostgreSQL has no words for it.
    """
    try:
        trees = sqlglot.parse(_name_marks(sql), read="duckdb")
        return tuple(_statement(tree) for tree in trees if tree is not None)
    except SqlglotError as error:
        raise QueryError(f"The SQL cannot be read or written for PostgreSQL: {str(error).splitlines()[0]}") from error


def _name_marks(sql: str) -> str:
    """``?`` as ``$p_0``: rules move and repeat values. The space keeps ``$p_0,$`` from being read as a quote."""
    if "?" not in sql:
        return sql
    marks = [token.start for token in sqlglot.tokenize(sql, read="duckdb") if token.token_type is TokenType.PLACEHOLDER]
    parts, end = [], 0
    for number, start in enumerate(marks):
        parts += [sql[end:start], f" ${_POSITIONAL}{number} "]
        end = start + 1
    return "".join([*parts, sql[end:]])


def _statement(tree: exp.Expr) -> Statement:
    tree = _reworded(tree)
    _check_names(tree)
    names = frozenset(str(mark.name) for mark in tree.find_all(exp.Placeholder))
    if isinstance(tree, exp.Create):
        return _create(tree, names)
    fills = tree.this.this if isinstance(tree, exp.Insert) and isinstance(tree.this, exp.Schema) else tree.this
    return Statement(_text(tree, names), names, fills=_text(fills) if isinstance(tree, exp.Insert) else None)


def _reworded(tree: exp.Expr) -> exp.Expr:
    """The statement after all rules, the inner parts first."""
    for node in reversed(list(tree.dfs())):
        made = node
        for rule in _RULES:
            made = rule(made)
        if node is tree:
            tree = made
        elif made is not node:
            node.replace(made)
    return tree


def _text(tree: exp.Expr, names: frozenset[str] = frozenset()) -> str:
    if not names:
        return str(tree.sql(dialect="postgres", comments=False, unsupported_level=ErrorLevel.RAISE))
    marked = tree.transform(
        lambda node: exp.Var(this=_MARK.format(node.name)) if isinstance(node, exp.Placeholder) else node
    )
    text = str(marked.sql(dialect="postgres", comments=False, unsupported_level=ErrorLevel.RAISE)).replace("%", "%%")
    for name in names:
        text = text.replace(_MARK.format(name), f"%({name})s")
    return text


def _marked(node: exp.Expr) -> exp.Expr:
    return exp.Var(this=_MARK.format(node.name)) if isinstance(node, exp.Placeholder) else node


def _check_names(tree: exp.Expr) -> None:
    for name in tree.find_all(exp.Identifier):
        if len(name.name.encode()) > LONGEST_NAME:
            raise QueryError(
                f"The name {name.name!r} has {len(name.name.encode())} bytes; PostgreSQL takes {LONGEST_NAME}.",
                remedy="give the column a shorter name, or keep the store in DuckDB.",
            )


def _create(tree: exp.Create, names: frozenset[str]) -> Statement:
    """Tables and views: PostgreSQL replaces no tables, and views only by like ones (``replacing.py``)."""
    table = cast(exp.Table, tree.find(exp.Table))
    name = _text(table)
    filled = name if tree.kind == "TABLE" and tree.expression else None
    if not tree.args.get("replace"):
        return Statement(_text(tree, names), names, fills=filled)
    tree.set("replace", False)
    if tree.kind == "VIEW":
        return Statement(_text(tree.expression), view=name)
    temporary = tree.find(exp.TemporaryProperty) is not None
    dropped = f"DROP TABLE IF EXISTS {'pg_temp.' if temporary else ''}{name}"
    reads = tree.expression.find_all(exp.Table) if tree.expression else ()
    if not any(read.name.lower() == table.name.lower() and read.db == table.db for read in reads):
        if not temporary:
            return _emptied_and_filled(tree, name, names)
        return Statement(_text(tree, names), names, first=(dropped,), fills=filled)
    # It is made of the table that it replaces.
    meanwhile = exp.to_table(f"{table.name}_anew", db=table.db or None)
    table.replace(meanwhile)
    renamed = f"ALTER TABLE {_text(meanwhile)} RENAME TO {identifier(table.name)}"
    return Statement(_text(tree, names), names, fills=name, afterwards=(dropped, renamed))


def _emptied_and_filled(tree: exp.Create, name: str, names: frozenset[str]) -> Statement:
    """A table that stays the same one; no view that the query reads may be made of it."""
    if tree.expression is None:
        columns = ", ".join(_text(column) for column in tree.this.expressions)
        return Statement("", table=name, shape=f"CREATE TABLE {SHAPE} ({columns})")
    query = _text(tree.expression, names)
    return Statement(query, names, fills=name, table=name, shape=f"CREATE TABLE {SHAPE} AS {query} WITH NO DATA")


# The rules: each takes a node and gives it back, or another in its place.


def _types(node: exp.Expr) -> exp.Expr:
    """JSON is kept parsed: it can be compared, and its parts are found without reading it again."""
    if isinstance(node, exp.DataType) and node.this == exp.DType.JSON:
        node.set("this", exp.DType.JSONB)
    return node


def _try_cast(node: exp.Expr) -> exp.Expr:
    """TRY_CAST becomes a function of ours (``functions.sql``) that gives NULL for what cannot be read."""
    if not isinstance(node, exp.TryCast):
        return node
    kind = node.to.sql(dialect="duckdb").lower()
    text = exp.cast(node.this, exp.DType.TEXT)
    if kind in ("text", "varchar"):
        return text
    if kind in ("json[]", "jsonb[]"):
        return exp.Anonymous(this=f"{FUNCTIONS_SCHEMA}.try_jsons", expressions=[text])
    readers = {"double", "bigint", "int", "boolean", "date", "timestamptz"}
    if kind not in readers:
        raise QueryError(
            f"TRY_CAST to {kind.upper()} is not known to the store on PostgreSQL.", allowed=sorted(readers)
        )
    return exp.Anonymous(this=f"{FUNCTIONS_SCHEMA}.try_{kind}", expressions=[text])


def _json(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.JSONObject):
        pairs = [part for pair in node.expressions for part in (pair.this, pair.expression)]
        return exp.Anonymous(this="JSONB_BUILD_OBJECT", expressions=pairs)
    if (
        isinstance(node, exp.Anonymous)
        and node.name.lower() == "to_json"
        and isinstance(node.expressions[0], exp.Struct)
    ):
        fields = node.expressions[0].expressions
        pairs = [part for field in fields for part in (exp.Literal.string(field.this.name), field.expression)]
        return exp.Anonymous(this="JSONB_BUILD_OBJECT", expressions=pairs)
    if isinstance(node, exp.Anonymous) and node.name.lower() == "json_merge_patch":
        return exp.Anonymous(
            this="JSONB_STRIP_NULLS", expressions=[exp.Anonymous(this="JSONB_CONCAT", expressions=node.expressions)]
        )
    if isinstance(node, exp.JSONExtractScalar):
        if isinstance(node.expression, exp.Array):
            paths = (jsonpath.parse(path.name) for path in node.expression.expressions)
            return exp.Array(expressions=[_json_text(node.this.copy(), path) for path in paths])
        return _json_text(node.this, node.expression)
    if isinstance(node, exp.JSONExtract) and isinstance(node.expression, exp.JSONPath):
        keys = [part for part in node.expression.expressions if not isinstance(part, exp.JSONPathRoot)]
        if all(isinstance(key, exp.JSONPathKey) for key in keys):
            literals = [exp.Literal.string(key.name) for key in keys]
            return exp.Anonymous(this="JSONB_EXTRACT_PATH", expressions=[node.this, *literals])
    return node


def _json_text(document: exp.Expr, path: exp.Expr) -> exp.Expr:
    """A part of a document as text, by a path that is known now or by one bound later."""
    if isinstance(path, exp.JSONPath):
        keys = [part for part in path.expressions if not isinstance(part, exp.JSONPathRoot)]
        if all(isinstance(key, exp.JSONPathKey) for key in keys):
            literals = [exp.Literal.string(key.name) for key in keys]
            return exp.Anonymous(this="JSONB_EXTRACT_PATH_TEXT", expressions=[document, *literals])
    found = exp.Anonymous(
        this="JSONB_PATH_QUERY_FIRST", expressions=[document, exp.cast(path, exp.DataType.build("jsonpath", udt=True))]
    )
    return exp.JSONBExtractScalar(this=found, expression=exp.Literal.string("{}"))


def _functions(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.SHA2):
        node.set("this", exp.Anonymous(this="CONVERT_TO", expressions=[node.this, exp.Literal.string("UTF8")]))
    elif isinstance(node, exp.Split):
        return exp.Anonymous(this="STRING_TO_ARRAY", expressions=[node.this, node.expression])
    elif isinstance(node, exp.IgnoreNulls) and isinstance(node.this, exp.AnyValue):
        return exp.Min(this=node.this.this)
    elif isinstance(node, exp.Hour):
        return exp.Extract(this=exp.var("HOUR"), expression=node.this)
    elif isinstance(node, exp.DateFromParts):
        parts = [exp.cast(node.args[part], exp.DType.INT) for part in ("year", "month", "day")]
        return exp.Anonymous(this="MAKE_DATE", expressions=parts)
    elif isinstance(node, exp.Round) and node.args.get("decimals") and not node.this.is_type(exp.DType.DECIMAL):
        # PostgreSQL rounds only decimal numbers to decimals.
        node.set("this", exp.cast(node.this, exp.DType.DECIMAL))
        return exp.cast(node.copy(), exp.DType.DOUBLE)
    elif isinstance(node, exp.Literal) and node.is_string and r"\p{L}\p{N}" in node.name:
        return exp.Literal.string(node.name.replace(r"\p{L}\p{N}", "[:alnum:]"))
    return node


def _first_and_last(node: exp.Expr) -> exp.Expr:
    """``first(x ORDER BY y)`` and ``last``, with or without a FILTER: PostgreSQL has no such aggregates."""
    if isinstance(node.parent, exp.Filter):
        return node
    chosen = node.this if isinstance(node, exp.Filter) else node
    if not isinstance(chosen, exp.First | exp.Last) or not isinstance(chosen.this, exp.Order):
        return node
    if isinstance(chosen, exp.Last):
        for key in chosen.this.expressions:
            key.set("desc", not key.args.get("desc"))
            key.set("nulls_first", not key.args.get("nulls_first"))
    values: exp.Expr = exp.ArrayAgg(this=chosen.this.copy())
    if isinstance(node, exp.Filter):
        values = exp.Filter(this=values, expression=node.expression.copy())
    return exp.Bracket(this=exp.paren(values), expressions=[exp.Literal.number(1)], offset=1)


def _division(node: exp.Expr) -> exp.Expr:
    """By nothing: DuckDB gives NULL as the store opens it, PostgreSQL an error."""
    if not isinstance(node, exp.Div | exp.IntDiv | exp.Mod):
        return node
    by = node.expression
    if not isinstance(by, exp.Nullif) and not (isinstance(by, exp.Literal) and by.is_number and float(by.name)):
        node.set("expression", exp.Nullif(this=exp.paren(node.expression), expression=exp.Literal.number(0)))
    return node


def _derived_tables(node: exp.Expr) -> exp.Expr:
    """A SELECT in FROM has a name, before PostgreSQL 16."""
    if isinstance(node, exp.Subquery) and not node.alias and isinstance(node.parent, exp.From | exp.Join):
        node.set("alias", exp.TableAlias(this=exp.to_identifier("derived")))
    return node


def _all_columns(node: exp.Expr) -> exp.Expr:
    """ORDER BY ALL and GROUP BY ALL; with ``*``, only the order of a single table's rows."""
    if not isinstance(node, exp.Select):
        return node
    order, group = node.args.get("order"), node.args.get("group")
    if order and order.expressions[0].this == exp.var("ALL"):
        keys: list[exp.Expr] = [exp.Literal.number(number) for number in range(1, len(node.expressions) + 1)]
        if node.is_star:
            keys = [exp.column(node.args["from_"].this.alias_or_name)]
        node.set("order", exp.Order(expressions=[exp.Ordered(this=key) for key in keys]))
    if group and group.args.get("all"):
        plain = [number for number, column in enumerate(node.expressions, 1) if not column.find(exp.AggFunc)]
        node.set("group", exp.Group(expressions=[exp.Literal.number(number) for number in plain]))
    return node


_RULES: tuple[Callable[[exp.Expr], exp.Expr], ...] = (
    _types,
    _try_cast,
    _json,
    _functions,
    _first_and_last,
    _division,
    _derived_tables,
    _all_columns,
)
