"""What the records of a profile say, and the best of it: the value of each trait, address and number.

Each function makes one step's table, for the profiles in ``describe_scope (profile, profile_id, living)``. Profiles,
records and traits go by numbers here, which are much cheaper to sort and to compare than their ids. The steps:

1. ``describe_records``  the records of the profiles in scope
2. ``describe_said``     what these records say: traits, e-mail addresses and phone numbers
3. ``describe_columns``  the type and the rule of each trait, with ``describe_ranks`` and ``describe_restrictive``
4. ``describe_chosen``   the best value, with where it comes from (``ranking.py``)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from millstream.state.profiles.columns import TraitColumn
from millstream.state.profiles.rules import CONTACTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from millstream.state.profiles.rules import SurvivorshipRules
    from millstream.state.store import Connection


def collect_records(connection: Connection) -> None:
    """``describe_records``: the records of the profiles in scope, numbered in the order of their ids."""
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE describe_records AS
        SELECT CAST(row_number() OVER (ORDER BY record.record_id) AS INTEGER) AS record, record.record_id,
               scope.profile, scope.profile_id, record.source, record.stream, record.observed_at
        FROM customers.members AS member
        JOIN describe_scope AS scope ON scope.profile_id = member.profile_id
        JOIN customers.records AS record ON record.record_id = member.record_id
        """
    )


def collect_traits(connection: Connection) -> None:
    """``describe_said (profile, record, name, type, tier, value, observed_at)``: the traits; their tier is 0."""
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE describe_said AS
        SELECT record.profile, record.record, trait.name, trait.type, CAST(0 AS SMALLINT) AS tier,
               trait.value, trait.observed_at
        FROM customers.traits AS trait
        JOIN describe_records AS record ON record.record_id = trait.record_id
        """
    )


def collect_contacts(connection: Connection) -> None:
    """Add to ``describe_said`` the addresses and numbers to reach a profile by, as its own; their name is their kind.

    A value on too many records is nobody's own and left out. The lowest tier counts: 1 is a person's own; 2 is only
    kept beside the record; 3 and 4 are the same for a shared mailbox.
    """
    connection.execute(
        """
        INSERT INTO describe_said
        SELECT record.profile, record.record, identifier.kind, 'text',
               1 + CASE WHEN blocked.kind IS NULL THEN 0 ELSE 2 END + CASE WHEN identifier.merges THEN 0 ELSE 1 END,
               identifier.contact, record.observed_at
        FROM customers.identifiers AS identifier
        JOIN describe_records AS record ON record.record_id = identifier.record_id
        LEFT JOIN customers.blocked_values AS blocked
          ON blocked.kind = identifier.kind AND blocked.value = identifier.value
        WHERE identifier.kind IN ('email', 'phone') AND coalesce(blocked.reason, 'pattern') = 'pattern'
        """
    )


def names_said(connection: Connection) -> list[tuple[str, str]]:
    """Name and type of the traits in ``describe_said``, as the records have them."""
    rows = connection.execute("SELECT DISTINCT name, type FROM describe_said WHERE tier = 0").fetchall()
    return [(str(name), str(kind)) for name, kind in rows]


def write_columns(
    connection: Connection, rules: SurvivorshipRules, columns: Sequence[TraitColumn], names: Sequence[str]
) -> None:
    """Write the rules down for the SQL that chooses.

    ``describe_columns (trait, name, contact, column_name, read_as, strategy)`` has one row for each name as records
    have it, ``describe_ranks (trait, source, rank)`` the trusted sources, and ``describe_restrictive (trait, read_as,
    value, rank)`` the values that permit least.

    Args:
        connection: The open store.
        rules: Whose word counts.
        columns: The traits; the number of a trait is its place here, and the contacts follow.
        names: The names in ``describe_said``.
    """
    every = [*columns, *(TraitColumn(kind, kind, "TEXT") for kind in CONTACTS)]
    spellings: dict[str, list[str]] = {}
    for name in set(names):
        spellings.setdefault(name.lower(), []).append(name)
    said, ranks, restrictive = [], [], []
    for number, column in enumerate(every):
        rule, contact = rules.rule(column.column), number >= len(columns)
        for name in [column.trait] if contact else spellings.get(column.trait, ()):
            said.append((number, name, contact, column.column, column.read_as, rule.strategy))
        ranks += [(number, source, rank) for rank, source in enumerate(rule.sources)]
        if rule.strategy == "most_restrictive":
            restrictive += [(number, column.read_as, str(value), rank) for rank, value in enumerate(rule.restrictive)]
    named = "trait SMALLINT, name TEXT, contact BOOLEAN, column_name TEXT, read_as TEXT, strategy TEXT"
    _write(connection, f"describe_columns ({named})", said)
    _write(connection, "describe_ranks (trait SMALLINT, source TEXT, rank INTEGER)", ranks)
    _write(connection, "describe_restrictive (trait SMALLINT, read_as TEXT, value TEXT, rank INTEGER)", restrictive)


def _write(connection: Connection, definition: str, rows: Sequence[tuple[object, ...]]) -> None:
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {definition}")
    if rows:
        table, marks = definition.partition(" ")[0], ", ".join("?" * len(rows[0]))
        connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
