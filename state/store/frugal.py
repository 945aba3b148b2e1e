"""Work on the store in little memory, however many rows it is about."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeVar

from millstream.state.store.arrow import as_postgres
from millstream.state.store.contract import Connection, Store

_MEGABYTES = 80
_MEGABYTES_A_THREAD = 20
"""What DuckDB keeps in memory before it writes to files beside the store. Each of its threads needs some."""

_UNITS = {"bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
"""How DuckDB writes a limit."""

Result = TypeVar("Result")


def in_little_memory(store: Store, work: Callable[[Connection], Result], *, threads: int | None = None) -> Result:
    """Do work that is kept whole or not at all.

    Args:
        store: Where it is done.
        work: Does it, on an open store; whatever it keeps elsewhere must bear being done twice.
        threads: How many of DuckDB's threads are at it, each of which takes memory; None: one for each core.
    """
    return _within_limit(store.transaction, work, threads)


def looked_up_in_little_memory(store: Store, look: Callable[[Connection], Result]) -> Result:
    """Do work of which nothing is kept but its result.

    Args:
        store: Where it is done.
        look: Does it, on an open store; it must bear being done twice.
    """
    return _within_limit(store.rehearsal, look)


def _within_limit(
    opened: Callable[[], AbstractContextManager[Connection]],
    work: Callable[[Connection], Result],
    threads: int | None = None,
) -> Result:
    """Work on a store with DuckDB held to little memory.

    DuckDB moves tables, joins and sorts to disk where they do not fit, but not all that SQL may ask for: what cannot be
    done in little memory is done anew in as much as there is.
    """
    import duckdb

    try:
        with opened() as connection:
            _spare_memory(connection, threads)
            return work(connection)
    except (duckdb.OutOfMemoryException, OSError) as error:
        # Arrow, where it reads rows, tells what DuckDB says in an error of its own.
        if isinstance(error, OSError) and not str(error).startswith("Out of Memory Error"):
            raise
        with opened() as connection:
            connection.execute("RESET memory_limit")
            return work(connection)


def _spare_memory(connection: Connection, at_it: int | None) -> None:
    """Set the limit, unless a smaller one holds: in a container there may be less than that."""
    if as_postgres(connection):
        return
    if at_it is not None:
        connection.execute("SET threads = ?", [at_it])
    threads, allowed = connection.execute(
        "SELECT CAST(current_setting('threads') AS INTEGER), current_setting('memory_limit')"
    ).fetchall()[0]
    number, unit = str(allowed).split()
    wanted = _MEGABYTES + int(threads) * _MEGABYTES_A_THREAD
    if wanted * 10**6 < float(number) * _UNITS[unit]:
        connection.execute(f"SET memory_limit = '{wanted}MB'")
