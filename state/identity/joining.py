"""What may join records, and under which rule: identifiers, decisions made by hand and probable links, as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from millstream.state.sql import literal, union_all
from millstream.state.store import write_arrow

if TYPE_CHECKING:
    from millstream.state.identity.rules import IdentityRules, KindRule
    from millstream.state.store import Connection

MERGE = "merge"
"""The kind of a join made by hand; its value is the decision's id."""
LINKAGE = "linkage"
"""The kind of a probable join; its value is the link's id."""

HASHED = "CAST(hash(record_id) >> 1 AS BIGINT)"
"""A number that the id of a record always gives within one store; SQL."""


def hashed(text: str) -> str:
    """The small number by which a text is looked for first, see ``hashing.py``; SQL."""
    return f"CAST(hash({text}) >> 33 AS INTEGER)"


PROBE = " || ' ' || ".join(
    f"CAST({hashed(literal(text))} AS TEXT)" for text in ("a", "identifiers", "customers.identifiers", "e-mail " * 20)
)
"""Hashes of a few short and long texts: others where an engine, of another version, hashes in another way; SQL."""


_STRONGEST, _WEAKEST = -2, 1000
_NEVER_HOT = 2**62

_DECISIONS = f"""
SELECT record_id, '{MERGE}' AS kind, decision_id AS value, {hashed("record_id")}, {hashed("decision_id")}
FROM customers.identity_decisions WHERE decision = 'merge' AND revoked_at IS NULL
"""
_LINKS = """
SELECT record_{side}, '{kind}', link_id, {record_hash}, {value_hash}
FROM customers.links WHERE status IN ('merged', 'accepted')
"""


def create_joining(connection: Connection, rules: IdentityRules) -> None:
    """``resolve_joining (record_id, kind, value, record_hash, value_hash)``, a view: whatever joins records.

    Of living ones and of deleted ones.
    """
    columns = "record_id, kind, value, record_hash, value_hash"
    parts = [f"SELECT {columns} FROM customers.identifiers WHERE merges{_kinds_that_join(rules)}"]
    if not is_empty(connection, "customers.identity_decisions"):
        parts.append(_DECISIONS)
    if not is_empty(connection, "customers.links"):
        parts += [_links(side) for side in ("a", "b")]
    connection.execute(f"CREATE OR REPLACE TEMP VIEW resolve_joining AS {union_all(parts)}")


def _links(side: str) -> str:
    record_hash, value_hash = hashed(f"record_{side}"), hashed("link_id")
    return _LINKS.format(side=side, kind=LINKAGE, record_hash=record_hash, value_hash=value_hash)


def _kinds_that_join(rules: IdentityRules) -> str:
    differing = [literal(kind) for kind, rule in sorted(rules.kinds.items()) if rule.merges != rules.other.merges]
    if not differing:
        return "" if rules.other.merges else " AND FALSE"
    return f" AND kind {'NOT IN' if rules.other.merges else 'IN'} ({', '.join(differing)})"


def create_kinds(connection: Connection) -> None:
    """``resolve_kinds (kind, priority, max_records, max_values, window_days, agree_on)``, empty."""
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_kinds (
            kind TEXT, priority INTEGER, max_records BIGINT, max_values BIGINT, window_days BIGINT, agree_on TEXT)
        """
    )


def add_kinds(connection: Connection, rules: IdentityRules, relation: str) -> list[str]:
    """Write the rules of the kinds that a relation holds into ``resolve_kinds``, so that each has a row there.

    Returns:
        The kinds that it holds.
    """
    kinds = [str(kind) for (kind,) in connection.execute(f"SELECT DISTINCT kind FROM {relation}").fetchall()]
    known = {str(kind) for (kind,) in connection.execute("SELECT kind FROM resolve_kinds").fetchall()}
    for kind in sorted(set(kinds) - known):
        connection.execute("INSERT INTO resolve_kinds VALUES (?, ?, ?, ?, ?, ?)", [kind, *_row(rules, kind)])
    return sorted(kinds)


def _row(rules: IdentityRules, kind: str) -> tuple[object, ...]:
    if kind == MERGE:
        return (_STRONGEST, _NEVER_HOT, None, None, None)
    if kind == LINKAGE:
        return (_WEAKEST, _NEVER_HOT, None, None, None)
    rule = rules.rule(kind)
    return (rule.priority, rule.max_records, rule.max_values, rule.window_days, rule.agree_on)


def rule_of(rules: IdentityRules, kind: str) -> KindRule | None:
    """The rule of a kind of identifier; None for what joins by hand or by likeness."""
    return None if kind in (MERGE, LINKAGE) else rules.rule(kind)


def write_rows(
    connection: Connection, table: str, columns: Sequence[str], rows: Sequence[tuple[int | str, ...]]
) -> None:
    """Make a temporary table of rows, of which there must be one at least."""
    import pyarrow as pa

    filled = dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True))
    write_arrow(connection, table, pa.table(filled))


def is_empty(connection: Connection, relation: str) -> bool:
    """Whether a table, or what follows FROM in a query, has no row."""
    return connection.execute(f"SELECT 1 FROM {relation} LIMIT 1").fetchone() is None
