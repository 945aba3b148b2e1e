"""Which identifier values join nothing: shared mailboxes, and values that stand on too many records.

Only values on two or more records matter here; a value on a single record joins nothing anyway.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from millstream.state.identity.joining import add_kinds, is_empty, rule_of
from millstream.state.sql import literal

if TYPE_CHECKING:
    from millstream.state.identity.rules import IdentityRules
    from millstream.state.store import Connection


def collect_touched_values(connection: Connection) -> None:
    """``resolve_touched_values (kind, value)``: those of changed records, those once shared, and all blocked by now.

    A value that is on no changed record and was not blocked cannot have become blocked: it may only have lost records.
    """
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_touched_values AS
        SELECT kind, value FROM resolve_joining WHERE record_id IN (SELECT record_id FROM resolve_rejoin)
        UNION
        SELECT kind, value FROM customers.shared_bearers WHERE record_id IN (SELECT record_id FROM resolve_rejoin)
        UNION
        SELECT kind, value FROM customers.blocked_values
        """
    )


def link_touched_values(connection: Connection) -> None:
    """``resolve_value_links (record_id, kind, value)``: all living records that bear a touched value."""
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_value_links AS
        SELECT joining.record_id, joining.kind, joining.value
        FROM resolve_joining AS joining
        JOIN resolve_touched_values AS touched ON touched.kind = joining.kind AND touched.value = joining.value
        JOIN customers.records AS record ON record.record_id = joining.record_id
        WHERE NOT record.deleted
        """
    )


def collect_values(connection: Connection, rules: IdentityRules, links: str, holder: str) -> None:
    """``resolve_values (value_id, kind, value, bearers, first)``: the values that a relation of links holds, numbered.

    A value that only one holder bears joins nothing, but counts where its kind has a limit: there it is kept, with NULL
    as ``value``. ``bearers`` counts rows, which is at least the number of holders; ``first`` is the smallest holder.
    """
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE resolve_values AS
        SELECT row_number() OVER () AS value_id, kind,
               CASE WHEN min({holder}) < max({holder}) THEN value END AS value,
               count(*) AS bearers, min({holder}) AS first
        FROM {links} GROUP BY kind, value HAVING min({holder}) < max({holder}){_or_limited(rules)}
        """
    )


def _or_limited(rules: IdentityRules) -> str:
    kinds = {kind: rule.max_values is not None for kind, rule in sorted(rules.kinds.items())}
    otherwise = rules.other.max_values is not None
    differing = ", ".join(literal(kind) for kind, limited in kinds.items() if limited != otherwise)
    if not differing:
        return " OR TRUE" if otherwise else ""
    return f" OR kind {'NOT IN' if otherwise else 'IN'} ({differing})"


def find_blocked_values(connection: Connection, rules: IdentityRules, links: str, holder: str) -> None:
    """``resolve_blocked (kind, value, records, reason)``: the values of two or more records that join nothing."""
    kinds = add_kinds(connection, rules, "resolve_values")
    # The few that may be hot are set apart first: planners that join before they filter would hash all links.
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_hot AS
        SELECT many.kind, many.value, rule.max_records
        FROM resolve_values AS many JOIN resolve_kinds AS rule ON rule.kind = many.kind
        WHERE many.bearers > rule.max_records AND many.value IS NOT NULL
        """
    )
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE resolve_blocked AS
        SELECT hot.kind, hot.value, count(DISTINCT link.{holder}) AS records,
               'more than ' || CAST(max(hot.max_records) AS TEXT) || ' records' AS reason
        FROM {links} AS link JOIN resolve_hot AS hot ON hot.kind = link.kind AND hot.value = link.value
        GROUP BY hot.kind, hot.value
        HAVING count(DISTINCT link.{holder}) > max(hot.max_records)
        """
    )
    for kind, expression in blocking_expressions(rules, kinds):
        connection.execute(
            """
            CREATE OR REPLACE TEMP TABLE resolve_named AS
            SELECT kind, value FROM resolve_values
            WHERE kind = ? AND value IS NOT NULL AND regexp_matches(lower(value), ?)
            """,
            [kind, expression],
        )
        if is_empty(connection, "resolve_named"):
            continue
        connection.execute(
            f"""
            INSERT INTO resolve_blocked
            SELECT named.kind, named.value, count(DISTINCT link.{holder}), 'pattern'
            FROM {links} AS link JOIN resolve_named AS named ON named.kind = link.kind AND named.value = link.value
            WHERE NOT EXISTS (SELECT 1 FROM resolve_blocked AS hot
                              WHERE hot.kind = named.kind AND hot.value = named.value)
            GROUP BY named.kind, named.value
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
    """``resolve_touched (record_id)``: changed records, and those with a touched value unless it was and is blocked."""
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_touched AS
        SELECT link.record_id
        FROM resolve_value_links AS link
        LEFT JOIN resolve_blocked AS blocked ON blocked.kind = link.kind AND blocked.value = link.value
        LEFT JOIN resolve_turned AS turned ON turned.kind = link.kind AND turned.value = link.value
        WHERE blocked.kind IS NULL OR turned.kind IS NOT NULL
        UNION
        SELECT record_id FROM resolve_rejoin
        """
    )


def keep_blocked_values(connection: Connection) -> None:
    """Replace ``customers.blocked_values``: both kinds of run know all blocked values there are."""
    connection.execute("DELETE FROM customers.blocked_values")
    connection.execute("INSERT INTO customers.blocked_values SELECT kind, value, records, reason FROM resolve_blocked")
