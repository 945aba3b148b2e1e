"""The store in one DuckDB file.

DuckDB lets one process write at a time. So a connection is opened late and closed early, behind a lock file that
all Millstream processes (and the threads of one) queue at; a program from outside that holds the file is waited
for with backoff. Nothing here is held over a network call.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from millstream.state.errors import ConfigurationError, StoreLockedError
from millstream.state.store.contract import SILENCE, Store

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
            self._acquire()
            if self._processes.lock_counter == 1:
                self._clear_up()
            try:
                yield
            finally:
                self._processes.release()

    def _acquire(self) -> None:
        """Take the lock file; say so where that takes long."""
        try:
            self._processes.acquire(timeout=min(SILENCE, self.patience), poll_interval=0.05)
        except Timeout:
            self._tell_waiting()
            try:
                self._processes.acquire(timeout=max(0.0, self.patience - SILENCE), poll_interval=0.05)
            except Timeout as error:
                raise self._locked() from error

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

        holder, told = "", False

        def tell(state: RetryCallState) -> None:
            nonlocal told
            if not told and (state.seconds_since_start or 0.0) >= SILENCE:
                told = True
                self._tell_waiting(holder)

        for attempt in Retrying(
            retry=retry_if_exception_type(StoreLockedError),
            stop=stop_after_delay(self.patience),
            wait=wait_random_exponential(multiplier=0.1, max=2.0),
            before_sleep=tell,
            reraise=True,
        ):
            with attempt:
                try:
                    connection = duckdb.connect(str(self.path))
                except duckdb.IOException as error:
                    if "not a valid DuckDB database file" in str(error):
                        raise ConfigurationError(
                            f"{self.path} is there, and is no DuckDB database.",
                            where="store",
                            remedy="name another file, or move this one away.",
                        ) from error
                    if "lock" not in str(error):
                        raise
                    holder = _holder(error)
                    raise self._locked(holder) from error
        prepare(connection)
        return connection


def _holder(error: Exception) -> str:
    """Who has the file open, as DuckDB says."""
    found = re.search(r"\(PID (\d+)\)", str(error))
    return f"process {found[1]}" if found else ""


def prepare(connection: DuckDBPyConnection) -> None:
    """Have SQL mean what it does on every engine: times are in UTC, and what is divided by nothing is NULL."""
    connection.execute("SET TimeZone = 'UTC'; SET ieee_floating_point_ops = FALSE")
