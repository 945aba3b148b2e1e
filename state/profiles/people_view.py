"""``customers.people``: one row a profile, with what its records say and what is computed of it.

Whoever asks what is true of a person reads this view. It joins to the profiles as they are now, so that nobody shows
in it who was merged into another or removed since the traits were computed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from millstream.state.profiles.columns import COMPUTED, existing_columns
from millstream.state.sql import quoted

if TYPE_CHECKING:
    from millstream.state.store import Connection

PREFIX = COMPUTED
"""Before the name of a computed trait that is also the name of a profile's column."""


def create_people_view(connection: Connection, *, staying: Mapping[str, Collection[str]] | None = None) -> None:
    """Make the view anew by the columns that profiles and computed traits have now.

    Columns that it has already keep their order, and new ones follow: views that others built on it stay as they are.

    Args:
        connection: The open store.
        staying: The columns that do not go, by the table they are of; all of a table that is left out.
    """
    profiles, computed = (
        [name for name in existing_columns(connection, table) if name in (staying or {}).get(table, (name,))]
        for table in ("profiles", "computed")
    )
    if not profiles:
        return
    wanted = {name: f"profile.{quoted(name)}" for name in profiles}
    wanted |= {people_column(name, profiles): f"computed.{quoted(name)}" for name in computed[1:]}
    names = dict.fromkeys([*(name for name in existing_columns(connection, "people") if name in wanted), *wanted])
    columns = ", ".join(f"{wanted[name]} AS {quoted(name)}" for name in names)
    join = "LEFT JOIN customers.computed AS computed ON computed.profile_id = profile.profile_id" if computed else ""
    connection.execute(
        f"CREATE OR REPLACE VIEW customers.people AS SELECT {columns} FROM customers.profiles AS profile {join}"
    )


def has_people(connection: Connection) -> bool:
    """Whether anybody is known yet."""
    if not existing_columns(connection, "people"):
        return False
    return connection.execute("SELECT 1 FROM customers.people LIMIT 1").fetchone() is not None


def let_columns_go(connection: Connection, table: str, wanted: Mapping[str, str]) -> None:
    """Take those columns of a table out of the view that are about to go or to change: PostgreSQL keeps them for it.

    Args:
        connection: The open store.
        table: ``profiles`` or ``computed``.
        wanted: Name and type of the columns that it will have.
    """
    existing = existing_columns(connection, table)
    staying = [name for name, kind in existing.items() if wanted.get(name) == kind]
    if len(staying) < len(existing):
        create_people_view(connection, staying={table: staying})


def people_table(connection: Connection) -> str:
    """Where to look a person up: the view, or the profiles in a store that no newer run has written to yet."""
    return "people" if existing_columns(connection, "people") else "profiles"


def people_column(trait: str, profiles: Collection[str]) -> str:
    """The column of ``customers.people`` in which a computed trait stands."""
    return f"{PREFIX}{trait}" if trait in profiles else trait
