"""The journal's database: opened, brought up to date, written to by one thread at a time."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from millstream.state.errors import ConfigurationError, UnreachableError
from millstream.state.ledger.group_commit import GroupCommit

if TYPE_CHECKING:
    from millstream.state.ledger.journal_budgets import JournalBudgets

HEAD = "0005"
"""The newest migration; kept here so that opening an up-to-date journal does not import alembic."""

_PATIENCE = 60.0
"""Seconds to wait for SQLite's lock."""
_MOMENT = 0.01
"""Seconds between two tries of what SQLite does not wait for."""


class Database:
    """The transactional database of a project.

    Attributes:
        engine: SQLAlchemy's.
        together: For statements that several threads have at once: they share commits.

    Args:
        url: SQLAlchemy URL; a relative SQLite path starts at ``root``.
        root: Folder of the project.
    """

    def __init__(self, url: str, *, root: Path) -> None:
        self.engine = _engine(url, root)
        self._writing = threading.Lock()
        self.together = GroupCommit(self.writing)
        self._budgets: JournalBudgets | None = None
        self._migrate()

    def close(self) -> None:
        """Give back the connections, and what this process holds of vendors' budgets."""
        if self._budgets:
            self._budgets.close()
        self.engine.dispose()

    @property
    def budgets(self) -> JournalBudgets:
        """What vendors allow, shared by all who use this journal."""
        from millstream.state.ledger.journal_budgets import JournalBudgets

        with self._writing:
            if self._budgets is None:
                self._budgets = JournalBudgets(self.engine, self.writing)
            return self._budgets

    def _migrate(self) -> None:
        with self._connected() as connection:
            if sa.inspect(connection).has_table("alembic_version"):
                version = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
                if version == HEAD:
                    return
        from millstream.state.ledger.migrations import upgrade

        upgrade(self.engine)

    @contextmanager
    def _connected(self) -> Iterator[sa.Connection]:
        """The first connection, which shows whether there is a database at all."""
        try:
            connection = self.engine.connect()
        except sa.exc.DatabaseError as error:
            said = (str(error.orig).strip().splitlines() or ["no answer"])[0]
            raise UnreachableError(
                f"The journal's database {self.engine.url.render_as_string(hide_password=True)} cannot be used: {said}",
                where="journal",
                remedy=self._remedy(error),
            ) from error
        with connection:
            yield connection

    def _remedy(self, error: sa.exc.DatabaseError) -> str:
        if self.engine.dialect.name != "sqlite":
            return "check the URL, user and password, and that the server runs."
        if isinstance(error, sa.exc.OperationalError):
            return "look whether the disk is full, and whether the file's folder may be written to."
        return "name another file, or put a copy of the journal in the place of this one."

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that writes. Threads take turns here: SQLite would let them poll for its lock, asleep."""
        with self._writing, self.engine.begin() as connection:
            yield connection


def now() -> datetime:
    """The current time, in UTC."""
    return datetime.now(UTC)


def _engine(url: str, root: Path) -> sa.Engine:
    try:
        parsed = sa.make_url(url.replace("postgres://", "postgresql://", 1))
    except sa.exc.ArgumentError as error:
        raise ConfigurationError(
            "The journal's URL cannot be read.",
            where="journal",
            allowed=["sqlite:///path/to/file.sqlite", "postgresql://user:password@host:5432/database"],
        ) from error
    if parsed.get_backend_name() != "sqlite":
        return _server_engine(parsed)
    path = root / (parsed.database or "journal.sqlite")
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(parsed.set(database=str(path)), connect_args={"timeout": _PATIENCE})
    sa.event.listen(engine, "connect", _use_wal)
    return engine


def _server_engine(url: sa.URL) -> sa.Engine:
    try:
        return sa.create_engine(url, pool_pre_ping=True)
    except (ModuleNotFoundError, sa.exc.NoSuchModuleError) as error:
        raise ConfigurationError(
            f"The driver for the journal's {url.drivername} is not installed.",
            where="journal",
            remedy="pip install 'millstream[postgres]'",
        ) from error


def _use_wal(connection: Any, _: object) -> None:
    """Readers and one writer side by side; a commit survives a killed process and a crashed machine."""
    _switch_to_wal(connection)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _switch_to_wal(connection: Any) -> None:
    """Set the mode, which a file keeps. While others open a new file, too, SQLite refuses this one step at once."""
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(_MOMENT)
        else:
            return
