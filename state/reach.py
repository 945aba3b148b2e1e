"""What the SQL of a project may not reach for: it reads tables of the store, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlglot import exp

_TABLE_FUNCTIONS = {"unnest", "explode", "generate_series", "range", "json_each", "json_tree"}
"""Functions in FROM that make rows of what they are given. All others may read files, or run text as SQL."""
_FORBIDDEN_FUNCTIONS = re.compile(
    r"(pg_|lo_|dblink|read_|scan_|write_|parquet_|sniff_|iceberg_|delta_|sqlite_|postgres_|mysql_|duckdb_|http_)\w*"
    r"|\w+_scan|(query|table|schema|database|cursor)_to_xml\w*|query|query_table|glob|getenv|current_setting"
    r"|set_config|setval|nextval|currval|lastval|txid_\w+|sys_exec|sys_eval|which_secret|json_execute_serialized_sql"
    r"|getvariable"
)
"""Functions that reach for files, other servers, settings or sequences, on either engine."""
_FILE_ENDINGS = re.compile(r"csv|tsv|txt|json|jsonl|ndjson|parquet|xlsx?|arrow|avro|gz|zst|db|duckdb|sqlite", re.I)
_FOREIGN_SCHEMAS = ("information_schema", "pg_catalog", "pg_temp", "temp", "system")


def reached_for(query: exp.Query, *, known: Collection[str] = ()) -> Iterator[str]:
    """What a SELECT reads or calls that is no table of the store, each as a predicate: ``reads 'a.csv', which ...``.

    Args:
        query: In DuckDB's dialect.
        known: Tables that may be named without a schema, in lower case.
    """
    from sqlglot import exp

    for function in query.find_all(exp.Func):
        name = function.name if isinstance(function, exp.Anonymous) else function.sql_name()
        if _FORBIDDEN_FUNCTIONS.fullmatch(name.lower()):
            yield f"calls {name.lower()}(), which reaches beyond the tables of the store"
    for table in query.find_all(exp.Table):
        if not isinstance(table.this, exp.Identifier):
            name = table.this.name if isinstance(table.this, exp.Anonymous) else table.this.key
            if name.lower() not in _TABLE_FUNCTIONS:
                yield f"reads {table.sql(dialect='duckdb')}, which is no table of the store"
        elif table.catalog or table.db.lower() in _FOREIGN_SCHEMAS or _looks_like_a_file(table):
            yield f"reads {table.sql(dialect='duckdb')}, which is no table of the store"
        elif not table.db and table.name.lower() not in known and not _is_own_name(table):
            yield f"reads {table.name!r}, and does not say in which schema of the store that is"


def _is_own_name(table: exp.Table) -> bool:
    """Whether it is the name of a WITH part in sight: one of a query around it, and told before it where both are."""
    from sqlglot import exp

    node: exp.Expr = table
    while node.parent is not None:
        node, below = node.parent, node
        parts: list[exp.Expr] = []
        if isinstance(node, exp.With):
            told = list(node.expressions)
            place = next(number for number, part in enumerate(told) if part is below)
            parts = told[: place + bool(node.args.get("recursive"))]
        elif isinstance(node, exp.Query) and not isinstance(below, exp.With):
            parts = list(node.ctes)
        if any(part.alias.lower() == table.name.lower() for part in parts):
            return True
    return False


def _looks_like_a_file(table: exp.Table) -> bool:
    """DuckDB reads files by names such as ``"a.csv"``, and even ``a.csv``, where there is no such table."""
    return bool(_FILE_ENDINGS.fullmatch(table.name)) or any(set("./\\:*?[~") & set(part.name) for part in table.parts)
