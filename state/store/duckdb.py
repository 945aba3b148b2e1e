"""The store in one DuckDB file.

DuckDB lets one process write at a time. So a connection is opened late and closed early, behind a lock file that
all Millstream processes (and the threads of one) queue at; a program from outside that holds the file is waited
for with backoff. Nothing here is held over a network call. What a killed process left half written is mended before
the file is opened again (``torn.py``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from filelock import FileLock, Timeout
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from millstream.state.errors import ConfigurationError, FatalError, StoreLockedError
from millstream.state.store.contract import SILENCE, Store

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from duckdb import Error as DuckDBError

Found = TypeVar("Found")


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
        self._left_open = Path(f"{self.path}.open")
        """Is there while the file is open, and after a process that was killed meanwhile."""

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the lock file."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._thread(str(self.path)):
            self._acquire()
            try:
                with self._marked_open() if self._processes.lock_counter == 1 else nullcontext():
                    yield
            finally:
                self._processes.release()

    @contextmanager
    def _marked_open(self) -> Iterator[None]:
        """Leave a mark behind if this process is killed, and tidy up after one that was."""
        self._clear_up()
        if self._left_open.exists() and self.path.exists():
            from millstream.state.store.torn import mend

            self._patiently(lambda: mend(self.path, self._metadata_blocks))
        self._left_open.touch()
        try:
            yield
        finally:
            self._left_open.unlink(missing_ok=True)

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
        import duckdb

        with self.exclusive():
            connection = self._patiently(lambda: duckdb.connect(str(self.path)))
            try:
                prepare(connection)
                yield connection
            finally:
                connection.close()

    def _metadata_blocks(self) -> list[int]:
        """The blocks that hold the catalog and where rows are."""
        import duckdb

        with closing(duckdb.connect(str(self.path), read_only=True)) as connection:
            rows = connection.execute("SELECT block_id FROM pragma_metadata_info()").fetchall()
        return [int(number) for (number,) in rows]

    def _patiently(self, act: Callable[[], Found]) -> Found:
        """Do what opens the file, and wait for a program from outside that has it.

        Raises:
            StoreLockedError: That took longer than ``patience``.
            ConfigurationError: It is no DuckDB file.
            FatalError: It is damaged.
        """
        import duckdb

        holder, told = "", False

        def tell(state: RetryCallState) -> None:
            nonlocal told
            if not told and (state.seconds_since_start or 0.0) >= SILENCE:
                told = True
                self._tell_waiting(holder)

        def act_once() -> Found:
            nonlocal holder
            try:
                return act()
            except duckdb.IOException as error:
                if not re.search("Could not set lock|Conflicting lock", str(error)):
                    raise self._unreadable(error) from error
                holder = _holder(error)
                raise self._locked(holder) from error

        retrying = Retrying(
            retry=retry_if_exception_type(StoreLockedError),
            stop=stop_after_delay(self.patience),
            wait=wait_random_exponential(multiplier=0.1, max=2.0),
            before_sleep=tell,
            reraise=True,
        )
        return retrying(act_once)

    def _unreadable(self, error: DuckDBError) -> Exception:
        """What to say of a file that DuckDB does not open."""
        if "not a valid DuckDB database file" in str(error):
            return ConfigurationError(
                f"{self.path} is there, and is no DuckDB database.",
                where="store",
                remedy="name another file, or move this one away.",
            )
        if "Corrupt" in str(error):
            return FatalError(
                f"{self.path} is damaged: {error}",
                where="store",
                remedy="move it, its .wal and its .open away, and put copies in their place or begin anew; see "
                "docs/stores.md for what comes back.",
            )
        return error


def _holder(error: Exception) -> str:
    """Who has the file open, as DuckDB says."""
    found = re.search(r"\(PID (\d+)\)", str(error))
    return f"process {found[1]}" if found else ""


def prepare(connection: DuckDBPyConnection) -> None:
    """Have SQL mean what it does on every engine: times are in UTC, and what is divided by nothing is NULL."""
    connection.execute("SET TimeZone = 'UTC'; SET ieee_floating_point_ops = FALSE")
