"""Households: people who share a phone number or an address without being the same person.

Two to ``max_profiles`` profiles that bear one value of a kind with ``household`` are held together by it; the connected
components are the households. A value that more profiles have, or more records than the kind's rule allows, is a
company's or a block's: it is crowded and holds nobody together. Nor does one that a pattern of the rule blocks.

A run looks at the profiles that resolve has changed (``customers.changed_profiles``), at those who share a value with
them, and at the crowded values, of which some may be so no longer; and at the households of all these. Whoever else
lives with them is in one of these households, so this comes to the same as looking at everyone.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from millstream.state.identity import household_ids
from millstream.state.identity.components import label_components
from millstream.state.identity.household_values import (
    HouseholdKinds,
    add_bearers,
    collect_bearers,
    find_values,
    household_kinds,
)
from millstream.state.identity.joining import is_empty
from millstream.state.identity.tables import create_identity_tables
from millstream.state.store import drop_temporary_tables

if TYPE_CHECKING:
    from millstream.state.identity.rules import IdentityRules
    from millstream.state.store import Connection

TABLES = """
-- The values that hold each household together.
CREATE TABLE IF NOT EXISTS customers.household_values (
    household_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    profiles BIGINT NOT NULL            -- of the household, that bear it
);

-- Values that too many profiles or records bear for them to be one household; without those that join and are blocked.
CREATE TABLE IF NOT EXISTS customers.crowded_values (
    kind TEXT NOT NULL,
    value TEXT NOT NULL
);

-- The rules the households were made by: one row.
CREATE TABLE IF NOT EXISTS customers.household_state (rules_fingerprint TEXT NOT NULL);
"""

VIEWS = """
CREATE OR REPLACE VIEW customers.households AS
SELECT member.household_id, member.profiles, shared.kinds
FROM (SELECT household_id, count(*) AS profiles FROM customers.household_members GROUP BY household_id) AS member
JOIN (SELECT household_id, string_agg(kind, ', ' ORDER BY kind NULLS FIRST) AS kinds
      FROM (SELECT DISTINCT household_id, kind FROM customers.household_values) AS each_kind
      GROUP BY household_id) AS shared ON shared.household_id = member.household_id
"""


def create_household_tables(connection: Connection) -> None:
    """Make the tables and the view that are missing."""
    create_identity_tables(connection)
    connection.execute(TABLES)
    connection.execute(VIEWS)


def bring_up_to_date(
    connection: Connection,
    rules: IdentityRules,
    *,
    run_id: str,
    now: datetime,
    full: bool = False,
) -> int:
    """Bring ``customers.household_members`` in step with the profiles; call it after resolve, before describe.

    Args:
        connection: The open store.
        rules: Which kinds make households; others than those of the last run make the run a full one.
        run_id: Names this run in the history; also goes into new household ids.
        now: The time to write down, aware.
        full: Look at everyone, not only at who changed.

    Returns:
        How many households there are.
    """
    create_household_tables(connection)
    known = connection.execute("SELECT rules_fingerprint FROM customers.household_state").fetchone()
    full = full or known != (rules.household_fingerprint(),)
    if full or not is_empty(connection, "customers.changed_profiles"):
        _look_at_values(connection, rules, full=full)
        if not (is_empty(connection, "household_bearers") and is_empty(connection, "household_before")):
            _link_profiles(connection)
            label_components(connection)
            household_ids.name_components(connection, run_id)
            household_ids.write_down(connection, run_id, now)
            connection.execute("DROP TABLE resolve_edges")
        connection.execute("DELETE FROM customers.household_state")
        connection.execute("INSERT INTO customers.household_state VALUES (?)", [rules.household_fingerprint()])
        drop_temporary_tables(connection, "household_")
    row = connection.execute("SELECT count(DISTINCT household_id) FROM customers.household_members").fetchone()
    return 0 if row is None else int(row[0])


def _look_at_values(connection: Connection, rules: IdentityRules, *, full: bool) -> None:
    """Which values hold whom together now, and which households that concerns."""
    kinds = household_kinds(connection, rules)
    find_values(connection, rules, kinds, full=full)
    collect_bearers(connection, kinds)
    _count_values(connection, rules)
    _take_households(connection, full=full)
    if not full:
        _add_held_values(connection, kinds)
    _keep_crowded_values(connection)


def _count_values(connection: Connection, rules: IdentityRules) -> None:
    """``household_counted (kind, value, crowded)``: those on two or more profiles."""
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE household_counted AS
        SELECT bearer.kind, bearer.value,
               count(DISTINCT bearer.profile_id) > CAST(? AS BIGINT)
                   OR count(DISTINCT bearer.record_id) > max(rule.max_records) AS crowded
        FROM household_bearers AS bearer
        JOIN household_kinds AS rule ON rule.kind = bearer.kind
        GROUP BY bearer.kind, bearer.value
        HAVING min(bearer.profile_id) < max(bearer.profile_id)
        """,
        [rules.household.max_profiles],
    )


