"""Which identifier values join nothing: shared mailboxes, and values that stand on too many records.

Only values on two or more records matter here; a value on a single record joins nothing anyway.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millstream.state.identity.rules import IdentityRules
    from millstream.state.store import Connection

# The identifiers that may join records, under the rules and in living records.
_JOINING = """
    SELECT identifier.record_id, identifier.kind, identifier.value
    FROM customers.identifiers AS identifier
    LEFT JOIN resolve_kinds AS rule ON rule.kind = identifier.kind
    WHERE identifier.merges AND coalesce(rule.merges, (SELECT merges FROM resolve_kinds WHERE kind = ''))
"""


def write_kinds(connection: Connection, rules: IdentityRules) -> None:
    """``resolve_kinds (kind, priority, max_records, merges)``; the rule of all other kinds has kind ''."""
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE resolve_kinds (kind TEXT, priority INTEGER, max_records BIGINT, merges BOOLEAN)"
    )
    rows = [(kind, rule.priority, rule.max_records, rule.merges) for kind, rule in rules.kinds.items()]
    rows.append(("", rules.other.priority, rules.other.max_records, rules.other.merges))
    connection.executemany("INSERT INTO resolve_kinds VALUES (?, ?, ?, ?)", rows)


def collect_touched_values(connection: Connection) -> None:
    """``resolve_touched_values (kind, value)``: those of changed records, and all that are blocked by now.

    A value that is on no changed record and was not blocked cannot have become blocked: it may only have lost records.
    """
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE resolve_touched_values AS
        SELECT kind, value FROM ({_JOINING}) AS joining
        WHERE record_id IN (SELECT record_id FROM resolve_changed WHERE NOT gone)
        UNION
        SELECT kind, value FROM customers.blocked_values
        """
    )


def link_touched_values(connection: Connection) -> None:
    """``resolve_value_links (record_id, kind, value)``: all living records that bear a touched value."""
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE resolve_value_links AS
        SELECT joining.record_id, joining.kind, joining.value
        FROM ({_JOINING}) AS joining
        JOIN resolve_touched_values AS touched ON touched.kind = joining.kind AND touched.value = joining.value
        JOIN customers.records AS record ON record.record_id = joining.record_id
        WHERE NOT record.deleted
        """
    )


def link_nodes(connection: Connection) -> None:
    """``resolve_links (node, kind, value)``: the joining identifiers of all records in scope."""
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE resolve_links AS
        SELECT node.node, joining.kind, joining.value
        FROM ({_JOINING}) AS joining JOIN resolve_nodes AS node ON node.record_id = joining.record_id
        """
    )


def group_shared_values(connection: Connection, links: str, holder: str) -> None:
    """``resolve_shared (kind, value, bearers, first)``: the values on two or more records.

    ``bearers`` counts rows, which is at least the number of records; ``first`` is the smallest holder.
    """
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE resolve_shared AS
        SELECT kind, value, count(*) AS bearers, min({holder}) AS first
        FROM {links} GROUP BY kind, value HAVING min({holder}) < max({holder})
        """
    )


def find_blocked_values(connection: Connection, rules: IdentityRules, links: str, holder: str) -> None:
    """``resolve_blocked (kind, value, records, reason)``: the shared values that join nothing."""
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE resolve_blocked AS
        SELECT shared.kind, shared.value, count(DISTINCT link.{holder}) AS records,
               'more than ' || CAST(max(limits.max_records) AS TEXT) || ' records' AS reason
        FROM resolve_shared AS shared
        LEFT JOIN resolve_kinds AS rule ON rule.kind = shared.kind
        JOIN resolve_kinds AS limits ON limits.kind = coalesce(rule.kind, '')
        JOIN {links} AS link ON link.kind = shared.kind AND link.value = shared.value
        WHERE shared.bearers > limits.max_records
        GROUP BY shared.kind, shared.value
        HAVING count(DISTINCT link.{holder}) > max(limits.max_records)
        """
    )
    for kind, expression in _expressions(connection, rules):
        connection.execute(
            f"""
            INSERT INTO resolve_blocked
            SELECT shared.kind, shared.value, count(DISTINCT link.{holder}), 'pattern'
            FROM resolve_shared AS shared
            JOIN {links} AS link ON link.kind = shared.kind AND link.value = shared.value
            WHERE shared.kind = ? AND regexp_matches(lower(shared.value), ?)
              AND NOT EXISTS (SELECT 1 FROM resolve_blocked AS hot
                              WHERE hot.kind = shared.kind AND hot.value = shared.value)
            GROUP BY shared.kind, shared.value
            """,
            [kind, expression],
        )


def _expressions(connection: Connection, rules: IdentityRules) -> list[tuple[str, str]]:
    kinds = connection.execute("SELECT DISTINCT kind FROM resolve_shared ORDER BY kind").fetchall()
    expressions = ((str(kind), rules.rule(kind).blocked_expression()) for (kind,) in kinds)
    return [(kind, expression) for kind, expression in expressions if expression]


def compare_blocked_values(connection: Connection) -> None:
    """``resolve_turned (kind, value, now_blocked)``: the values that began or ceased to be blocked."""
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_turned AS
        SELECT coalesce(now.kind, before.kind) AS kind, coalesce(now.value, before.value) AS value,
               now.kind IS NOT NULL AS now_blocked
        FROM resolve_blocked AS now
        FULL JOIN customers.blocked_values AS before ON before.kind = now.kind AND before.value = now.value
        WHERE now.kind IS NULL OR before.kind IS NULL
        """
    )


def collect_touched_records(connection: Connection) -> None:
    """``resolve_touched (record_id)``: records with a touched value, unless it was blocked and still is."""
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_touched AS
        SELECT DISTINCT link.record_id
        FROM resolve_value_links AS link
        LEFT JOIN resolve_blocked AS blocked ON blocked.kind = link.kind AND blocked.value = link.value
        LEFT JOIN resolve_turned AS turned ON turned.kind = link.kind AND turned.value = link.value
        WHERE blocked.kind IS NULL OR turned.kind IS NOT NULL
        """
    )


def keep_blocked_values(connection: Connection) -> None:
    """Replace ``customers.blocked_values``: both kinds of run know all blocked values there are."""
    connection.execute("DELETE FROM customers.blocked_values")
    connection.execute("INSERT INTO customers.blocked_values SELECT kind, value, records, reason FROM resolve_blocked")


def draw_edges(connection: Connection) -> None:
    """``resolve_edges (a, b)``: a star from the first record of each shared value to the others."""
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_edges AS
        SELECT DISTINCT shared.first AS a, link.node AS b
        FROM resolve_shared AS shared
        JOIN resolve_links AS link ON link.kind = shared.kind AND link.value = shared.value
        LEFT JOIN resolve_blocked AS blocked ON blocked.kind = shared.kind AND blocked.value = shared.value
        WHERE blocked.kind IS NULL AND link.node <> shared.first
        """
    )
