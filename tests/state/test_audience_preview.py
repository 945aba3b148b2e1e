"""What selecting would do, told before it is done: what the rules change, and what the data does."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from millstream.state.audiences import Audience
from millstream.state.audiences.failing import Failing, without_failing
from millstream.state.audiences.moves import Mover, Moves
from millstream.state.audiences.preview import AudiencePreview, preview_audiences
from millstream.state.audiences.select import select_audiences
from millstream.state.errors import ConfigurationError
from tests.state.audience_world import AS_OF, AudienceWorld

if TYPE_CHECKING:
    from tests.state.conftest import Customers

LATER = AS_OF + timedelta(days=1)


def visits(**comparison: object) -> Audience:
    return Audience.model_validate({"rule": {"trait": "visits", **comparison}})


def rule(rule: object) -> Audience:
    return Audience.model_validate({"rule": rule})


@pytest.fixture
def world(customers: Customers) -> AudienceWorld:
    """Nine people with one to nine visits."""
    made = AudienceWorld(customers.connection)
    made.have_traits(visits="DOUBLE")
    for number in range(1, 10):
        made.person(f"p_{number}", visits=number)
    return made


def select(world: AudienceWorld, **audiences: Audience) -> None:
    select_audiences(world.connection, audiences, run_id="last", as_of=AS_OF)


def preview(
    world: AudienceWorld, sample: int = 0, only: list[str] | None = None, /, **audiences: Audience
) -> dict[str, AudiencePreview]:
    """On a connection whose work is taken back; SQL may take 0.3 seconds."""

    def work(failing: Failing) -> list[AudiencePreview]:
        world.connection.execute("BEGIN TRANSACTION")
        try:
            return preview_audiences(
                world.connection, audiences, run_id="tried", as_of=LATER, only=only, sample=sample, sql_seconds=0.3,
                failing=failing,
            )  # fmt: skip
        finally:
            world.connection.execute("ROLLBACK")

    return {one.audience: one for one in without_failing(work)}


def test_what_the_rule_changes_is_told_apart_from_what_the_data_does(world: AudienceWorld) -> None:
    select(world, many=visits(at_least=5))
    # By the data: p_1 comes, p_9 goes. By the rule: p_4 comes, p_8 goes; p_7, whom the data takes out, the rule keeps.
    for number, now in ((1, 6), (9, 0), (7, 4.5), (8, 20)):
        world.connection.execute("UPDATE customers.profiles SET visits = ? WHERE profile_id = ?", [now, f"p_{number}"])
    found = preview(world, 5, many=visits(at_least=4, less_than=20))["many"]

    assert (found.change, found.before, found.after, found.entered, found.left) == ("changed", 5, 5, 2, 2)
    assert found.by_data == Moves(entered=1, left=2)
    assert found.by_rules == Moves(entered=2, left=1)
    assert found.movers == (
        Mover("p_1", enters=True, by="data"),
        Mover("p_4", enters=True, by="rules"),
        Mover("p_8", enters=False, by="rules"),
        Mover("p_9", enters=False, by="data"),
    )


def test_an_audience_that_builds_on_a_changed_one_says_so(world: AudienceWorld) -> None:
    all_of = {
        "most": rule({"audience": "many"}),
        "top": rule({"all": [{"audience": "most"}]}),
        "few": visits(at_most=2),
    }
    select(world, many=visits(at_least=5), **all_of)
    found = preview(world, many=visits(at_least=7), **all_of)

    assert {name: (one.change, one.because_of, one.by_rules) for name, one in found.items()} == {
        "many": ("changed", (), Moves(0, 2)),
        "most": ("builds on", ("many",), Moves(0, 2)),
        "top": ("builds on", ("many",), Moves(0, 2)),
        "few": ("unchanged", (), Moves()),
    }


def test_a_rule_that_gave_nobody_before_lets_people_in_by_the_rule(world: AudienceWorld) -> None:
    select(world, many=visits(more_than=100))
    found = preview(world, many=visits(more_than=8))["many"]
    assert (found.by_rules, found.by_data) == (Moves(1, 0), Moves())


def test_new_and_removed_audiences_change_by_the_rules(world: AudienceWorld) -> None:
    select(world, old=visits(at_least=8))
    found = preview(world, 1, new=visits(at_least=9))

    assert (found["new"].change, found["new"].by_rules, found["new"].by_data) == ("new", Moves(1, 0), Moves())
    assert found["new"].movers == (Mover("p_9", enters=True, by="rules"),)
    assert (found["old"].change, found["old"].by_rules, found["old"].after) == ("removed", Moves(0, 2), 0)


def test_an_old_rule_that_no_longer_works_is_said(world: AudienceWorld) -> None:
    all_of = {"most": rule({"audience": "many"}), "few": visits(at_most=2)}
    select(world, many=rule({"trait": "email", "is_set": False}), **all_of)
    world.connection.execute(
        "UPDATE customers.audience_rules SET definition = replace(definition, 'email', 'gone') WHERE audience = 'many'"
    )
    found = preview(world, 1, many=visits(at_least=8), **all_of)

    assert found["many"].problem.startswith("its rule of the last run no longer works: ")
    assert found["many"].movers == (Mover("p_1", enters=False, by="unknown"),)
    assert (found["many"].left, found["many"].by_rules, found["many"].by_data) == (7, None, None)


ENDLESS = "(WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 2000000000) SELECT max(n) FROM c)"


@pytest.mark.parametrize(
    ("former", "why"),
    [(f"{ENDLESS} > 1", "The SQL was stopped after 0.3 seconds"), ("gone = 1", "The SQL fails: ")],
    ids=["slow", "column gone"],
)
def test_sql_of_the_last_run_that_no_longer_works_is_said_of_that_audience(
    world: AudienceWorld, former: str, why: str
) -> None:
    many = Audience(sql="SELECT profile_id FROM customers.people WHERE 'works' <> ''")
    select(world, many=many, few=visits(at_most=1), most=rule({"audience": "many"}))
    world.connection.execute(
        "UPDATE customers.audience_rules SET definition = replace(definition, ?, ?)", ["'works' <> ''", former]
    )
    found = preview(world, many=visits(at_least=8), few=visits(at_most=2), most=rule({"audience": "many"}))

    assert found["many"].problem.startswith(f"its rule of the last run no longer works: {why}")
    assert (found["many"].before, found["many"].after, found["many"].by_rules) == (9, 2, None)
    assert (found["few"].problem, found["few"].by_rules, found["few"].by_data) == ("", Moves(1, 0), Moves())
    assert found["most"].problem


def test_sql_of_today_that_does_not_work_leaves_its_audience_still_and_tells_of_the_others(
    world: AudienceWorld,
) -> None:
    select(world, many=visits(at_least=8), few=visits(at_most=1))
    broken = Audience(sql="SELECT profile_id FROM customers.people WHERE gone = 1")
    found = preview(world, many=broken, few=visits(at_most=2))
    assert found["many"].problem.startswith("stands still: The SQL fails: ")
    assert (found["many"].before, found["many"].after) == (2, 2)
    assert found["few"].by_rules == Moves(1, 0)


def test_members_of_before_rules_were_kept_are_compared_with_by_fingerprint(world: AudienceWorld) -> None:
    select(world, same=visits(at_least=5), other=visits(at_least=5))
    world.connection.execute("DELETE FROM customers.audience_rules")
    found = preview(world, same=visits(at_least=5), other=visits(at_least=6))

    assert (found["same"].change, found["same"].problem) == ("unchanged", "")
    assert (found["other"].change, found["other"].problem) == ("changed", "its rule of the last run is not known")


def test_only_what_is_asked_for_is_computed(world: AudienceWorld) -> None:
    select(world, many=visits(at_least=5), most=rule({"audience": "many"}), gone=visits(at_least=1))
    found = preview(world, 0, ["most"], many=visits(at_least=1), most=rule({"audience": "many"}))
    assert {name: (one.change, one.before, one.after) for name, one in found.items()} == {"most": ("unchanged", 5, 5)}


def test_nothing_of_it_is_kept_and_a_wrong_rule_is_one_error(world: AudienceWorld) -> None:
    tables = ("memberships", "audience_sizes", "audience_rules")

    def kept() -> list[object]:
        return [sorted(world.connection.execute(f"SELECT * FROM customers.{name}").fetchall()) for name in tables]

    select(world, many=visits(at_least=5))
    before = kept()
    preview(world, 3, many=visits(at_least=2), new=visits(at_least=2))
    assert kept() == before
    with pytest.raises(ConfigurationError, match=r"audiences\.many"):
        preview(world, many=rule({"trait": "vists", "at_least": 2}))


@pytest.mark.parametrize("seed", range(4))
def test_it_agrees_with_sets_in_python(world: AudienceWorld, seed: int) -> None:
    """Three memberships, each worked out by itself: of the last run, by its rules now, by the rules of today."""
    chance = random.Random(seed)
    people = {f"p_{number}": float(number) for number in range(1, 10)}
    old, new = chance.randint(0, 9), chance.randint(0, 9)

    def members(limit: int) -> dict[str, set[str]]:
        many = {name for name, value in people.items() if value >= limit}
        return {"many": many, "rest": people.keys() - many}

    def audiences(limit: int) -> dict[str, Audience]:
        return {"many": visits(at_least=limit), "rest": rule({"not_audience": "many"})}

    select(world, **audiences(old))
    last = members(old)
    moved = {name: float(chance.randint(0, 9)) for name in people if chance.random() < 0.5}
    people |= moved
    for name, value in moved.items():
        world.connection.execute("UPDATE customers.profiles SET visits = ? WHERE profile_id = ?", [value, name])
    found, then, now = preview(world, 99, **audiences(new)), members(old), members(new)
    for name, one in found.items():
        assert (one.before, one.after) == (len(last[name]), len(now[name]))
        assert (one.entered, one.left) == (len(now[name] - last[name]), len(last[name] - now[name]))
        assert one.by_data == Moves(len(then[name] - last[name]), len(last[name] - then[name]))
        assert one.by_rules == Moves(len(now[name] - then[name]), len(then[name] - now[name]))
        assert {mover.profile_id for mover in one.movers} == now[name] ^ last[name]
        assert {mover.profile_id for mover in one.movers if mover.by == "data"} == {
            who for who in now[name] ^ last[name] if (who in then[name]) == (who in now[name])
        }
