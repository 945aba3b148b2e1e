"""A run through a bad day at every vendor ends as a calm one."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from millstream.destinations.contract import Outcome
from millstream.destinations.sync_report import SyncReport
from millstream.flows import steps
from tests.end_to_end.world import NOT_ADDRESSABLE, UNHURRIED, World, demo_world, differences, outcome

pytestmark = pytest.mark.slow

OAUTH = """client_id: sandbox-client
    client_secret: {env: GA4_CLIENT_SECRET}
    refresh_token: {env: GA4_REFRESH_TOKEN}"""
"""HubSpot by OAuth, with the sandbox's client, so that its tokens can expire."""

SYSTEMS = ("hubspot", "ga4", "surveymonkey", "mailchimp")
CUSTOMERS = "customers_to_hubspot"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with demo_world(tmp_path / "project", changes={UNHURRIED: OAUTH}) as world:
        yield world


def order_a_bad_day(world: World) -> None:
    """Throttles, errors, cut connections, short pages and cut bodies, at every vendor."""
    for system in SYSTEMS:
        world.order(system, "rate_limited", times=1, seconds=1, after=2)
        world.order(system, "server_error", status=500, every=9)
        world.order(system, "reset", when="before", every=11)
        world.order(system, "reset", when="after", every=13)
        world.order(system, "truncated", every=14)
        world.order(system, "short_page", every=2)


class ExpiresTokens:
    """Makes the tokens of a system expire in the middle of its pull."""

    def __init__(self, world: World, after: dict[str, str]) -> None:
        self._world = world
        self._after = dict(after)

    def pulled(self, source: str, stream: str, rows: int) -> None:
        """Told after each page."""
        if self._after.get(source) == stream:
            del self._after[source]
            self._world.order(source, "expire_token")

    @property
    def all_expired(self) -> bool:
        """Whether every system had its turn."""
        return not self._after


def test_a_bad_day_ends_as_a_calm_one(world: World, calm: dict[str, object]) -> None:
    order_a_bad_day(world)
    expiry = ExpiresTokens(world, {"hubspot": "contacts", "ga4": "traffic_by_channel"})
    report = world.run(steps.Progress(pulled=expiry.pulled))
    assert [str(error) for error in report.errors] == []
    assert report.ok
    assert expiry.all_expired
    seen = world.requests_seen()
    for system in SYSTEMS:
        met = {entry["status"] for entry in seen[system]}
        assert met >= {200, 429, 0}, f"{system} was not troubled: {met}"
    assert 401 in {entry["status"] for entry in seen["hubspot"]}
    assert differences(outcome(world), calm) == []


# Rows that are refused


@dataclass
class Refused:
    """A run in which some rows were refused, one right after it, and one when their time has come."""

    world: World
    first: steps.PipelineReport
    listed: list[dict[str, object]]
    told: str
    second: steps.PipelineReport
    second_requests: dict[str, list[dict[str, object]]]
    third: steps.PipelineReport

    @property
    def hubspot(self) -> SyncReport:
        """The first run's sync to HubSpot."""
        return next(sync for sync in self.first.activated if sync.sync == CUSTOMERS)


@pytest.fixture(scope="module", params=[False, True], ids=["row by row", "whole batch"])
def refused(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Refused]:
    with demo_world(tmp_path_factory.mktemp("refused")) as world:
        world.order("hubspot", "refuse_rows", share=0.05, seed=3, whole_batch=request.param)
        world.order("mailchimp", "refuse_rows", share=0.05, seed=3)
        first = world.run()
        listed, told = rejected_rows(world), journal_texts(world) + str(first.as_json()) + str(first.errors)
        world.behave()
        world.count_anew()
        second = world.run()
        seen = world.requests_seen()
        a_while_later(world)
        yield Refused(world, first, listed, told, second, seen, world.run())


def test_refused_rows_do_not_hold_up_the_others(refused: Refused, calm: dict[str, object]) -> None:
    everyone = calm["list"]
    assert isinstance(everyone, list)
    assert refused.hubspot.rejected >= 1
    assert refused.hubspot.accepted == len(everyone) - refused.hubspot.rejected
    assert refused.hubspot.status == "partial"
    assert not refused.first.ok


