"""Every destination at once, on bad days, in runs that are stopped anywhere: in the end all are in step.

``MILLSTREAM_CHAOS=1000`` stops a hundred runs; ``make chaos`` does. From twenty on, destinations with other settings
and keys are there as well.
"""

from __future__ import annotations

import json
import logging
import os
import random
from collections.abc import Iterator

import pytest

from millstream.destinations.registry import DESTINATIONS
from tests.chaos.every import EveryChaos, every_world
from tests.chaos.runs import Runs

pytestmark = pytest.mark.slow

log = logging.getLogger(__name__)
POINTS = int(os.environ.get("MILLSTREAM_CHAOS", "60")) // 10
SEED = int(os.environ.get("MILLSTREAM_CHAOS_SEED", "2026"))
BETWEEN = 10
"""Points between two comparisons."""


@pytest.fixture(scope="module")
def chaos(tmp_path_factory: pytest.TempPathFactory, runs: Runs) -> Iterator[EveryChaos]:
    with every_world(tmp_path_factory.mktemp("every"), runs, more=POINTS >= 20) as world:
        chaos = EveryChaos(world, random.Random(SEED))
        for number in range(1, POINTS + 1):
            chaos.point(number)
            if number % BETWEEN == 0 or number == POINTS:
                chaos.converge(number)
                log.info("%d points: %s", number, chaos.told())
        yield chaos


def test_every_registered_destination_is_here(chaos: EveryChaos) -> None:
    assert {sync.system for sync in chaos.world.kept()} == set(DESTINATIONS.names())


def test_every_destination_is_in_step_in_the_end(chaos: EveryChaos) -> None:
    assert chaos.judge.problems == []


def test_what_can_be_read_back_is_as_acknowledged(chaos: EveryChaos) -> None:
    """Of those who opted out an answer may be lost, and all later attempts refused: looking alone tells how it is."""
    reconcile = ("reconcile", "--project", str(chaos.world.folder), "--json")
    looked = chaos.world.runs.run(*reconcile)
    opted_out = {sync.name: len(sync.opted_out) for sync in chaos.world.kept()}
    for found in json.JSONDecoder().raw_decode(looked.output)[0]["reconciled"]:
        assert (found["missing"], found["extra"], found["error"]) == (0, 0, None), looked.output
        assert found["uncertain"] <= opted_out[found["sync"]], looked.output
    chaos.world.runs.run(*reconcile, "--repair")
    ended = chaos.world.runs.run(*reconcile)
    assert ended.code == 0, ended.output


def test_some_runs_were_stopped(chaos: EveryChaos) -> None:
    """Else the tests above would prove little."""
    assert chaos.stopped.total() >= POINTS / 3
    assert len(chaos.world.witness.faults) >= 4
