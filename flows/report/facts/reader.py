"""Reading a store of which any part may not be there yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from millstream.state.store import Connection

Row = tuple[Any, ...]


class Reader:
    """An open store, and which tables and views it has.

    Attributes:
        connection: The open store.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        found = connection.execute(
            """
            SELECT table_schema, table_name, column_name FROM information_schema.columns
            WHERE table_schema IN ('customers', 'delivery')
            """
        ).fetchall()
        self._columns: dict[str, set[str]] = {}
        for schema, table, column in found:
            self._columns.setdefault(f"{schema}.{table}", set()).add(str(column))

    def has(self, *tables: str) -> bool:
        """Whether all of these are there, as ``customers.profiles``."""
        return all(table in self._columns for table in tables)

    def columns(self, table: str) -> frozenset[str]:
        """The columns of a table; none where it is not there."""
        return frozenset(self._columns.get(table, ()))

    def rows(self, sql: str, values: Sequence[object] | Mapping[str, object] = ()) -> list[Row]:
        """The rows of a query."""
        if not values:
            return self.connection.execute(sql).fetchall()
        return self.connection.execute(sql, dict(values) if isinstance(values, Mapping) else list(values)).fetchall()

    def row(self, sql: str, values: Sequence[object] | Mapping[str, object] = ()) -> Row:
        """The one row of a query that gives one."""
        (found,) = self.rows(sql, values)
        return found
