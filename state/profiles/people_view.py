"""``customers.people``: one row a profile, with what its records say and what is computed of it.

Whoever asks what is true of a person reads this view. It joins to the profiles as they are now, so that nobody shows
in it who was merged into another or removed since the traits were computed.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from millstream.state.profiles.columns import COMPUTED, existing_columns
from millstream.state.sql import quoted

if TYPE_CHECKING:
    from millstream.state.store import Connection

PREFIX = COMPUTED
"""Before the name of a computed trait that is also the name of a profile's column."""


def create_people_view(connection: Connection) -> None:
    """Make the view anew by the columns that profiles and computed traits have now."""
    profiles, computed = existing_columns(connection), existing_columns(connection, "computed")
    if not profiles:
        return
    columns = [f"profile.{quoted(name)}" for name in profiles]
    for name in list(computed)[1:]:
        columns.append(f"computed.{quoted(name)} AS {quoted(people_column(name, profiles))}")
    join = "LEFT JOIN customers.computed AS computed ON computed.profile_id = profile.profile_id" if computed else ""
    connection.execute(
        f"CREATE OR REPLACE VIEW customers.people AS SELECT {', '.join(columns)} "
        f"FROM customers.profiles AS profile {join}"
    )


def drop_people_view(connection: Connection) -> None:
    """Drop the view, so that what it is made of can be replaced; PostgreSQL refuses that otherwise."""
    connection.execute("DROP VIEW IF EXISTS customers.people CASCADE")


def people_table(connection: Connection) -> str:
    """Where to look a person up: the view, or the profiles in a store that no newer run has written to yet."""
    return "people" if existing_columns(connection, "people") else "profiles"


def people_column(trait: str, profiles: Collection[str]) -> str:
    """The column of ``customers.people`` in which a computed trait stands."""
    return f"{PREFIX}{trait}" if trait in profiles else trait
