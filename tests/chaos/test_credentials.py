"""A credential that is refused costs hardly a request, ends the run as failed, and changes nothing."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import duckdb
import pytest

from tests.chaos.points import differences
from tests.chaos.world import World, chaos_world

MOST_REQUESTS = 3


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with chaos_world(tmp_path_factory.mktemp("credentials"), ("hubspot", "mailchimp"), ("mirror", "update")) as world:
        yield world


@pytest.mark.parametrize("before", [False, True], ids=["from the start", "later"])
def test_a_refused_credential(world: World, before: bool) -> None:
    chance = random.Random(3)
    world.change(chance)
    if before:
        assert world.activate().code == 0
        world.change(chance)
    known = what_is_known(world)
    for system in ("hubspot", "mailchimp"):
        world.order(system, "expire_token", times=1000)
    for sync in world.syncs:
        world.witness.take()
        ended = world.activate(sync)
        assert ended.code == 1
        assert world.witness.requests <= MOST_REQUESTS
    assert what_is_known(world) == known
    world.behave()
    world.witness.take()
    assert world.activate().code == 0
    assert [problem for sync in world.syncs.values() for problem in differences(world, sync)] == []


def what_is_known(world: World) -> list[object]:
    """What was acknowledged, and what is listed as not accepted."""
    known: list[object] = []
    with duckdb.connect(world.store) as store:
        if store.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'acknowledged'").fetchone():
            known += store.execute("SELECT * FROM delivery.acknowledged ORDER BY ALL").fetchall()
    if world.journal.exists():
        with closing(sqlite3.connect(world.journal)) as journal:
            known += journal.execute("SELECT * FROM rejected").fetchall()
            known += journal.execute("SELECT * FROM leases").fetchall()
            known += journal.execute("SELECT * FROM plans WHERE status <> 'settled'").fetchall()
    return known
