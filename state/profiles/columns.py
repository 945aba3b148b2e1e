"""The columns of ``customers.profiles``: fixed ones, and one for each trait that any record bears."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from millstream.state.store import column_types

if TYPE_CHECKING:
    from millstream.state.profiles.rules import SurvivorshipRules
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

COMPUTED = "computed_"
"""How no column of ``profiles`` begins: ``customers.people`` shows computed traits so whose names are taken there."""

LIST = "TEXT[]"
SQL_TYPES: Mapping[str, str] = {
    "text": "TEXT",
    "number": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMPTZ",
}
"""How values are stored, by the type that a trait is declared with."""


@dataclass(frozen=True)
class TraitColumn:
    """The column a trait stands in.

    Attributes:
        trait: The trait's name in lower case.
        column: The column's name: the trait's, or ``trait_<name>`` where a fixed column bears that name or it begins
            as those of computed traits may: what was sent to a vendor comes back with its records. Rules and origins
            name the trait by it.
        sql_type: Its type; TEXT where records disagree on the type, TEXT[] where the rules ask for all values.
    """

    trait: str
    column: str
    sql_type: str

    @property
    def read_as(self) -> str:
        """The type that each of its values must be readable as."""
        return "TEXT" if self.sql_type == LIST else self.sql_type


def trait_columns(traits: Iterable[tuple[str, str]], rules: SurvivorshipRules) -> list[TraitColumn]:
    """The columns of traits by name and type (case and repetition do not matter), in the order of their names."""
    types: dict[str, set[str]] = {}
    for name, kind in traits:
        types.setdefault(name.lower(), set()).add(kind)
    return [_column(name, kinds, rules) for name, kinds in sorted(types.items())]


def _column(name: str, kinds: Collection[str], rules: SurvivorshipRules) -> TraitColumn:
    column = f"trait_{name}" if name in FIXED or name.startswith(COMPUTED) else name
    if rules.rule(column).strategy == "list":
        return TraitColumn(name, column, LIST)
    return TraitColumn(name, column, SQL_TYPES.get(next(iter(kinds)), "TEXT") if len(kinds) == 1 else "TEXT")


def existing_columns(connection: Connection, table: str = "profiles") -> dict[str, str]:
    """Name and type of the columns a ``customers`` table has; empty when there is no such table."""
    return column_types(connection, "customers", table)
