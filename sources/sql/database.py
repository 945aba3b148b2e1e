"""The database: connecting, what its tables hold, and its errors as Millstream's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from millstream.sources.sql.settings import SqlSettings, TableStream
from millstream.state.errors import (
    AuthenticationError,
    ConfigurationError,
    FatalError,
    MillstreamError,
    NotFoundError,
    PermissionDeniedError,
    SchemaError,
    UnreachableError,
)
from millstream.state.suggestions import did_you_mean

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine
    from sqlalchemy.sql import FromClause

_WRONG_PASSWORD = (
    "password authentication failed",
    "access denied for user",
    "login failed",
    "authentication",
    "28p01",
)
_NO_DATABASE = ("does not exist", "unknown database", "cannot open database")
_NO_ANSWER = (
    "could not connect", "connection refused", "can't connect", "timed out", "timeout", "could not translate host",
    "name or service not known", "getaddrinfo", "server closed the connection", "lost connection", "no route to host",
    "network is unreachable",
)  # fmt: skip
_NOT_ALLOWED = ("permission denied", "command denied", "insufficient privilege")
_MOST_NAMES = 30


class Database:
    """A database to read from.

    Args:
        settings: Which one, and how to get in.
    """

    def __init__(self, settings: SqlSettings) -> None:
        self._settings = settings
        self._secret = settings.password.get_secret_value() if settings.password else None

    @cached_property
    def engine(self) -> Engine:
        """Connects when it is asked something; no connection stays open in between."""
        settings = self._settings
        try:
            url = sa.make_url(settings.secret_url.get_secret_value() if settings.secret_url else settings.url or "")
        except sa.exc.ArgumentError as error:
            raise ConfigurationError(
                "The database's URL cannot be read.",
                remedy="write it as dialect+driver://user@host:port/database, with %xx for odd characters.",
            ) from error
        url = url.set(password=self._secret) if self._secret else url
        self._secret = self._secret or (str(url.password) if url.password else None)
        _check_sqlite_file(url)
        try:
            return sa.create_engine(
                url, poolclass=sa.NullPool, hide_parameters=True, connect_args=dict(settings.options)
            )
        except sa.exc.NoSuchModuleError as error:
            raise ConfigurationError(
                f"There is no dialect {url.drivername!r} here.",
                remedy="check the URL's beginning, or install the package that brings the dialect.",
            ) from error
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                f"The driver {error.name!r} of {url.drivername!r} is not installed.",
                remedy=f"install it: pip install {error.name}, or name another driver in the URL.",
            ) from error

    def check(self) -> None:
        """Ask the database something, and see that every table is there.

        Raises:
            MillstreamError: It cannot be reached, lets nobody in, or lacks a table.
        """
        with self.our_errors(), self.engine.connect() as connection:
            connection.execute(sa.select(sa.literal(1)))
        for stream in self._settings.streams.values():
            self.reflect(stream)

    def reflect(self, stream: TableStream) -> FromClause:
        """A stream's table or query with its columns.

        Raises:
            MillstreamError: There is no such table, or the query is not accepted.
        """
        with self.our_errors():
            return self._query(stream.query) if stream.query else self._table(stream.table or "")

    def _table(self, name: str) -> sa.Table:
        schema, _, table = name.rpartition(".")
        try:
            return sa.Table(table, sa.MetaData(), schema=schema or None, autoload_with=self.engine, resolve_fks=False)
        except sa.exc.NoSuchTableError as error:
            inspector = sa.inspect(self.engine)
            known = [*inspector.get_table_names(schema or None), *inspector.get_view_names(schema or None)]
            raise NotFoundError(
                f"There is no table {name!r}.",
                allowed=sorted(known)[:_MOST_NAMES],
                remedy=did_you_mean(table, known) or "check the name and its schema, and the user's permissions.",
            ) from error

    def _query(self, query: str) -> FromClause:
        text = sa.text(query.strip().rstrip(";"))
        with self.engine.connect() as connection:
            empty = sa.select(sa.text("*")).select_from(text.columns().subquery("asked")).where(sa.false())
            names = list(connection.execute(empty).keys())
        return text.columns(*(sa.column(name) for name in names)).subquery("asked")

    @contextmanager
    def our_errors(self) -> Iterator[None]:
        """Turns the database's errors into ours, which never hold the password."""
        try:
            yield
        except MillstreamError:
            raise
        except (sa.exc.SQLAlchemyError, OSError) as error:
            raise self._ours(error) from None  # the driver's error may quote the URL

    def _ours(self, error: Exception) -> MillstreamError:
        said = str(getattr(error, "orig", None) or error)
        if self._secret:
            said = said.replace(self._secret, "***")
        words, said = said.lower(), " ".join(said.split())[:300]
        if any(word in words for word in _WRONG_PASSWORD):
            return AuthenticationError(
                "The database does not accept user and password.", remedy="check user and password of the connection."
            )
        if any(word in words for word in _NO_ANSWER):
            return UnreachableError(f"The database cannot be reached: {said}.", remedy="check host, port and network.")
        if any(word in words for word in _NOT_ALLOWED):
            return PermissionDeniedError(
                f"The database does not allow it: {said}.", remedy="grant the user SELECT on the table."
            )
        if "database" in words and any(word in words for word in _NO_DATABASE):
            return NotFoundError(f"There is no such database: {said}.", remedy="check the URL's last part.")
        if isinstance(error, sa.exc.ProgrammingError | sa.exc.OperationalError):
            return SchemaError(f"The database refuses the query: {said}.", remedy="check table, columns and query.")
        return FatalError(f"The database failed: {type(error).__name__}: {said}.")


def _check_sqlite_file(url: sa.URL) -> None:
    """SQLite would make an empty database where there is none."""
    if url.get_backend_name() == "sqlite" and url.database and ":memory:" not in url.database:
        path = Path(url.database.removeprefix("file:").partition("?")[0])
        if not path.is_file():
            raise NotFoundError(
                f"There is no database file {path}.",
                remedy="check `url`; a relative path starts at the project file's folder.",
            )
