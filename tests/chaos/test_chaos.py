"""Processes that are stopped anywhere while the vendors have a bad day: in the end nothing is lost or sent for nothing.

``MILLSTREAM_CHAOS=1000`` stops a thousand; ``make chaos`` does.
"""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Iterator

import pytest

from tests.chaos.points import Chaos
from tests.chaos.runs import Runs
from tests.chaos.world import chaos_world

pytestmark = pytest.mark.slow

log = logging.getLogger(__name__)
POINTS = int(os.environ.get("MILLSTREAM_CHAOS", "12"))
SEED = int(os.environ.get("MILLSTREAM_CHAOS_SEED", "2026"))
BETWEEN = 20
"""Points between two comparisons."""


@pytest.fixture(scope="module")
def chaos(tmp_path_factory: pytest.TempPathFactory, runs: Runs) -> Iterator[Chaos]:
    with chaos_world(tmp_path_factory.mktemp("chaos"), runs, ("hubspot", "mailchimp")) as world:
        chaos = Chaos(world, random.Random(SEED))
        world.change(chaos.chance)
        for number in range(1, POINTS + 1):
            chaos.point(number)
            if number % BETWEEN == 0 or number == POINTS:
                chaos.converge(number)
                log.info("%d points: %s", number, chaos.told())
        yield chaos


def test_nothing_is_lost_and_nothing_is_sent_for_nothing(chaos: Chaos) -> None:
    assert chaos.judge.problems == []


def test_some_died_with_rows_in_flight(chaos: Chaos) -> None:
    """Else the test above would prove little."""
    assert chaos.judge.in_flight >= POINTS / 8
    assert len(chaos.world.witness.faults) >= 4


def test_rows_are_sent_twice_only_where_nobody_knew(chaos: Chaos) -> None:
    assert chaos.judge.sent_twice <= chaos.judge.in_flight + chaos.judge.uncertain
