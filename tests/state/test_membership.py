"""Membership over time: what each run writes, what is gone from the project, how audiences overlap."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from millstream.state.audiences import Audience
from millstream.state.audiences.history import sizes_over_time
from millstream.state.audiences.kept_rules import rules_in_force
from millstream.state.audiences.overlap import Overlap, overlap
from millstream.state.audiences.select import AudienceReport, select_audiences
from millstream.state.errors import ConfigurationError
from tests.state.audience_world import AS_OF, AudienceWorld

if TYPE_CHECKING:
    from millstream.state.store import Connection, Cursor
    from tests.state.conftest import Customers


def at_least(number: int) -> Audience:
    return Audience.model_validate({"rule": {"trait": "visits", "at_least": number}})


def in_all(*audiences: str) -> Audience:
    return Audience.model_validate({"rule": {"all": [{"audience": name} for name in audiences]}})


@pytest.fixture
def world(customers: Customers) -> AudienceWorld:
    """Five people with one to five visits."""
    made = AudienceWorld(customers.connection)
    made.have_traits(visits="DOUBLE")
    for visits in range(1, 6):
        made.person(f"p_{visits}", visits=visits)
    return made


def select(
    world: AudienceWorld, run: int, only: list[str] | None = None, /, **audiences: Audience
) -> dict[str, AudienceReport]:
    as_of = AS_OF + timedelta(days=run)
    reports = select_audiences(world.connection, audiences, run_id=f"run-{run}", as_of=as_of, only=only)
    return {report.name: report for report in reports}


def stays(world: AudienceWorld, audience: str) -> list[tuple[object, ...]]:
    return world.connection.execute(
        "SELECT profile_id, entered_run, left_run, reason FROM customers.memberships WHERE audience = ? "
        "ORDER BY profile_id, entered_run",
        [audience],
    ).fetchall()


def rules(world: AudienceWorld, audience: str) -> list[tuple[object, ...]]:
    return world.connection.execute(
        "SELECT first_run, rule_fingerprint, definition IS NOT NULL FROM customers.audience_rules WHERE audience = ? "
        "ORDER BY first_as_of",
        [audience],
    ).fetchall()


def test_each_run_keeps_the_size_of_every_audience(world: AudienceWorld) -> None:
    select(world, 1, many=at_least(3), most=at_least(5))
    world.connection.execute("UPDATE customers.profiles SET visits = 0 WHERE profile_id = 'p_3'")
    world.connection.execute("UPDATE customers.profiles SET visits = 9 WHERE profile_id IN ('p_1', 'p_2')")
    select(world, 2, many=at_least(3), most=at_least(5))

    sizes = sizes_over_time(world.connection)
    assert [(one.run_id, one.size, one.entered, one.left) for one in sizes["many"]] == [
        ("run-1", 3, 3, 0), ("run-2", 4, 2, 1),
    ]  # fmt: skip
    assert [one.as_of for one in sizes["most"]] == [AS_OF + timedelta(days=1), AS_OF + timedelta(days=2)]
    assert sizes_over_time(world.connection, ["most", "other"], runs=1) == {"most": sizes["most"][1:], "other": ()}


def test_sizes_of_a_store_without_any_run_are_none(customers: Customers) -> None:
    assert sizes_over_time(customers.connection, ["many"]) == {"many": ()}
    assert overlap(customers.connection, ["many", "most"]).pair("many", "most") == Overlap("many", "most", 0, 0.0)


def test_a_rule_is_kept_from_the_run_on_in_which_it_first_held(world: AudienceWorld) -> None:
    for run, number in enumerate((3, 3, 4, 3), start=1):
        select(world, run, many=at_least(number))
    three, four = at_least(3).fingerprint(), at_least(4).fingerprint()
    assert rules(world, "many") == [("run-1", three, True), ("run-3", four, True), ("run-4", three, True)]
    assert rules_in_force(world.connection)["many"].audience == at_least(3)


def test_stays_in_an_audience_that_the_project_no_longer_has_end(world: AudienceWorld) -> None:
    select(world, 1, many=at_least(4), most=at_least(5))
    world.connection.execute("INSERT INTO customers.profile_aliases VALUES ('p_4', 'p_5', 'run-2', now())")
    found = select(world, 2, most=at_least(5))

    assert found["many"] == AudienceReport("many", 0, entered=0, left=2, removed=True)
    assert list(found) == ["most", "many"]
    assert [row[2:] for row in stays(world, "many")] == [("run-2", "audience removed")] * 2
    assert stays(world, "most") == [("p_5", "run-1", None, "meets the rule")]
    assert rules(world, "many")[-1] == ("run-2", "", False)
    assert "many" not in rules_in_force(world.connection)
    assert sizes_over_time(world.connection)["many"][-1].size == 0
    # It is said once.
    assert list(select(world, 3, most=at_least(5))) == ["most"]
    assert select(world, 4, many=at_least(4), most=at_least(5))["many"].entered == 2


def test_an_empty_audience_that_is_gone_is_said_once_too(world: AudienceWorld) -> None:
    select(world, 1, nobody=at_least(99))
    assert select(world, 2) == {"nobody": AudienceReport("nobody", 0, entered=0, left=0, removed=True)}
    assert select(world, 3) == {}


def test_a_run_of_some_audiences_leaves_the_others_alone(world: AudienceWorld) -> None:
    select(world, 1, many=at_least(4), gone=at_least(1))
    found = select(world, 2, ["both"], many=at_least(1), both=in_all("many"))

    assert list(found) == ["both"]
    assert found["both"].size == 2, "those of the last run"
    assert {row[2] for row in stays(world, "gone") + stays(world, "many")} == {None}
    assert [row[0] for row in rules(world, "many")] == ["run-1"]


def test_merges_are_told_apart_by_audience(world: AudienceWorld) -> None:
    audiences = {"many": at_least(3), "most": at_least(5)}
    select(world, 1, **audiences)
    world.connection.execute("DELETE FROM customers.profiles WHERE profile_id IN ('p_4', 'p_5')")
    world.connection.execute("UPDATE customers.profiles SET visits = 6 WHERE profile_id = 'p_3'")
    for gone in ("p_4", "p_5"):
        world.connection.execute("INSERT INTO customers.profile_aliases VALUES (?, 'p_3', 'run-2', now())", [gone])
    found = select(world, 2, **audiences)

    assert found["many"] == AudienceReport("many", 1, entered=0, left=0, merged=2)
    assert found["most"] == AudienceReport("most", 1, entered=0, left=0, merged=1, carried=1)
    assert [row[3] for row in stays(world, "most")] == ["merged from p_5", "merged into p_3"]
    assert [found[name].before for name in audiences] == [3, 1]


def test_who_was_merged_stays_in_by_the_survivor_where_only_what_builds_on_it_is_computed(world: AudienceWorld) -> None:
    audiences = {"base": at_least(5), "top": in_all("base")}
    select(world, 1, **audiences)
    world.connection.execute("DELETE FROM customers.profiles WHERE profile_id = 'p_5'")
    world.connection.execute("INSERT INTO customers.profile_aliases VALUES ('p_5', 'p_3', 'run-2', now())")
    found = select(world, 2, ["top"], **audiences)
    assert found["top"] == AudienceReport("top", 1, entered=0, left=0, merged=1, carried=1)


class Counting:
    """A connection that counts what it is asked to do."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.statements = 0
        self.engine = getattr(connection, "engine", "duckdb")

    def execute(self, query: str, parameters: object = None, /) -> Cursor:
        self.statements += 1
        return self._connection.execute(query, parameters)

    def __getattr__(self, name: str) -> object:
        return getattr(self._connection, name)


