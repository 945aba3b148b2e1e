"""What a calm run leaves: the measure for runs through faults, kills and bad answers."""

from __future__ import annotations

import tempfile
from datetime import date
from functools import cache
from pathlib import Path

import pytest

from tests.days import today
from tests.end_to_end.world import demo_world, outcome


@pytest.fixture(scope="module")
def calm() -> dict[str, object]:
    """The outcome of one run of the demo project on this day where nothing went wrong."""
    return _calm(today())


@cache
def _calm(_day: date) -> dict[str, object]:
    with tempfile.TemporaryDirectory(prefix="millstream-calm-") as folder, demo_world(Path(folder)) as world:
        world.run_well()
        return outcome(world)
