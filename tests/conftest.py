"""Fixtures of all tests: the engines of the store. And the order in which files are worked off."""

from __future__ import annotations

import gc
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.engines import DuckDBEngine, Engine, PostgresEngine
from tests.memory import folder_in_memory
from tests.postgres import Server, missing, running_server

# How long an example takes depends on what else the machine does, and fails no test; max_examples bounds them all.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

_ROOM = 4 * 1024**3
"""Free bytes from which on temporary files lie in memory. Those of all tests together come to a third of that."""


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


@pytest.fixture(autouse=True)
def unsteered(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """No shell, and no test before, says which project, databases or server a test works with."""
    for name in ("MILLSTREAM_PROJECT", "MILLSTREAM_STORE", "MILLSTREAM_JOURNAL"):
        os.environ.pop(name, None)
    if "prefect_server" not in request.fixturenames:
        monkeypatch.delenv("PREFECT_API_URL", raising=False)


def pytest_configure() -> None:
    """Collecting makes much that stays; looking for garbage meanwhile, and in it later on, takes minutes."""
    gc.disable()
    # Images of Python often say so. Then each worker, and each of the commands that tests start, compiles all anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    # Stores and journals write through to the disk at each commit: tests of delivery would wait for it half their time.
    if "TMPDIR" not in os.environ and (memory := folder_in_memory(_ROOM)):
        os.environ["TMPDIR"] = str(memory)
        tempfile.tempdir = None


def pytest_collection_finish() -> None:
    """From here on garbage is looked for, among what the tests make, and not after every 700th thing they make."""
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)
    gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, then those with most tests: a long one at the end would run alone."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    tests = Counter(item.path for item in items)
    items.sort(key=lambda item: (item.path not in slow, -tests[item.path]))