def test_many_audiences_take_no_more_statements_than_one(world: AudienceWorld) -> None:
    counts = []
    for number, count in enumerate((1, 40, 40)):
        counting = Counting(world.connection)
        audiences = {f"from_{visits}": at_least(visits) for visits in range(count)}
        select_audiences(counting, audiences, run_id=f"run-{number}", as_of=AS_OF)  # type: ignore[arg-type]
        counts.append(counting.statements)
    assert len(set(counts)) == 1, counts


def test_nothing_is_written_where_one_rule_is_wrong(world: AudienceWorld) -> None:
    wrong = Audience.model_validate({"rule": {"trait": "vists", "at_least": 1}})
    with pytest.raises(ConfigurationError, match=r"audiences\.wrong"):
        select(world, 1, many=at_least(3), wrong=wrong)
    assert stays(world, "many") == []
    assert sizes_over_time(world.connection) == {}


def test_the_overlap_of_every_pair_is_counted(world: AudienceWorld) -> None:
    chance = random.Random(5)
    members = {
        f"audience {number}": {f"p_{person}" for person in range(300) if chance.random() < number / 130}
        for number in range(70)
    }
    world.keep(members)
    world.keep({"left out": {"p_1"}})
    world.connection.execute("UPDATE customers.memberships SET left_at = now() WHERE profile_id = 'p_7'")
    found = overlap(world.connection, list(members))

    assert found.audiences == tuple(members)
    still = {name: ids - {"p_7"} for name, ids in members.items()}
    assert found.both == tuple(tuple(len(one & other) for other in still.values()) for one in still.values())
    assert found.pair("audience 0", "audience 1").share == 0.0, "of nobody there is no share"
    largest = found.pairs()[0]
    smaller = min(len(still[largest.first]), len(still[largest.second]))
    assert largest.share == largest.both / smaller == max(one.share for one in found.pairs())
