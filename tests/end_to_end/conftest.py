"""What a calm run leaves: the measure for runs through faults, kills and bad answers."""

from __future__ import annotations

import pytest

from tests.end_to_end.world import demo_world, outcome


@pytest.fixture(scope="session")
def calm(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """The outcome of one run of the demo project where nothing went wrong."""
    with demo_world(tmp_path_factory.mktemp("calm")) as world:
        world.run_well()
        return outcome(world)
