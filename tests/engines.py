"""The engines of the store that tests run on: the same tests on DuckDB and on a real PostgreSQL."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import duckdb

from millstream.state.store import Connection, DuckDBStore, PostgresStore, Store
from millstream.state.store.duckdb import prepare
from millstream.state.store.postgres_connection import PostgresConnection
from tests.postgres import Server

_SCHEMAS = """
SELECT nspname FROM pg_catalog.pg_namespace
WHERE nspname NOT IN ('information_schema', 'public', 'millstream') AND nspname NOT LIKE 'pg\\_%' ESCAPE '\\'
"""


class Engine(ABC):
    """An engine that gives empty stores."""

    name: str

    @abstractmethod
    def store(self, folder: Path) -> AbstractContextManager[Store]:
        """An empty store of its own."""

    @abstractmethod
    def connection(self) -> Connection:
        """An open connection to an empty store. Close it: its store is given to somebody else then."""


class DuckDBEngine(Engine):
    """DuckDB: stores are files, connections are to memory."""

    name = "duckdb"

    @contextmanager
    def store(self, folder: Path) -> Iterator[Store]:
        yield DuckDBStore(folder / "store.duckdb")

    def connection(self) -> Connection:
        connection = duckdb.connect(config={"threads": 1})
        prepare(connection)
        return connection


class PostgresEngine(Engine):
    """PostgreSQL: stores are databases; those of connections are emptied and used again."""

    name = "postgres"

    def __init__(self, server: Server) -> None:
        self._server = server
        self._databases = ExitStack()
        self._reused: list[_Reused] = []

    @contextmanager
    def store(self, folder: Path) -> Iterator[Store]:
        with self._server.database() as url:
            yield PostgresStore(url)

    def connection(self) -> Connection:
        free = next((one for one in self._reused if one.is_free), None)
        if free is None:
            free = _Reused(PostgresStore(self._databases.enter_context(self._server.database())))
            self._reused.append(free)
        return free.connection()

    def close(self) -> None:
        """Close all connections and drop their databases."""
        for one in self._reused:
            one.close()
        self._databases.close()


class _Reused:
    """A database that one test after the other uses."""

    def __init__(self, store: PostgresStore) -> None:
        self._store = store
        self._opened = ExitStack()
        self._connection: PostgresConnection | None = None

    @property
    def is_free(self) -> bool:
        return self._connection is None or self._connection.closed

    def connection(self) -> Connection:
        self.close()
        self._connection = self._opened.enter_context(self._store.open())
        for (schema,) in self._connection.execute(_SCHEMAS).fetchall():
            self._connection.execute(f"DROP SCHEMA {schema} CASCADE")
        return self._connection

    def close(self) -> None:
        self._opened.close()
