"""What tests of delivery share."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.destinations.bench import Bench, MakeBench
from tests.engines import Engine


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
