"""Work on the store in little memory, however many rows it is about."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from millstream.state.store.arrow import as_postgres
from millstream.state.store.contract import Connection, Store
from millstream.state.store.inspection import count

_MEGABYTES = 150
_MEGABYTES_A_THREAD = 125
"""What DuckDB keeps in memory before it writes to files beside the store. Each of its threads needs some."""

Result = TypeVar("Result")


def in_little_memory(store: Store, work: Callable[[Connection], Result]) -> Result:
    """Do work that is kept whole or not at all.

    DuckDB moves tables, joins and sorts to disk where they do not fit, but not all that SQL may ask for: what cannot be
    done in little memory is done anew in as much as there is. Rows may come in another order than they stand in.

    Args:
        store: Where it is done.
        work: Does it, on an open store; whatever it keeps elsewhere must bear being done twice.
    """
    import duckdb

    try:
        with store.transaction() as connection:
            _spare_memory(connection)
            return work(connection)
    except duckdb.OutOfMemoryException:
        with store.transaction() as connection:
            return work(connection)


def _spare_memory(connection: Connection) -> None:
    if as_postgres(connection):
        return
    threads = count(connection, "SELECT CAST(current_setting('threads') AS INTEGER)")
    connection.execute(f"SET memory_limit = '{_MEGABYTES + threads * _MEGABYTES_A_THREAD}MB'")
    connection.execute("SET preserve_insertion_order = false")
