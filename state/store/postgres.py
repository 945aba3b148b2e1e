"""The store in a PostgreSQL database.

Statements come in DuckDB's dialect and are translated (``dialect.py``), once for each text. In place of a lock file
stands an advisory lock, which the server gives back when its holder is gone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from millstream.state.errors import (
    AuthenticationError,
    ConfigurationError,
    MillstreamError,
    UnreachableError,
)
from millstream.state.sql import literal, quoted
from millstream.state.store.contract import SILENCE, Store
from millstream.state.store.postgres_arrow import NUMERIC_OID
from millstream.state.store.postgres_connection import PostgresConnection
from millstream.state.store.server_errors import typed_errors

if TYPE_CHECKING:
    import psycopg2

    RawConnection = psycopg2.extensions.connection
    RawCursor = psycopg2.extensions.cursor

WRITERS = 0x4D696C6C73747265
"""The advisory lock of a database's writers; any constant does."""

_SESSION = {
    "timezone": "UTC",
    "datestyle": "ISO,YMD",
    "search_path": '"$user",public,millstream',
    "client_encoding": "UTF8",
    "client_min_messages": "warning",
    "work_mem": "64MB",  # a few statements at a time, each over whole tables
    "jit": "off",  # compiling costs more than it saves here
}
_KEPT_ALIVE = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 6}
_IN_THE_URL = ("user", "password", "host", "port", "dbname")
_JSON_OIDS = (114, 3802)


class PostgresStore(Store):
    """A project's database on a PostgreSQL server.

    Args:
        url: As libpq takes it: ``postgresql://user:password@host:5432/database?sslmode=require``. What is left out
            comes from libpq's own places: PGPASSWORD, ``~/.pgpass``, ...
        patience: Seconds to wait for another writer before giving up.

    Raises:
        ConfigurationError: The URL cannot be read, or the driver is not installed.
    """

    def __init__(self, url: str, *, patience: float = 600.0) -> None:
        self.url = url
        self.patience = patience
        self._parts = _parsed(url)
        server = ":".join(filter(None, (self._parts.get("host", "localhost"), self._parts.get("port"))))
        self.name = f"{server}/{self._parts.get('dbname', '')}"
        self._holder: RawConnection | None = None

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the database's advisory lock."""
        with self._held():
            yield

    @contextmanager
    def open(self) -> Iterator[PostgresConnection]:
        """A connection of its own, with the advisory lock held."""
        with self._held() as holder:
            raw = self._connect() if holder is None else holder
            try:
                yield PostgresConnection(raw, self.name)
            finally:
                if holder is None:
                    raw.close()

    @contextmanager
    def _held(self) -> Iterator[RawConnection | None]:
        """Hold the lock, and give the connection that does; None where this thread held it already."""
        with self._thread(self.name):
            if self._holder is not None:
                yield None
                return
            raw = self._holder = self._connect()
            try:
                self._lock(raw)
                _prepare(raw, self.name)
                yield raw
            finally:
                self._holder = None
                raw.close()

    def whole_url(self) -> str:
        """The URL with everything that libpq found elsewhere, also the password; for libraries that connect alone.

        Raises:
            UnreachableError: No server answers.
            AuthenticationError: It does not let us in.
        """
        raw = self._connect()
        try:
            found = raw.info
            more = {name: value for name, value in self._parts.items() if name not in _IN_THE_URL}
            on_socket = not found.host or found.host.startswith("/")
            if on_socket:
                more["host"] = found.host
            host = "localhost" if on_socket else found.host
            login = f"{quote(found.user, '')}:{quote(found.password or '', '')}"
            return f"postgresql://{login}@{host}:{found.port}/{quote(found.dbname, '')}?{urlencode(more)}"
        finally:
            raw.close()

    def _lock(self, raw: RawConnection) -> None:
        from psycopg2 import errors

        with typed_errors(self.name), raw.cursor() as cursor:
            silent = min(SILENCE, self.patience)
            try:
                _wait_for_lock(cursor, silent)
            except errors.LockNotAvailable:
                self._tell_waiting()
                try:
                    _wait_for_lock(cursor, self.patience - silent)
                except errors.LockNotAvailable as error:
                    raise self._locked() from error
            cursor.execute("SELECT set_config('lock_timeout', '0', false)")

    def _connect(self) -> RawConnection:
        import psycopg2

        options = " ".join(f"-c {name}={value}" for name, value in _SESSION.items())
        facts: dict[str, Any] = {"connect_timeout": 15, "application_name": "millstream", **_KEPT_ALIVE, **self._parts}
        facts["options"] = f"{facts.get('options', '')} {options}".strip()
        try:
            raw: RawConnection = psycopg2.connect(**facts)
        except psycopg2.OperationalError as error:
            raise self._refused(error) from None
        raw.autocommit = True
        _read_as_duckdb_does(raw)
        return raw

    def _refused(self, error: Exception) -> MillstreamError:
        """Why there is no connection. The server's words name user and database, never the password."""
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        what = f"PostgreSQL at {self.name} cannot be used: {said}"
        lowered = said.lower()
        if "password" in lowered or "authentication" in lowered or "pg_hba" in lowered or "role" in lowered:
            return AuthenticationError(what, where="store", remedy="check user and password in the store's URL.")
        if "database" in lowered and "does not exist" in lowered:
            made = _creation(self._parts.get("dbname", "millstream"))
            return ConfigurationError(what, where="store", remedy=f"make it: {made}")
        return UnreachableError(what, where="store", remedy="check host and port, and that the server runs.")