def _take_households(connection: Connection, *, full: bool) -> None:
    """``household_before (household_id, profile_id)``: the members of all households that may be other ones now.

    They stand there under the ids their profiles have today.
    """
    if not full:
        _touch_households(connection)
    touched = "" if full else "WHERE household_id IN (SELECT household_id FROM household_touched)"
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE household_before AS
        SELECT DISTINCT member.household_id, coalesce(alias.profile_id, member.profile_id) AS profile_id
        FROM (SELECT household_id, profile_id FROM customers.household_members {touched}) AS member
        LEFT JOIN customers.profile_aliases AS alias ON alias.alias_id = member.profile_id
        """
    )


def _touch_households(connection: Connection) -> None:
    """``household_touched (household_id)``: of changed profiles, and of those who share with them."""
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE household_touched AS
        SELECT DISTINCT household_id FROM customers.household_members
        WHERE profile_id IN (
            SELECT profile_id FROM customers.changed_profiles
            UNION ALL
            SELECT bearer.profile_id
            FROM household_bearers AS bearer
            JOIN household_counted AS counted ON counted.kind = bearer.kind AND counted.value = bearer.value
            LEFT JOIN customers.crowded_values AS before
              ON before.kind = counted.kind AND before.value = counted.value
            WHERE NOT counted.crowded OR before.kind IS NULL)
        """
    )


def _add_held_values(connection: Connection, kinds: HouseholdKinds) -> None:
    """The bearers of what held the touched households together and is on nobody who changed."""
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE household_held AS
        SELECT DISTINCT held.kind, held.value
        FROM customers.household_values AS held
        JOIN household_touched AS touched ON touched.household_id = held.household_id
        LEFT JOIN household_looked_at AS looked ON looked.kind = held.kind AND looked.value = held.value
        LEFT JOIN customers.blocked_values AS blocked ON blocked.kind = held.kind AND blocked.value = held.value
        WHERE looked.kind IS NULL AND blocked.kind IS NULL
        """
    )
    add_bearers(connection, kinds, "household_held")


def _keep_crowded_values(connection: Connection) -> None:
    """Replace what ``customers.crowded_values`` says: all crowded values there were have been looked at."""
    connection.execute("DELETE FROM customers.crowded_values")
    connection.execute("INSERT INTO customers.crowded_values SELECT kind, value FROM household_counted WHERE crowded")


def _link_profiles(connection: Connection) -> None:
    """``household_nodes (node, profile_id)``, ``household_links (node, kind, value)`` and ``resolve_edges``.

    The values that hold together, those who bear them, and the graph they make.
    """
    connection.execute(
        """
        DELETE FROM household_bearers
        WHERE EXISTS (SELECT 1 FROM customers.crowded_values AS crowded
                      WHERE crowded.kind = household_bearers.kind AND crowded.value = household_bearers.value)
        """
    )
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE household_nodes AS
        SELECT row_number() OVER (ORDER BY profile_id) AS node, profile_id
        FROM (SELECT DISTINCT profile_id FROM household_bearers) AS bearer
        """
    )
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE household_borne AS
        SELECT DISTINCT node.node, bearer.kind, bearer.value
        FROM household_bearers AS bearer
        JOIN household_nodes AS node ON node.profile_id = bearer.profile_id
        """
    )
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE household_links AS
        SELECT borne.node, borne.kind, borne.value, shared.first
        FROM household_borne AS borne
        JOIN (SELECT kind, value, min(node) AS first FROM household_borne
              GROUP BY kind, value HAVING min(node) < max(node)) AS shared
          ON shared.kind = borne.kind AND shared.value = borne.value
        """
    )
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE resolve_edges AS
        SELECT DISTINCT first AS a, node AS b FROM household_links WHERE node <> first
        """
    )
