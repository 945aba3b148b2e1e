"""Which identifier values join nothing: shared mailboxes, and values that stand on too many records.

Only values on two or more records matter here; a value on a single record joins nothing anyway.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from millstream.state.identity.joining import add_kinds, is_empty, rule_of

if TYPE_CHECKING:
    from millstream.state.identity.rules import IdentityRules
    from millstream.state.store import Connection


HOT = "reason <> 'pattern'"
"""That a value is blocked because it stands on too many records; SQL."""


def add_hot_values(connection: Connection) -> None:
    """Add what stood on too many records, and now also stands on new ones, to ``resolve_blocked``."""
    connection.execute(
        f"""
        INSERT INTO resolve_blocked
        SELECT hot.kind, hot.value, hot.records + count(DISTINCT new.record_id), hot.reason
        FROM (SELECT * FROM customers.blocked_values WHERE {HOT}) AS hot
        LEFT JOIN (SELECT borne.record_id, borne.kind, borne.value
                   FROM resolve_borne_now AS borne
                   JOIN resolve_changed AS changed ON changed.record_id = borne.record_id AND NOT changed.gone) AS new
          ON new.kind = hot.kind AND new.value = hot.value
        GROUP BY hot.kind, hot.value, hot.records, hot.reason
        """
    )


def collect_values(connection: Connection, held: str) -> None:
    """``resolve_values (value_id, kind, value, bearers)``: the values that may join, numbered; others join nothing.

    Args:
        connection: The open store.
        held: A relation ``(record_id, kind, value)``. Its rows are counted, also those of deleted records and those
            that say the same twice: ``bearers`` is at least the number of living records that bear the value.
    """
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE resolve_values AS
        SELECT row_number() OVER () AS value_id, kind, value, count(*) AS bearers
        FROM {held} GROUP BY kind, value HAVING count(*) > 1
        """
    )


def find_blocked_values(connection: Connection, rules: IdentityRules, links: str, holder: str) -> None:
    """``resolve_blocked (kind, value, records, reason)``: the values of two or more records that join nothing.

    Args:
        connection: The open store.
        rules: What blocks.
        links: A relation of who bears which of ``resolve_values``: living records, or their nodes, and ``value_id``.
        holder: Its column of the former.
    """
    kinds = add_kinds(connection, rules, "resolve_values")
    # The few that may be hot are set apart first: planners that join before they filter would hash all links.
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_hot AS
        SELECT many.value_id, many.kind, many.value, rule.max_records
        FROM resolve_values AS many JOIN resolve_kinds AS rule ON rule.kind = many.kind
        WHERE many.bearers > rule.max_records
        """
    )
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE resolve_blocked AS
        SELECT hot.kind, hot.value, count(DISTINCT link.{holder}) AS records,
               'more than ' || CAST(max(hot.max_records) AS TEXT)
               || CASE max(hot.max_records) WHEN 1 THEN ' record' ELSE ' records' END AS reason
        FROM {links} AS link JOIN resolve_hot AS hot ON hot.value_id = link.value_id
        GROUP BY hot.kind, hot.value
        HAVING count(DISTINCT link.{holder}) > max(hot.max_records)
        """
    )
    for kind, expression in blocking_expressions(rules, kinds):
        connection.execute(
            """
            CREATE OR REPLACE TEMP TABLE resolve_named AS
            SELECT value_id, kind, value FROM resolve_values
            WHERE kind = ? AND regexp_matches(lower(value), ?)
            """,
            [kind, expression],
        )
        if is_empty(connection, "resolve_named"):
            continue
        connection.execute(
            f"""
            INSERT INTO resolve_blocked
            SELECT named.kind, named.value, count(DISTINCT link.{holder}), 'pattern'
            FROM {links} AS link JOIN resolve_named AS named ON named.value_id = link.value_id
            WHERE NOT EXISTS (SELECT 1 FROM resolve_blocked AS hot
                              WHERE hot.kind = named.kind AND hot.value = named.value)
            GROUP BY named.kind, named.value HAVING count(DISTINCT link.{holder}) > 1
            """
        )


def blocking_expressions(rules: IdentityRules, kinds: list[str]) -> list[tuple[str, str]]:
    """The kinds that have blocked patterns, each with its patterns as one regular expression over lower case."""
    found = []
    for kind in kinds:
        rule = rule_of(rules, kind)
        expression = rule.blocked_expression() if rule else None
        if expression:
            found.append((kind, expression))
    return found


VALUE_BEARERS = """
(SELECT link.record_id, known.value_id
 FROM resolve_value_links AS link JOIN resolve_values AS known ON known.kind = link.kind AND known.value = link.value)
"""
"""Who bears which touched value, for ``find_blocked_values``."""


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


def keep_blocked_values(connection: Connection) -> None:
    """Replace ``customers.blocked_values``: both kinds of run know all blocked values there are."""
    connection.execute("DELETE FROM customers.blocked_values")
    connection.execute("INSERT INTO customers.blocked_values SELECT kind, value, records, reason FROM resolve_blocked")
