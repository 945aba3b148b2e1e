"""The prepared process that all runs are forked from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos.runs import Runs


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """Starts runs, one at a time."""
    runs = Runs(tmp_path_factory.mktemp("runs"))
    yield runs
    runs.close()
