"""A limit of time for statements that somebody else wrote."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from millstream.state.errors import QueryError, TimeLimitError
from millstream.state.store.arrow import as_duckdb, as_postgres
from millstream.state.store.contract import Connection

SECONDS = 900
"""How long SQL of a project may take where the project does not say."""

_AGAIN = 0.05
"""Seconds after which DuckDB is interrupted once more: between two statements it does not take notice."""


@contextmanager
def time_limit(connection: Connection, seconds: float, *, where: str) -> Iterator[None]:
    """Stop statements that take too long. The transaction, which there has to be, cannot be gone on with then.

    PostgreSQL gives each statement its time, DuckDB all of them together.

    Args:
        connection: The open store, in a transaction.
        seconds: How long they may take.
        where: Whose SQL it is, for the message.

    Raises:
        TimeLimitError: They took longer.
    """
    limited = _on_postgres if as_postgres(connection) else _on_duckdb
    told = f"{seconds:g} second{'' if seconds == 1 else 's'}"
    with limited(
        connection,
        seconds,
        TimeLimitError(
            f"The SQL was stopped after {told}, which is all it may take.",
            where=where,
            remedy="have it read less, or raise `sql_seconds` in the project file.",
        ),
    ):
        yield


@contextmanager
def _on_postgres(connection: Connection, seconds: float, late: TimeLimitError) -> Iterator[None]:
    from psycopg2.errors import QueryCanceled

    before = connection.execute("SELECT current_setting('statement_timeout')").fetchone()
    set_limit = "SELECT set_config('statement_timeout', ?, TRUE)"
    connection.execute(set_limit, [f"{max(1, int(seconds * 1000))}ms"])
    try:
        yield
    except QueryError as error:
        if isinstance(error.__cause__, QueryCanceled):
            raise late from error
        raise
    connection.execute(set_limit, list(before or ("0",)))


@contextmanager
def _on_duckdb(connection: Connection, seconds: float, late: TimeLimitError) -> Iterator[None]:
    import duckdb

    done, stopped = threading.Event(), threading.Event()

    def stop() -> None:
        wait = seconds
        while not done.wait(wait):
            stopped.set()
            as_duckdb(connection).interrupt()
            wait = _AGAIN

    watch = threading.Thread(target=stop, name="time limit", daemon=True)
    watch.start()
    try:
        yield
    except duckdb.InterruptException as error:
        if stopped.is_set():
            raise late from error
        raise
    finally:
        done.set()
        watch.join()
