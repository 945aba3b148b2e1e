"""The columns of ``customers.profiles``: fixed ones, and one for each trait that any record bears."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millstream.state.store import Connection

# What every profile has, in this order.
FIXED = {
    "profile_id": "TEXT",
    "first_seen": "TIMESTAMPTZ",
    "last_seen": "TIMESTAMPTZ",
    "records": "BIGINT",
    "sources": "TEXT[]",
    "email": "TEXT",
    "phone": "TEXT",
}

_SQL_TYPES = {
    "text": "TEXT",
    "number": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMPTZ",
}


@dataclass(frozen=True)
class TraitColumn:
    """The column a trait stands in.

    Attributes:
        trait: The trait's name in lower case.
        column: The column's name: the trait's, or ``trait_<name>`` where a fixed column bears that name.
        sql_type: Its type; TEXT where records disagree on the type.
    """

    trait: str
    column: str
    sql_type: str


def quoted(name: str) -> str:
    """A name as SQL writes it; the one way in which a name from outside gets into a statement."""
    return '"' + name.replace('"', '""') + '"'


def trait_columns(connection: Connection, traits: str) -> list[TraitColumn]:
    """The columns that the traits in a relation with ``name`` and ``type`` ask for, by name."""
    rows = connection.execute(
        f"SELECT lower(name), min(type), max(type) FROM {traits} GROUP BY lower(name) ORDER BY lower(name)"
    ).fetchall()
    return [_column(name, {first, last}) for name, first, last in rows]


def declared_columns(traits: Iterable[tuple[str, str]]) -> list[TraitColumn]:
    """The columns of traits that are declared by name and type, whether or not any record bears them yet."""
    types: dict[str, set[str]] = {}
    for name, kind in traits:
        types.setdefault(name.lower(), set()).add(kind)
    return [_column(name, kinds) for name, kinds in sorted(types.items())]


def _column(name: str, kinds: Collection[str]) -> TraitColumn:
    return TraitColumn(
        trait=name,
        column=f"trait_{name}" if name in FIXED else name,
        sql_type=_SQL_TYPES.get(next(iter(kinds)), "TEXT") if len(kinds) == 1 else "TEXT",
    )


def existing_columns(connection: Connection, table: str = "profiles") -> dict[str, str]:
    """Name and type of the columns a ``customers`` table has; empty when there is no such table."""
    rows = connection.execute(
        """
        SELECT column_name, data_type FROM information_schema.columns
        WHERE table_schema = 'customers' AND table_name = ? ORDER BY ordinal_position
        """,
        [table],
    ).fetchall()
    return {str(name): _short(str(data_type)) for name, data_type in rows}


def _short(data_type: str) -> str:
    """The type under the name we declare it by."""
    return {"VARCHAR": "TEXT", "VARCHAR[]": "TEXT[]", "TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ"}.get(
        data_type, data_type
    )
