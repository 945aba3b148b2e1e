"""What every engine of the store gives: a connection to execute SQL on, one writer at a time, transactions."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from millstream.state.errors import ConfigurationError, StoreLockedError

_DUCKDB_PREFIX = "duckdb:///"
_POSTGRES_SCHEMES = ("postgres", "postgresql", "postgresql+psycopg2")
_log = logging.getLogger(__name__)
SILENCE = 3.0
"""Seconds to wait for another writer before it is told that we do."""

_thread_locks: dict[str, threading.RLock] = {}
_thread_locks_guard = threading.Lock()


class Cursor(Protocol):
    """The rows of a statement."""

    @property
    def description(self) -> Sequence[Any] | None:
        """A column each, its name first."""

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row."""

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows that are left."""


class Connection(Protocol):
    """An open store. SQL is DuckDB's dialect on every engine, with ``?`` or ``$name`` for values.

    A DuckDB connection is one as it is. Arrow data goes in and out by the functions of ``millstream.state.store``.
    """

    def execute(self, query: str, parameters: object = None, /) -> Cursor:
        """Run a statement, or several without values."""

    def executemany(self, query: str, parameters: object = None, /) -> object:
        """Run a statement for each row of values."""

    def close(self) -> None:
        """Give the connection back."""


@contextmanager
def kept_whole(connection: Connection) -> Iterator[None]:
    """Work on an open store, in no transaction yet, that is kept whole or not at all."""
    connection.execute("BEGIN TRANSACTION")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


class Store(ABC):
    """The analytical database of a project.

    Attributes:
        name: What messages call it; no secrets.
        patience: Seconds to wait for another writer before giving up.
    """

    name: str
    patience: float

    @staticmethod
    def from_url(url: str, *, root: Path) -> Store:
        """A store from ``duckdb:///relative/or/absolute.duckdb`` or ``postgresql://user@host/database``.

        Args:
            url: Where the store is.
            root: Where relative paths start.

        Raises:
            ConfigurationError: Another kind of URL, or one that cannot be read.
        """
        scheme = url.split(":", 1)[0]
        if url.startswith(_DUCKDB_PREFIX) and len(url) > len(_DUCKDB_PREFIX):
            from millstream.state.store.duckdb import DuckDBStore

            return DuckDBStore(root / url[len(_DUCKDB_PREFIX) :])
        if scheme in _POSTGRES_SCHEMES and url.startswith(f"{scheme}://"):
            from millstream.state.store.postgres import PostgresStore

            return PostgresStore(url.replace(scheme, "postgresql", 1))
        raise ConfigurationError(
            f"The store's URL {scheme!r}… is not supported.",
            where="store",
            allowed=["duckdb:///path/to/file.duckdb", "postgresql://user:password@host:5432/database"],
        )

    @abstractmethod
    def exclusive(self) -> AbstractContextManager[None]:
        """Be the only Millstream writer for a while, across threads and processes.

        Raises:
            StoreLockedError: Others kept it for longer than ``patience``.
        """

    @abstractmethod
    def open(self) -> AbstractContextManager[Connection]:
        """A connection in UTC, for a short piece of work without network calls to others."""

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection whose work is kept whole or not at all."""
        with self.open() as connection, kept_whole(connection):
            yield connection

    @contextmanager
    def rehearsal(self) -> Iterator[Connection]:
        """A connection on which the real work may be done to see what comes of it: nothing of it is kept."""
        with self.open() as connection:
            connection.execute("BEGIN TRANSACTION")
            try:
                yield connection
            finally:
                connection.execute("ROLLBACK")

    @contextmanager
    def _thread(self, key: str) -> Iterator[None]:
        """Be the only thread of this process that holds the store of this key; one thread may hold it twice."""
        with _thread_locks_guard:
            lock = _thread_locks.setdefault(key, threading.RLock())
        if not lock.acquire(timeout=self.patience):
            raise self._locked()
        try:
            yield
        finally:
            lock.release()

    def _tell_waiting(self, holder: str = "") -> None:
        """Say what keeps us, to whoever sits and waits."""
        if self.patience > SILENCE:
            minutes = f"{self.patience / 60:.0f} minutes" if self.patience >= 120 else f"{self.patience:.0f} seconds"
            who = holder or "another process"
            _log.warning("Waiting for the store %s, which %s has open; for %s at most.", self.name, who, minutes)

    def _locked(self, holder: str = "") -> StoreLockedError:
        return StoreLockedError(
            f"The store {self.name} is being written to by {holder or 'another process'}.",
            where="store",
            remedy="wait for the other run to end, or close the program that has it open.",
        )
