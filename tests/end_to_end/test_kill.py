"""Runs that are killed in the middle, again and again, and one clean run after them: nothing is lost."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.end_to_end.world import World, demo_world, differences, outcome

pytestmark = pytest.mark.slow

MORTAL = Path(__file__).with_name("mortal.py")
LONGEST = {"ingest": 1.5, "resolve": 0.5, "activate": 0.3, "send": 0.3}
"""How many seconds into each stage a kill may come."""

ROUNDS = ("ingest", "resolve", "send", "activate", "send", "ingest", "resolve", "send")
ORPHAN = "customers_to_hubspot.plan_of_a_run_that_died.parquet"


@dataclass
class Killed:
    """A world after its kills and one clean run."""

    world: World
    deaths: list[tuple[str, int]] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)
    unanswered: int = 0


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killed]:
    chance = random.Random(2026)
    with demo_world(tmp_path_factory.mktemp("killed"), latency_ms=20) as world:
        told = Killed(world)
        for stage in ROUNDS:
            seconds = chance.uniform(0, LONGEST[stage])
            ended = subprocess.run(
                [sys.executable, str(MORTAL), str(world.folder), stage, f"{seconds:.3f}"],
                check=False,
                capture_output=True,
                text=True,
                timeout=120,
            )
            told.deaths.append((stage, ended.returncode))
            told.damage += [f"{stage} {seconds:.3f}: {problem}" for problem in damage(world)]
            told.unanswered += count(world, "SELECT count(*) FROM batches WHERE outcomes IS NULL")
            assert ended.returncode == -signal.SIGKILL, ended.stderr[-3000:]
        (world.folder / ".millstream" / "plans" / ORPHAN).write_bytes(b"written, and never noted in the journal")
        world.run_well()
        yield told


def damage(world: World) -> list[str]:
    """What is broken in the databases right after a death."""
    problems = []
    journal = world.folder / ".millstream" / "journal.sqlite"
    if journal.exists():
        with closing(sqlite3.connect(journal)) as connection:
            problems += [said for (said,) in connection.execute("PRAGMA integrity_check") if said != "ok"]
            problems += [f"dangling: {row}" for row in connection.execute("PRAGMA foreign_key_check")]
    workspace = world.open()
    with workspace.store.open() as store:
        for schema, table in store.execute("SELECT schema_name, table_name FROM duckdb_tables()").fetchall():
            store.execute(f'SELECT count(*) FROM (SELECT DISTINCT * FROM "{schema}"."{table}")').fetchall()
    workspace.journal.close()
    return problems


def count(world: World, query: str) -> int:
    """A number from the journal."""
    journal = world.folder / ".millstream" / "journal.sqlite"
    with closing(sqlite3.connect(journal)) as connection:
        (number,) = connection.execute(query).fetchone()
    return int(number)


def test_every_run_was_killed_in_its_stage(killed: Killed) -> None:
    assert killed.deaths == [(stage, -signal.SIGKILL) for stage in ROUNDS]


def test_some_died_with_requests_in_flight(killed: Killed) -> None:
    """Else the tests below would prove little."""
    assert killed.unanswered >= 1


def test_neither_database_was_ever_damaged(killed: Killed) -> None:
    assert killed.damage == []


def test_the_end_is_that_of_a_run_without_kills(killed: Killed, calm: dict[str, object]) -> None:
    assert differences(outcome(killed.world), calm) == []


def test_nothing_is_left_unsettled(killed: Killed) -> None:
    assert count(killed.world, "SELECT count(*) FROM plans WHERE status <> 'settled'") == 0
    assert count(killed.world, "SELECT count(*) FROM leases") == 0
    assert list((killed.world.folder / ".millstream" / "plans").glob("*")) == []


def test_what_is_acknowledged_is_what_is_there(killed: Killed) -> None:
    world = killed.world
    held = world.sql("SELECT match_value FROM delivery.acknowledged WHERE sync = 'customers_to_hubspot' AND present")
    emails = {email for (email,) in held}
    people = {email for person in world.truth() for email in person["emails"]}
    assert len(held) == len(outcome(world)["list"])  # type: ignore[arg-type]
    assert emails <= people


def test_nobody_was_sent_oftener_than_runs_died(killed: Killed) -> None:
    deaths = ROUNDS.count("send") + ROUNDS.count("activate")
    writes = [contact["writes"] for contact in killed.world.state("hubspot")["contacts"]]
    # The sync maps no field, so contacts that are there are only looked up; who is made is made once, or anew when
    # the answer was lost. What was acknowledged is not sent again: only what was in flight at a death is.
    assert max(writes, default=0) <= 1 + deaths
    assert not writes or sum(writes) < len(writes) * 2


def test_a_run_after_all_that_sends_nothing(killed: Killed) -> None:
    report = killed.world.run_well()
    assert {sync.sync: sync.requests for sync in report.activated if sync.requests} == {}
