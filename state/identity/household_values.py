"""Which values may hold a household together, and who bears them.

A value of a kind that joins makes one profile of its bearers. It can only stand on two where it did not join them all:
where it is shared by several people, or refused by a limit or a decision. These are known by name, so of such kinds
nothing else is read; those that are blocked hold nobody together either. Values of kinds that do not join, as
addresses, have to be counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from millstream.state.identity.joining import is_empty
from millstream.state.sql import literal

if TYPE_CHECKING:
    from millstream.state.identity.rules import IdentityRules
    from millstream.state.store import Connection

# What did not join all of its bearers, as resolve wrote it down.
_APART = ("shared_values", "refused_joins")


class HouseholdKinds(NamedTuple):
    """The kinds that make households: those that join too, and those that do not, where there are any values."""

    joining: tuple[str, ...]
    beside: tuple[str, ...]


def household_kinds(connection: Connection, rules: IdentityRules) -> HouseholdKinds:
    """Which kinds make households; also ``household_kinds (kind, max_records)``."""
    kinds = {kind for kind, rule in rules.kinds.items() if rule.household}
    if rules.other.household:
        known = connection.execute("SELECT DISTINCT kind FROM customers.identifiers").fetchall()
        kinds |= {str(kind) for (kind,) in known if str(kind) not in rules.kinds}
    connection.execute("CREATE OR REPLACE TEMP TABLE household_kinds (kind TEXT, max_records BIGINT)")
    if kinds:
        rows = [(kind, rules.rule(kind).max_records) for kind in sorted(kinds)]
        connection.executemany("INSERT INTO household_kinds VALUES (?, ?)", rows)
    joining = {kind for kind in kinds if rules.rule(kind).merges}
    beside = tuple(sorted(kinds - joining))
    if is_empty(connection, f"customers.identifiers WHERE kind IN ({_listed(beside)})"):
        beside = ()
    return HouseholdKinds(tuple(sorted(joining)), beside)


def find_values(connection: Connection, rules: IdentityRules, kinds: HouseholdKinds, *, full: bool) -> None:
    """``household_looked_at (kind, value)``: values that may hold others together than before.

    Those of changed profiles, and the crowded ones, of which some may be so no longer. In a full run, all that may
    stand on two profiles or more.
    """
    apart = " UNION ".join(
        f"SELECT kind, value FROM customers.{table} WHERE kind IN ({_listed(kinds.joining)})" for table in _APART
    )
    connection.execute(f"CREATE OR REPLACE TEMP TABLE household_apart AS {apart}")
    found = _all_values(kinds) if full else _changed_values(connection, kinds)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE household_looked_at AS {found}")
    # Only now: on all values there are, the patterns would cost more than the rest.
    for kind in (*kinds.joining, *kinds.beside):
        expression = rules.rule(kind).blocked_expression()
        if expression:
            connection.execute(
                "DELETE FROM household_looked_at WHERE kind = ? AND regexp_matches(lower(value), ?)", [kind, expression]
            )


def _all_values(kinds: HouseholdKinds) -> str:
    found = "SELECT kind, value FROM household_apart"
    if not kinds.beside:
        return found
    return f"""
        {found}
        UNION ALL
        SELECT identifier.kind, identifier.value
        FROM customers.identifiers AS identifier
        JOIN customers.members AS member ON member.record_id = identifier.record_id
        WHERE identifier.kind IN ({_listed(kinds.beside)})
        GROUP BY identifier.kind, identifier.value HAVING min(member.profile_id) < max(member.profile_id)
    """


def _changed_values(connection: Connection, kinds: HouseholdKinds) -> str:
    crowded = "SELECT kind, value FROM customers.crowded_values"
    if not kinds.beside and is_empty(connection, "household_apart"):
        return crowded
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE household_changed_values AS
        SELECT identifier.kind, identifier.value
        FROM customers.identifiers AS identifier
        JOIN (SELECT member.record_id
              FROM customers.members AS member
              JOIN (SELECT DISTINCT profile_id FROM customers.changed_profiles) AS changed
                ON changed.profile_id = member.profile_id) AS mine ON mine.record_id = identifier.record_id
        WHERE {_stands_for(kinds)}
        """
    )
    return f"""
        SELECT kind, value FROM household_changed_values WHERE kind IN ({_listed(kinds.beside)})
        UNION
        SELECT borne.kind, borne.value
        FROM household_changed_values AS borne
        JOIN household_apart AS apart ON apart.kind = borne.kind AND apart.value = borne.value
        UNION
        {crowded}
    """


def collect_bearers(connection: Connection, kinds: HouseholdKinds) -> None:
    """``household_bearers (profile_id, record_id, kind, value)``: who bears the values looked at."""
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE household_bearers (profile_id TEXT, record_id TEXT, kind TEXT, value TEXT)"
    )
    add_bearers(connection, kinds, "household_looked_at")


def add_bearers(connection: Connection, kinds: HouseholdKinds, values: str) -> None:
    """Those of further values, a table of ``(kind, value)`` without repeats, to ``household_bearers``."""
    if is_empty(connection, values):
        return
    connection.execute(
        f"""
        INSERT INTO household_bearers
        SELECT member.profile_id, member.record_id, identifier.kind, identifier.value
        FROM customers.identifiers AS identifier
        JOIN {values} AS asked ON asked.kind = identifier.kind AND asked.value = identifier.value
        JOIN customers.members AS member ON member.record_id = identifier.record_id
        WHERE {_stands_for(kinds)}
        """
    )


def _stands_for(kinds: HouseholdKinds) -> str:
    """That an identifier is the person's: not one only kept beside the record, as a company's number."""
    return f"""(identifier.kind IN ({_listed(kinds.beside)})
                OR identifier.kind IN ({_listed(kinds.joining)}) AND identifier.merges)"""


def _listed(kinds: Sequence[str]) -> str:
    """For IN, which has to have something in its list."""
    return ", ".join(map(literal, kinds)) or "NULL"