def _creation(database: str) -> str:
    """The statement that makes a database which is fit."""
    return f"CREATE DATABASE {quoted(database)} ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C.UTF-8' TEMPLATE template0"


def _parsed(url: str) -> dict[str, str]:
    try:
        import psycopg2
        from psycopg2.extensions import parse_dsn
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "The driver for PostgreSQL is not installed.",
            where="store",
            remedy="pip install 'millstream[postgres]'",
        ) from error
    try:
        return dict(parse_dsn(url))
    except psycopg2.ProgrammingError:
        # Its message repeats the URL, and with it the password.
        raise ConfigurationError(
            "The store's PostgreSQL URL cannot be read.",
            where="store",
            allowed=["postgresql://user:password@host:5432/database"],
            remedy="write special characters of the password as %40 and the like.",
        ) from None


def _wait_for_lock(cursor: RawCursor, seconds: float) -> None:
    cursor.execute("SELECT set_config('lock_timeout', %s, false)", [f"{max(1, int(seconds * 1000))}ms"])
    cursor.execute("SELECT pg_advisory_lock(%s)", [WRITERS])


def _prepare(raw: RawConnection, name: str) -> None:
    """Look whether the database is fit, and make the functions of ``functions.sql`` unless they are there."""
    script, version = _functions()
    with typed_errors(name), raw.cursor() as cursor:
        cursor.execute(
            """
            SELECT current_setting('server_encoding'), 'B' < 'a', lower('É') = 'é',
                obj_description(to_regnamespace('millstream'), 'pg_namespace')
            """
        )
        encoding, by_bytes, knows_letters, installed = cursor.fetchone() or ("", False, False, None)
        if encoding != "UTF8" or not by_bytes or not knows_letters:
            raise ConfigurationError(
                f"The database {name} does not compare text byte by byte in UTF-8, as Millstream needs it to.",
                where="store",
                remedy=f"make another that does: {_creation('millstream')}",
            )
        if installed != version:
            cursor.execute(script)
            cursor.execute(f"COMMENT ON SCHEMA millstream IS {literal(version)}")


@cache
def _functions() -> tuple[str, str]:
    script = (Path(__file__).parent / "functions.sql").read_text(encoding="utf-8")
    return script, f"functions of Millstream, {hashlib.sha256(script.encode()).hexdigest()[:16]}"


def _read_as_duckdb_does(raw: RawConnection) -> None:
    """JSON stays text; sums and means are Python's own numbers."""
    from psycopg2 import extensions

    def as_text(value: Any, _: object) -> Any:
        return value

    def as_number(value: Any, _: object) -> float | int | None:
        if value is None:
            return None
        return float(value) if "." in value or "N" in value or "I" in value else int(value)

    extensions.register_type(extensions.new_type(_JSON_OIDS, "JSON_TEXT", as_text), raw)
    extensions.register_type(extensions.new_type((NUMERIC_OID,), "NUMBER", as_number), raw)
