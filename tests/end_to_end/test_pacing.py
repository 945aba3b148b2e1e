"""Pacing against a vendor that counts, over real HTTP: the allowed rate is used, and hardly a request is refused.

``MILLSTREAM_PACING_SECONDS=60`` lets each of the measuring tests run longer.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from millstream.sources.pull import Pull, client_of
from millstream.state.http.budget import credential_key
from millstream.state.ledger.tables import budget_slices
from tests.end_to_end.world import demo_world
from tests.metered import Limits, Metered, metered

log = logging.getLogger(__name__)
CALLER = Path(__file__).with_name("caller.py")
SECONDS = float(os.environ.get("MILLSTREAM_PACING_SECONDS", "10"))
HEADERS = {"remaining": "X-Left", "reset": "X-Reset"}
DAILY = {"daily_remaining": "X-Day-Left", "daily_reset": "X-Day-Reset"}


class Callers:
    """Processes that call a vendor with one credential."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder, self._url = folder, url
        self.running: list[subprocess.Popen[str]] = []

    def start(self, duration: float, /, **limit: object) -> subprocess.Popen[str]:
        """One more."""
        process = subprocess.Popen(
            [sys.executable, str(CALLER), str(self._folder), self._url, str(duration), json.dumps(limit)],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.running.append(process)
        return process

    def results(self) -> list[dict[str, Any]]:
        """What those that were not killed have to say."""
        said = [process.communicate(timeout=SECONDS + 60)[0] for process in self.running]
        return [json.loads(one) for one in said if one]


@contextmanager
def calling(folder: Path, limits: Limits) -> Iterator[tuple[Metered, Callers]]:
    """A vendor, and those who call it."""
    with metered(limits) as (vendor, url):
        callers = Callers(folder, url)
        try:
            yield vendor, callers
        finally:
            for process in callers.running:
                process.kill()
                process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize(("processes", "fixed"), [(1, False), (4, False), (4, True)])
def test_the_allowed_rate_is_used_and_not_exceeded(tmp_path: Path, processes: int, fixed: bool) -> None:
    limits = Limits(requests=30, seconds=1.5, fixed=fixed)
    with calling(tmp_path, limits) as (vendor, callers):
        for _ in range(processes):
            callers.start(SECONDS, requests=30, seconds=1.5, concurrency=3, **HEADERS)
        results = callers.results()
    assert [result["errors"] for result in results] == [[]] * processes
    asked = len(vendor.accepted) + len(vendor.refused)
    share = vendor.share_used()
    log.info(
        "%d requests, %d refused, %.1f %% of the allowed rate: %s", asked, len(vendor.refused), share * 100, results
    )
    assert len(vendor.refused) * 1000 < asked
    assert share >= 0.9
    assert min(result["calls"] for result in results) >= asked / processes / 3, "nobody is left behind"


def test_a_vendor_without_headers_is_paced_by_its_documented_limit(tmp_path: Path) -> None:
    with calling(tmp_path, Limits(requests=20, seconds=1.0, headers=False)) as (vendor, callers):
        for _ in range(2):
            callers.start(6, requests=20, seconds=1.0, concurrency=2)
        callers.results()
    assert vendor.refused == []
    assert vendor.share_used() >= 0.85


def test_an_undocumented_limit_is_found(tmp_path: Path) -> None:
    with calling(tmp_path, Limits(requests=30, seconds=1.0, headers=False)) as (vendor, callers):
        for _ in range(2):
            callers.start(12, requests=60, seconds=1.0, concurrency=2, adaptive=True)
        results = callers.results()
    assert [result["errors"] for result in results] == [[], []]
    assert 1 <= len(vendor.refused) <= len(vendor.accepted) / 6, "some, and ever fewer"
    late = [moment for moment in vendor.accepted if moment > vendor.accepted[-1] - 4]
    assert len(late) >= 60, "half of the unknown limit at least"


def test_what_one_is_told_to_wait_all_wait_and_one_tries_first(tmp_path: Path) -> None:
    with calling(tmp_path, Limits(requests=60, seconds=1.0)) as (vendor, callers):
        for _ in range(3):
            callers.start(9, requests=60, seconds=1.0, concurrency=2, **HEADERS)
        while len(vendor.accepted) < 120:
            time.sleep(0.05)
        told = time.monotonic()
        vendor.day_left = 0  # every request is refused now, and asked to wait for a second
        while not vendor.refused:
            time.sleep(0.005)
        before = len(vendor.refused)
        time.sleep(4)
        refused = len(vendor.refused)
        vendor.day_left = None
        callers.results()
    assert before < 60
    # In four seconds there are four pauses at most: a burst when the first is told, then one request after each.
    assert refused <= 3 * 2 * 2 + 4, refused
    assert [moment for moment in vendor.accepted if moment > told + 4], "and then they go on"


def test_the_slice_of_a_killed_process_comes_back(tmp_path: Path) -> None:
    with calling(tmp_path, Limits(requests=30, seconds=1.0)) as (vendor, callers):
        greedy = callers.start(60, requests=30, seconds=1.0, concurrency=3, **HEADERS)
        while len(vendor.accepted) < 90:
            time.sleep(0.05)
        greedy.send_signal(signal.SIGKILL)
        greedy.wait()
        killed_at = time.monotonic()
        callers.start(8, requests=30, seconds=1.0, concurrency=3, **HEADERS)
        callers.results()
    assert vendor.refused == []
    next_at = next(moment for moment in vendor.accepted if moment > killed_at)
    assert vendor.share_used(after=next_at + 1.5) >= 0.9, "what the dead one held is lost for a window"


def test_a_used_up_day_ends_all_runs_and_says_when_it_renews(tmp_path: Path) -> None:
    limits = Limits(requests=50, seconds=1.0, day=120)
    with calling(tmp_path, limits) as (vendor, callers):
        for _ in range(3):
            callers.start(60, requests=50, seconds=1.0, concurrency=3, **HEADERS, **DAILY)
        results = callers.results()
        callers.running.clear()
        callers.start(60, requests=50, seconds=1.0, concurrency=1, **HEADERS, **DAILY)
        (later,) = callers.results()
    assert (len(vendor.accepted), vendor.refused) == (120, [])
    assert all("It renews in 1 h" in error for result in results for error in result["errors"])
    assert later["calls"] == 0, "the next run knows without asking"
    assert "It renews in 1 h" in later["errors"][0]


def test_a_projects_source_and_destination_spend_from_one_budget(tmp_path: Path) -> None:
    with demo_world(tmp_path, people=20) as world:
        workspace = world.open()
        source, destination = workspace.project.source("hubspot"), workspace.destination("hubspot")
        assert credential_key("hubspot", source.settings) == credential_key("hubspot", destination.settings)
        client, pacer = client_of(source, budgets=workspace.journal.budgets)
        source.probe(Pull(None, client, pacer=pacer))
        destination.probe()
        with workspace.journal.engine.connect() as connection:
            holders = connection.execute(sa.select(budget_slices.c.budget, budget_slices.c.places)).all()
        workspace.journal.close()
    assert len(holders) == 2
    assert len({budget for budget, _ in holders}) == 1
    assert all(places > 0 for _, places in holders)


def test_connections_are_shared(tmp_path: Path) -> None:
    with calling(tmp_path, Limits(requests=10_000, seconds=1.0, connections=5, headers=False)) as (vendor, callers):
        for _ in range(3):
            callers.start(5, requests=10_000, seconds=1.0, concurrency=5, connections=5)
        results = callers.results()
    assert vendor.refused == []
    assert vendor.most_at_once >= 4
    assert min(result["calls"] for result in results) >= 20
