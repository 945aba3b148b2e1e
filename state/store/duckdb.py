"""The store in one DuckDB file.

DuckDB lets one process write at a time. So a connection is opened late and closed early, behind a lock file that
all Millstream processes (and the threads of one) queue at; a program from outside that holds the file is waited
for with backoff. Nothing here is held over a network call.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from millstream.state.errors import StoreLockedError
from millstream.state.store.contract import Store

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


class DuckDBStore(Store):
    """A project's database as a DuckDB file.

    Args:
        path: The file; made with its folder when missing.
        patience: Seconds to wait for another writer before giving up.
    """

    def __init__(self, path: Path, *, patience: float = 600.0) -> None:
        self.path = path.resolve()
        self.name = self.path.name
        self.patience = patience
        self._processes = FileLock(f"{self.path}.lock", thread_local=False)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the lock file."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._thread(str(self.path)):
            try:
                self._processes.acquire(timeout=self.patience, poll_interval=0.05)
            except Timeout as error:
                raise self._locked() from error
            if self._processes.lock_counter == 1:
                self._clear_up()
            try:
                yield
            finally:
                self._processes.release()

    def _clear_up(self) -> None:
        """Take away what DuckDB moved to disk for a process that was killed: it stays there, and may be personal."""
        for left in Path(f"{self.path}.tmp").glob("duckdb_temp_storage_*"):
            left.unlink(missing_ok=True)

    @contextmanager
    def open(self) -> Iterator[DuckDBPyConnection]:
        """A connection to the file, which no other Millstream process has open."""
        with self.exclusive():
            connection = self._connect()
            try:
                yield connection
            finally:
                connection.close()

    def _connect(self) -> DuckDBPyConnection:
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
        prepare(connection)
        return connection


def prepare(connection: DuckDBPyConnection) -> None:
    """Have SQL mean what it does on every engine: times are in UTC, and what is divided by nothing is NULL."""
    connection.execute("SET TimeZone = 'UTC'; SET ieee_floating_point_ops = FALSE")
