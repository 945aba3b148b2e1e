"""One sandbox for the contracts of all vendors."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from millstream.sandbox import Sandbox
from tests.contract.destinations.ground import quick_jobs


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=200, limits=False) as running:
        quick_jobs(running)
        yield running
