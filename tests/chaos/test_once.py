"""A destination that must not be asked twice: what nobody knows is listed, and never sent again in silence."""

from __future__ import annotations

import hashlib
import os
import random
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.chaos.points import Chaos, Fault, differences
from tests.chaos.runs import Runs
from tests.chaos.world import World, chaos_world

POINTS = int(os.environ.get("MILLSTREAM_CHAOS", "24")) // 4
LOST: tuple[Fault, ...] = (
    ("reset", {"share": 0.15, "when": "after"}),
    ("server_error", {"share": 0.15, "when": "after", "status": 502}),
)
"""Answers that do not come although the work is done."""


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory, runs: Runs) -> Iterator[Chaos]:
    """Each value is wanted once, so whatever comes twice was sent twice."""
    with chaos_world(tmp_path_factory.mktemp("once"), runs, ("once",), ("mirror", "upsert", "remove")) as world:
        world.never_the_same = True
        chaos = Chaos(world, random.Random(int(os.environ.get("MILLSTREAM_CHAOS_SEED", "5"))), always=LOST)
        for number in range(1, POINTS + 1):
            chaos.point(number)
        world.behave()
        world.change(chaos.chance)
        world.order("hubspot", "reset", when="after", path="batch/upsert", times=2)
        for _ in range(3):
            world.activate()
            chaos.make_due()
        world.witness.take()
        yield chaos


def test_every_run_ends_as_it_should(once: Chaos) -> None:
    assert once.judge.problems == []


def test_nothing_is_sent_twice(once: Chaos) -> None:
    sent = Counter((one.key, one.fields) for one in once.world.witness.ever if not one.refused)
    assert {row: times for row, times in sent.items() if times > 1} == {}


def test_who_is_not_as_wanted_is_listed_as_unknown(once: Chaos) -> None:
    unknown = unknown_rows(once.world)
    assert unknown, "no answer was ever lost, so nothing was tried"
    wrong = {problem.split()[1] for sync in once.world.syncs.values() for problem in differences(once.world, sync)}
    assert {person for person in wrong if hashlib.sha256(person.encode()).hexdigest() not in unknown} == set()


def test_a_run_after_all_that_leaves_the_unknown_alone(once: Chaos) -> None:
    once.world.activate()
    assert once.world.witness.take() == []


def unknown_rows(world: World) -> set[str]:
    """Hashes of the people who are listed as unknown."""
    with closing(sqlite3.connect(world.journal)) as journal:
        return {one for (one,) in journal.execute("SELECT match_hash FROM rejected WHERE status = 'unknown'")}
