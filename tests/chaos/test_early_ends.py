"""Runs that end before they are done: a refused credential, SIGTERM, and a sleep so long that another run took over."""

from __future__ import annotations

import random
import signal
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import count
from threading import Event

import pytest

from millstream.state.ledger.deliveries import lease_of
from millstream.state.store.duckdb import DuckDBStore
from tests.chaos.points import differences
from tests.chaos.runs import Runs
from tests.chaos.world import World, chaos_world

MOST_REQUESTS = 3
_NUMBERS = count()


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory, runs: Runs) -> Iterator[World]:
    with chaos_world(tmp_path_factory.mktemp("ends"), runs, ("hubspot", "mailchimp"), ("mirror", "update")) as world:
        world.change(random.Random(4))
        assert world.activate().code == 0
        yield world


@pytest.fixture
def world(worlds: World) -> Iterator[World]:
    """Everybody is wanted, with values that nobody had before."""
    number = next(_NUMBERS)
    for sync in worlds.syncs.values():
        sync.now = dict.fromkeys(sync.everybody, (f"First {number}", f"Second {number}"))
    worlds.write()
    worlds.witness.take()
    yield worlds
    worlds.behave()
    worlds.let_settle()


def in_step(world: World) -> bool:
    """Whether another run brings everything in step."""
    world.behave()
    ended = world.activate()
    world.witness.take()
    assert ended.code == 0, ended.output
    return [problem for sync in world.syncs.values() for problem in differences(world, sync)] == []


def ask(world: World, query: str) -> list[tuple[object, ...]]:
    """Rows of the journal."""
    with closing(sqlite3.connect(world.journal)) as journal:
        return list(journal.execute(query))


def test_a_refused_credential_costs_hardly_a_request_and_changes_nothing(world: World) -> None:
    known = what_is_known(world)
    for system in ("hubspot", "mailchimp"):
        world.order(system, "expire_token", times=1000)
    for sync in world.syncs:
        ended = world.activate(sync)
        assert ended.code == 1
        assert world.witness.requests <= MOST_REQUESTS
        world.witness.take()
    assert what_is_known(world) == known
    assert in_step(world)


@pytest.mark.parametrize("sync", ["hubspot_mirror", "mailchimp_update"])
def test_sigterm_settles_what_is_in_flight_and_leaves_the_rest(world: World, sync: str) -> None:
    def stop() -> None:
        world.runs.signal_now(signal.SIGTERM)
        time.sleep(0.1)

    world.witness.act_when(lambda seen: seen.writes > 0, stop)  # the first batch goes alone
    ended = world.activate(sync)
    sent = {one.key for one in world.witness.take()}
    assert (ended.code, ended.stopped) == (1, True)
    assert "asked to stop" in ended.output
    assert ask(world, "SELECT count(*) FROM batches WHERE outcomes IS NULL AND job_id IS NULL") == [(0,)]
    assert ask(world, "SELECT count(*) FROM leases") == [(0,)]
    assert world.activate(sync).code == 0
    again = {one.key for one in world.witness.take()}
    assert not sent & again, "what was settled is not sent again"
    assert sent
    assert again, "it was stopped too late to prove anything"
    assert in_step(world)


def test_a_run_that_slept_for_too_long_leaves_its_sync_to_the_next(world: World) -> None:
    other = Runs(world.folder)
    assert other.run("--version").code == 0
    world.order("hubspot", "slow", seconds=3, when="after", path="batch/upsert", times=1)
    with ThreadPoolExecutor(1) as threads:
        sleeper = threads.submit(world.activate, "hubspot_mirror")
        while not ask(world, "SELECT 1 FROM batches WHERE outcomes IS NULL"):
            time.sleep(0.01)
        with closing(sqlite3.connect(world.journal)) as journal, journal:
            journal.execute("UPDATE leases SET expires = 0, holder = 'elsewhere/1/run'")
        ended = other.run("activate", "hubspot_mirror", "--project", str(world.folder))
        batches = ask(world, "SELECT count(*) FROM batches")
        slept = sleeper.result()
    other.close()
    assert ended.code == 0, ended.output
    assert slept.code == 1
    assert "took over" in slept.output
    assert ask(world, "SELECT count(*) FROM batches") == batches, "it began nothing more"
    assert ask(world, "SELECT count(*) FROM plans WHERE status <> 'settled'") == [(0,)]
    assert in_step(world)


def test_a_process_that_is_stopped_and_goes_on_later_sends_nothing_old(world: World) -> None:
    other = Runs(world.folder)
    assert other.run("--version").code == 0
    stopped = Event()

    def stop() -> None:
        stop_between_commits(world)
        stopped.set()

    world.witness.act_when(lambda seen: seen.writes > 0, stop)  # the first batch goes alone, and has arrived
    with ThreadPoolExecutor(1) as threads:
        sleeper = threads.submit(world.activate, "hubspot_mirror")
        assert stopped.wait(60)
        lease = f"name = '{lease_of('hubspot_mirror')}'"
        while not ask(world, f"SELECT 1 FROM leases WHERE {lease} AND expires < {time.time()}"):
            time.sleep(0.1)
        world.syncs["hubspot_mirror"].now = dict.fromkeys(world.syncs["hubspot_mirror"].everybody, ("Newer", "Values"))
        world.write()
        ended = other.run("activate", "hubspot_mirror", "--project", str(world.folder))
        world.witness.take()
        batches = ask(world, "SELECT count(*) FROM batches")
        world.runs.signal_now(signal.SIGCONT)
        slept = sleeper.result()
    other.close()
    assert ended.code == 0, ended.output
    assert slept.code == 1
    assert "took over" in slept.output
    assert world.witness.take() == [], "it sent nothing more"
    assert ask(world, "SELECT count(*) FROM batches") == batches
    assert ask(world, "SELECT count(*) FROM plans WHERE status <> 'settled'") == [(0,)]
    assert in_step(world)


def stop_between_commits(world: World) -> None:
    """Stop the run that is on while it does not write to the journal, as whoever comes after it could not, either."""
    while True:
        world.runs.signal_now(signal.SIGSTOP)
        with closing(sqlite3.connect(world.journal, timeout=0.5, isolation_level=None)) as journal:
            try:
                journal.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                world.runs.signal_now(signal.SIGCONT)
            else:
                return


def what_is_known(world: World) -> list[object]:
    """What was acknowledged, what is listed as not accepted, and what is not done."""
    known: list[object] = []
    with DuckDBStore(world.store).open() as store:
        if store.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'acknowledged'").fetchone():
            known += store.execute("SELECT * FROM delivery.acknowledged ORDER BY ALL").fetchall()
    if world.journal.exists():
        for query in ("FROM rejected", "FROM leases", "FROM plans WHERE status <> 'settled'"):
            known += ask(world, f"SELECT * {query}")
    return known
