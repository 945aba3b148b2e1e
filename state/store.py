"""The store: one DuckDB file with everything known about customers.

DuckDB lets one process write at a time. So a connection is opened late and closed early, behind a lock file that
all Millstream processes (and the threads of one) queue at; a program from outside that holds the file is waited
for with backoff. Nothing here is held over a network call.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from filelock import FileLock, Timeout
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from millstream.state.errors import ConfigurationError, StoreLockedError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    Connection: TypeAlias = DuckDBPyConnection

_PREFIX = "duckdb:///"
_thread_locks: dict[str, threading.RLock] = {}
_thread_locks_guard = threading.Lock()


class Store:
    """The analytical database of a project.

    Args:
        path: The DuckDB file; made with its folder when missing.
        patience: Seconds to wait for another writer before giving up.
    """

    def __init__(self, path: Path, *, patience: float = 600.0) -> None:
        self.path = path.resolve()
        self.patience = patience
        with _thread_locks_guard:
            self._threads = _thread_locks.setdefault(str(self.path), threading.RLock())
        self._processes = FileLock(f"{self.path}.lock", thread_local=False)

    @classmethod
    def from_url(cls, url: str, *, root: Path) -> Store:
        """A store from ``duckdb:///relative/or/absolute.duckdb``; relative paths start at ``root``.

        Raises:
            ConfigurationError: Another kind of URL.
        """
        if not url.startswith(_PREFIX) or len(url) == len(_PREFIX):
            raise ConfigurationError(
                f"The store's URL {url.split(':', 1)[0]!r}… is not supported.",
                where="store",
                allowed=["duckdb:///path/to/file.duckdb"],
            )
        return cls(root / url[len(_PREFIX) :])

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Be the only Millstream writer for a while, across threads and processes.

        Raises:
            StoreLockedError: Others kept it for longer than ``patience``.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self._threads.acquire(timeout=self.patience):
            raise self._locked()
        try:
            try:
                self._processes.acquire(timeout=self.patience, poll_interval=0.05)
            except Timeout as error:
                raise self._locked() from error
            try:
                yield
            finally:
                self._processes.release()
        finally:
            self._threads.release()

    @contextmanager
    def open(self) -> Iterator[Connection]:
        """A connection in UTC, for a short piece of work without network calls."""
        with self.exclusive():
            connection = self._connect()
            try:
                yield connection
            finally:
                connection.close()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection whose work is kept whole or not at all."""
        with self.open() as connection:
            connection.execute("BEGIN TRANSACTION")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def _connect(self) -> Connection:
        import duckdb

        for attempt in Retrying(
            retry=retry_if_exception_type(StoreLockedError),
            stop=stop_after_delay(self.patience),
            wait=wait_random_exponential(multiplier=0.1, max=2.0),
            reraise=True,
        ):
            with attempt:
                try:
                    connection = duckdb.connect(str(self.path))
                except duckdb.IOException as error:
                    if "lock" not in str(error):
                        raise
                    raise self._locked() from error
        connection.execute("SET TimeZone = 'UTC'")
        return connection

    def _locked(self) -> StoreLockedError:
        return StoreLockedError(
            f"The store {self.path.name} is being written to by another process.",
            where="store",
            remedy="wait for the other run to end, or close the program that has the file open.",
        )
