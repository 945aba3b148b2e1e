"""A running sandbox for the tests of its systems."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest

from millstream.sandbox import Sandbox

TODAY = date(2026, 11, 20)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """One sandbox for the reading tests of a module."""
    with Sandbox(people=300, limits=False, today=TODAY) as running:
        yield running


@pytest.fixture
def fresh_sandbox() -> Iterator[Sandbox]:
    """A sandbox of its own, for tests that write, order faults or let time go by."""
    with Sandbox(people=300, limits=False, today=TODAY) as running:
        yield running