def test_refused_rows_are_listed_with_reasons(refused: Refused) -> None:
    assert len(refused.listed) == sum(sync.rejected for sync in refused.first.activated)
    for row in refused.listed:
        assert row["status"] == "rejected"
        assert row["code"]
        assert row["reason"]
        assert row["fault"] == "data"
        assert row["attempts"] == 1


def test_nobody_can_be_read_in_the_journal_and_the_reports(refused: Refused) -> None:
    told = refused.told.lower()
    for person in refused.world.truth():
        for value in (*person["emails"], *person["phones"]):
            assert value.lower() not in told, f"{person['person_id']} can be read"


def test_no_plan_is_left_behind(refused: Refused) -> None:
    assert list((refused.world.folder / ".millstream" / "plans").glob("*")) == []


def test_refused_rows_are_left_alone_until_their_time(refused: Refused) -> None:
    planned = next(sync.planned for sync in refused.second.activated if sync.sync == CUSTOMERS)
    assert planned is not None
    assert (planned.waiting, planned.operations) == (refused.hubspot.rejected, 0)
    assert "mailchimp" not in refused.second_requests


def test_refused_rows_are_made_good_when_their_time_has_come(refused: Refused, calm: dict[str, object]) -> None:
    assert refused.third.ok
    assert differences(outcome(refused.world), calm) == []
    assert rejected_rows(refused.world) == []


# Vendors that are down


def test_a_vendor_that_is_down_does_not_stop_the_others(
    world: World, calm: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("millstream.state.http.session.Retries", HASTY)
    world.order("mailchimp", "server_error", status=503)
    world.order("surveymonkey", "server_error", status=503)
    report = world.run()
    assert not report.ok
    assert {one.source: one.ok for one in report.ingested} == {"hubspot": True, "ga4": True, "surveymonkey": False}
    activated = {one.sync: one.ok for one in report.activated}
    assert activated == {CUSTOMERS: True, "promoters_to_mailchimp": True, "cart_abandoners_to_mailchimp": False}
    assert all("surveymonkey" in str(e) or "mailchimp" in str(e) for e in report.errors)
    world.behave()
    world.run_well()
    assert differences(outcome(world), calm) == []


def test_a_mistake_in_a_connector_stops_its_sync_alone(
    world: World, calm: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def mistaken(*_: object, **__: object) -> list[Outcome]:
        raise KeyError("ana@box.example")

    with monkeypatch.context() as patch:
        patch.setattr("millstream.destinations.mailchimp.destination.Mailchimp.upsert", mistaken)
        report = world.run()
    activated = {one.sync: one.ok for one in report.activated}
    assert activated == {CUSTOMERS: True, "promoters_to_mailchimp": False, "cart_abandoners_to_mailchimp": False}
    told = [str(error) for error in report.errors]
    assert len(told) == 2
    assert all(f"Unexpected KeyError in {__name__}, line " in error and "ana@" not in error for error in told)
    world.run_well()
    assert differences(outcome(world), calm) == []


def HASTY() -> object:  # noqa: N802 - stands for a class
    """Retries that give up at once."""
    from millstream.state.http import Retries

    return Retries(attempts=2, first_wait=0.01)


# What the journal says


def rejected_rows(world: World) -> list[dict[str, object]]:
    """The journal's list of rows that a vendor refused, without those whom it may not write to."""
    workspace = world.open()
    try:
        return [row for row in workspace.journal.rejected_rows() if row["code"] not in NOT_ADDRESSABLE]
    finally:
        workspace.journal.close()


def a_while_later(world: World) -> None:
    """Let the next try of every refused row be due."""
    due = (datetime.now(UTC) - timedelta(minutes=1)).replace(tzinfo=None).isoformat(" ")
    with closing(sqlite3.connect(journal_file(world))) as journal, journal:
        journal.execute("UPDATE rejected SET next_try_at = ? WHERE next_try_at IS NOT NULL", [due])


def journal_file(world: World) -> Path:
    """The journal's SQLite file."""
    return world.folder / ".millstream" / "journal.sqlite"


def journal_texts(world: World) -> str:
    """Everything the journal holds, packed columns unpacked."""
    texts = []
    with closing(sqlite3.connect(journal_file(world))) as journal:
        for (table,) in journal.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for row in journal.execute(f'SELECT * FROM "{table}"'):
                texts += [zlib.decompress(v).decode() if isinstance(v, bytes) else str(v) for v in row]
    return "\n".join(texts)
