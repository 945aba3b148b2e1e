"""The demo project with both of its databases in PostgreSQL: the same people as anywhere, and nothing twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from millstream.flows import steps
from millstream.flows.looking.person import explain
from millstream.flows.looking.status import status
from tests.end_to_end.identity import agreement
from tests.end_to_end.world import TAGS, World, check_destinations, demo_world, expected, listed, statuses, tagged
from tests.postgres import Server

STORE = "store: duckdb:///.millstream/store.duckdb"
JOURNAL = "journal: sqlite:///.millstream/journal.sqlite"
KEPT = {
    "members": "SELECT record_id, profile_id FROM customers.members ORDER BY record_id",
    "stays": "SELECT audience, profile_id, entered_at FROM customers.memberships ORDER BY audience, profile_id",
    "events": "SELECT event_id, record_id, name FROM customers.events ORDER BY event_id, record_id",
    "acknowledged": "SELECT sync, match_value, payload_hash FROM delivery.acknowledged ORDER BY sync, match_value",
}


@dataclass
class Ran:
    """The world, and what its first run did."""

    world: World
    report: steps.PipelineReport


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, postgres_server: Server) -> Iterator[Ran]:
    with postgres_server.database() as url:
        changes = {STORE: f"store: {url}", JOURNAL: f"journal: {url}"}
        with demo_world(tmp_path_factory.mktemp("postgres"), changes=changes) as world:
            wanted = expected(world)
            report = world.run_well()
            check_destinations(world, wanted)
            yield Ran(world, report)


def test_no_file_is_made_in_their_place(ran: Ran) -> None:
    assert [path.name for path in ran.world.folder.rglob("*.duckdb*")] == []
    assert [path.name for path in ran.world.folder.rglob("*.sqlite*")] == []


def test_profiles_are_the_people(ran: Ran) -> None:
    assert agreement(ran.world, ran.world.truth()) == (1.0, 1.0)


def test_destinations_hold_what_they_hold_from_duckdb(ran: Ran, calm: dict[str, object]) -> None:
    for tag in TAGS.values():
        assert {email: member["merge_fields"] for email, member in tagged(ran.world, tag).items()} == calm[tag]
    assert statuses(ran.world) == calm["standings"]
    assert sorted(listed(ran.world)) == calm["list"]
    assert ran.world.sql(KEPT["events"]) == calm["events"]


def test_status_and_explain_read_it(ran: Ran) -> None:
    workspace = ran.world.open()
    try:
        told = status(workspace)
        assert told.profiles == ran.report.resolved.profiles
        assert {stream.source for stream in told.streams} == {"hubspot", "ga4", "surveymonkey"}
        email = next(iter(tagged(ran.world, "Promoters")))
        (person,) = explain(workspace, email).people
        promoters = next(one for one in person.audiences if one.audience == "promoters")
        assert promoters.member
        assert promoters.rule.holds
        assert next(story for story in person.syncs if story.sync == "promoters_to_mailchimp").acknowledged
    finally:
        workspace.journal.close()


def test_later_runs_follow_what_changed_and_only_that(ran: Ran) -> None:
    world = ran.world
    told = world.control("POST", "/advance", {"share": 0.02, "seed": 122}).json()
    assert told["contacts"]
    wanted = expected(world)
    world.run_well()
    check_destinations(world, wanted)
    assert agreement(world, world.truth()) == (1.0, 1.0)
    before = {name: world.sql(query) for name, query in KEPT.items()}
    report = world.run_well()
    assert {name: world.sql(query) for name, query in KEPT.items()} == before
    assert {sync.sync: sync.requests for sync in report.activated} == dict.fromkeys((*TAGS, "customers_to_hubspot"), 0)
