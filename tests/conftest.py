"""Fixtures of all tests: the engines of the store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engines import DuckDBEngine, Engine, PostgresEngine
from tests.postgres import Server, missing, running_server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """A PostgreSQL server; tests that ask for it are skipped where there is none."""
    if reason := missing():
        pytest.skip(reason)
    with running_server() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_engine(postgres_server: Server) -> Iterator[Engine]:
    """PostgreSQL as the store's engine."""
    engine = PostgresEngine(postgres_server)
    yield engine
    engine.close()


@pytest.fixture(scope="session", params=["duckdb", "postgres"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each engine in turn: what a test asks of it must come out the same on both."""
    if request.param == "duckdb":
        return DuckDBEngine()
    made: Engine = request.getfixturevalue("postgres_engine")
    return made
