"""What tests of delivery share."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import responses

from millstream.sandbox import Sandbox
from tests.destinations.bench import Bench, MakeBench
from tests.engines import DuckDBEngine, Engine


@pytest.fixture(scope="session")
def a_bench(engine: Engine) -> MakeBench:
    """Opens a bench; property tests need one for each example."""

    @contextmanager
    def opened(**changes: object) -> Iterator[Bench]:
        with tempfile.TemporaryDirectory() as folder, engine.store(Path(folder)) as store:
            bench = Bench(store, Path(folder), **changes)
            yield bench
            bench.journal.close()

    return opened


@pytest.fixture
def on_duckdb(tmp_path: Path) -> MakeBench:
    """Opens a bench on DuckDB alone, where nothing depends on the engine."""

    @contextmanager
    def opened(**changes: Any) -> Iterator[Bench]:
        with DuckDBEngine().store(tmp_path) as store:
            made = Bench(store, tmp_path, **changes)
            yield made
            made.journal.close()

    return opened


@pytest.fixture
def alone() -> Iterator[responses.RequestsMock]:
    """A vendor that answers what a test says, and nothing else."""
    with responses.RequestsMock() as vendor:
        yield vendor


@pytest.fixture
def faults(request: pytest.FixtureRequest, sandbox: Sandbox) -> Iterator[Callable[..., None]]:
    """Orders faults of the vendor that the module names as its ``SYSTEM``, and takes them back after the test."""

    def order(**facts: object) -> None:
        fault = {"system": request.module.SYSTEM, **facts}
        answer = requests.post(f"{sandbox.url}/_sandbox/faults", json=fault, timeout=10)
        assert answer.status_code == 201, answer.text

    yield order
    requests.delete(f"{sandbox.url}/_sandbox/faults", timeout=10)
