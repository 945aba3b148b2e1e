"""Where a row stands in its table, as each engine says it; it holds while nobody writes to the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millstream.state.store.arrow import as_postgres

if TYPE_CHECKING:
    from millstream.state.store import Connection


def row_place(connection: Connection) -> str:
    """The column that tells."""
    return "ctid" if as_postgres(connection) else "rowid"
