"""Who was addressed against who was held out, and variants: counted in the store as person by person."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import md5

import numpy as np
import pytest
from pydantic import ValidationError

from millstream.state.audiences.nodes import EventFilter
from millstream.state.measurement.comparing import Lift
from millstream.state.measurement.experiments import salt_name, variant_of, variant_sql, variant_trait, variant_traits
from millstream.state.measurement.lift import ADDRESSED, HELD_OUT, Comparison
from millstream.state.measurement.rules import Experiment, LiftRules, MeasurementRules
from millstream.state.measurement.statistics import Sample, mean_difference, share_difference
from tests.engines import Engine
from tests.state.measured_world import AS_OF, Event, World

SHARE, SALT = 0.2, "0123456789abcdef"
BEGAN = AS_OF - timedelta(days=60)
PEOPLE = [f"p{number:04}" for number in range(1_500)]


def is_held_out(profile_id: str) -> bool:
    return int(md5(f"{SALT}{profile_id}".encode(), usedforsecurity=False).hexdigest()[:8], 16) < SHARE * 2**32


HELD = f"substr(md5('{SALT}' || person.profile_id), 1, 8) < '{int(SHARE * 2**32):08x}'"
LETTERS = Comparison(
    name="letters",
    kind="holdout",
    audience="readers",
    groups={HELD_OUT: SHARE, ADDRESSED: 1 - SHARE},
    group_sql=f"CASE WHEN {HELD} THEN '{HELD_OUT}' ELSE '{ADDRESSED}' END",
    goal=None,
    goal_name="Order Completed",
    within="14d",
    sync="letters",
)


@pytest.fixture
def world(engine: Engine) -> Iterator[World]:
    made = World(engine.connection())
    made.people(dict.fromkeys(PEOPLE, AS_OF - timedelta(days=200)))
    yield made
    made.connection.close()


def sent(world: World, sync: str = "letters", *, at: datetime = BEGAN, status: str = "completed") -> None:
    """A run of a sync."""
    world.connection.execute(
        "INSERT INTO delivery.runs SELECT 'run', ?, 'mailer', 'mirror', 'plan', CAST(? AS TIMESTAMPTZ), "
        "CAST(? AS TIMESTAMPTZ), ?, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL",
        [sync, at, at, status],
    )


def outcome(world: World, who: str, operation: str, reason: str | None, at: datetime) -> None:
    """What became of a row."""
    world.connection.execute(
        "INSERT INTO delivery.outcomes (sync, plan_id, operation, match_value, profile_id, status, reason, settled_at) "
        "VALUES ('letters', 'plan', ?, ?, ?, 'accepted', ?, ?)",
        [operation, f"{who}@web.example", who, reason, at],
    )


def lifts(world: World, comparison: Comparison = LETTERS, as_of: datetime = AS_OF) -> list[Lift]:
    found = world.measure(comparison, as_of=as_of).lifts
    stored = world.rows("SELECT variant, treated, control, difference, sentence FROM customers.lifts ORDER BY variant")
    assert stored == sorted((one.variant, one.treated, one.control, one.difference, one.sentence) for one in found)
    return list(found)


def campaign(world: World) -> tuple[dict[str, datetime], list[Event]]:
    """Readers who entered at times around the campaign's, and what they bought; the addressed buy more."""
    draw = random.Random(2)
    entered = {who: AS_OF - timedelta(days=draw.uniform(1, 120)) for who in PEOPLE[:1_400]}
    bought = []
    for who in PEOPLE:
        for _ in range(draw.choices((0, 1, 2), (80, 15, 5) if is_held_out(who) else (50, 35, 15))[0]):
            at = max(entered.get(who, BEGAN), BEGAN) + timedelta(days=draw.uniform(-10, 25))
            bought.append(Event(who, "Order Completed", at, value=round(draw.uniform(1, 90), 2)))
    world.enter("readers", entered)
    world.events([one for one in bought if one.at <= AS_OF])
    return entered, [one for one in bought if one.at <= AS_OF]


def counted(
    entered: dict[str, datetime], bought: list[Event], *, within: float = 14.0
) -> dict[bool, tuple[int, int, list[float]]]:
    """People of each group whose time is over, how many bought in it, and for how much."""
    span, groups = timedelta(days=within), {}
    starts = {who: max(at, BEGAN) for who, at in entered.items() if max(at, BEGAN) + span <= AS_OF}
    for held in (True, False):
        mine = [who for who in starts if is_held_out(who) is held]
        worth = {
            who: [one.value for one in bought if one.who == who and starts[who] < one.at <= starts[who] + span]
            for who in mine
        }
        values = [sum(value or 0 for value in worth[who]) for who in mine]
        groups[held] = (len(mine), sum(bool(worth[who]) for who in mine), values)
    return groups


def sample(values: list[float]) -> Sample:
    return Sample(len(values), float(np.mean(values)), float(np.var(values, ddof=1)))


def test_the_addressed_are_compared_with_those_held_out(world: World) -> None:
    sent(world)
    groups = counted(*campaign(world))
    [lift] = lifts(world)
    control, control_converted, control_values = groups[True]
    treated, treated_converted, treated_values = groups[False]
    assert (lift.control, lift.control_converted) == (control, control_converted)
    assert (lift.treated, lift.treated_converted) == (treated, treated_converted)
    interval = share_difference((treated_converted, treated), (control_converted, control))
    assert (lift.difference, lift.low, lift.high, lift.p_value) == pytest.approx(
        (interval.difference, interval.low, interval.high, interval.p_value)
    )
    worth = mean_difference(sample(treated_values), sample(control_values))
    assert worth is not None
    assert (lift.value_difference, lift.value_low, lift.value_high) == pytest.approx(
        (worth.difference, worth.low, worth.high)
    )
    assert (lift.name, lift.variant, lift.goal, lift.window_days) == ("letters", "addressed", "Order Completed", 14.0)
    assert lift.planned_share == pytest.approx(SHARE)
    assert lift.sample_ratio_ok
    assert lift.sentence.startswith("More reached the goal")


def test_other_goals_and_times_count_where_they_are_named(world: World) -> None:
    sent(world)
    entered, bought = campaign(world)
    dear = [replace(one, name="Deal Won") for one in bought if (one.value or 0) > 50]
    world.events(dear)
    goal = EventFilter(event="Deal Won")
    [lift] = lifts(world, replace(LETTERS, goal=goal, goal_name="Deal Won", within="2w"))
    assert lift.treated_converted == counted(entered, dear)[False][1]
    [soon] = lifts(world, replace(LETTERS, goal=goal, goal_name="Deal Won", within="36h"))
    assert soon.treated_converted == counted(entered, dear, within=1.5)[False][1]
    assert soon.window_days == 1.5


def test_a_sync_that_never_sent_is_not_judged(world: World) -> None:
    campaign(world)
    assert lifts(world) == []
    sent(world, status="stopped")
    sent(world, "other")
    assert lifts(world) == []


def test_only_people_whose_time_is_over_and_began_lately_count(world: World) -> None:
    sent(world, at=AS_OF - timedelta(days=100))
    world.enter("readers", {PEOPLE[0]: AS_OF - timedelta(days=13), PEOPLE[1]: AS_OF - timedelta(days=15)})
    world.enter("readers", {PEOPLE[2]: AS_OF - timedelta(days=50), PEOPLE[3]: AS_OF - timedelta(days=170)})
    world.rules = MeasurementRules(lift=LiftRules(days=40))
    [lift] = lifts(world)
    assert lift.treated + lift.control == 1
    world.rules = MeasurementRules(lift=LiftRules(days=99))
    [lift] = lifts(world)
    assert lift.treated + lift.control == 2  # whose time began with the campaign was too long ago
    world.rules = MeasurementRules(lift=LiftRules(days=101))
    [lift] = lifts(world)
    assert lift.treated + lift.control == 3


def test_who_left_before_the_campaign_takes_no_part_and_who_entered_twice_takes_part_once(world: World) -> None:
    sent(world)
    for who, entered, left in (
        (PEOPLE[0], BEGAN - timedelta(days=9), BEGAN - timedelta(days=1)),
        (PEOPLE[1], BEGAN - timedelta(days=9), BEGAN + timedelta(days=1)),
        (PEOPLE[1], BEGAN + timedelta(days=20), None),
        ("merged away", BEGAN + timedelta(days=2), BEGAN + timedelta(days=3)),
    ):
        world.enter("readers", {who: entered})
        if left:
            world.connection.execute(
                "UPDATE customers.memberships SET left_at = ? WHERE profile_id = ? AND entered_at = ?",
                [left, who, entered],
            )
    # Their time began with the campaign, not with the second stay.
    world.events([Event(PEOPLE[1], "Order Completed", BEGAN + timedelta(days=21))])
    [lift] = lifts(world)
    assert (lift.treated + lift.control, lift.treated_converted + lift.control_converted) == (1, 0)


def test_people_who_could_not_be_addressed_from_the_start_are_in_neither_group(world: World) -> None:
    sent(world)
    entered, _ = campaign(world)
    over = [who for who, at in entered.items() if max(at, BEGAN) + timedelta(days=14) <= AS_OF]
    held = [who for who in over if is_held_out(who)]
    free = [who for who in over if not is_held_out(who)]
    later = BEGAN + timedelta(days=30)
    outcome(world, free[0], "hold", "consent: no consent record", BEGAN)
    outcome(world, free[1], "hold", "suppression list: asked", BEGAN)
    outcome(world, held[0], "hold", "consent: denied", BEGAN)
    outcome(world, held[0], "hold", "holdout: global", later)
    outcome(world, held[1], "hold", "holdout: global", BEGAN)
    outcome(world, free[2], "add", None, BEGAN)  # and who unsubscribed after being addressed stays in
    outcome(world, free[2], "hold", "consent: denied", later)
    outcome(world, free[3], "hold", "priority: buyers", BEGAN)
    outcome(world, free[4], "hold", "consent: denied", BEGAN - timedelta(days=30))  # before the campaign
    [lift] = lifts(world)
    assert (lift.control, lift.treated) == (len(held) - 1, len(free) - 2)


def test_groups_that_something_else_than_chance_made_are_noticed(world: World) -> None:
    sent(world)
    world.enter("readers", {who: BEGAN for who in PEOPLE if not is_held_out(who) or who.endswith(("1", "2", "3", "4"))})
    [lift] = lifts(world)
    assert lift.sample_ratio_p is not None
    assert lift.sample_ratio_p < 0.001
    assert not lift.sample_ratio_ok


# Experiments

VARIANTS = {"control": 50.0, "short": 30.0, "long": 20.0}


def test_variants_are_the_same_in_the_store_and_without_it(world: World) -> None:
    rows = world.rows(f"SELECT profile_id, {variant_sql('profile_id', VARIANTS, SALT)} FROM customers.profiles")
    assert dict(rows) == {who: variant_of(who, VARIANTS, SALT) for who in PEOPLE}


def test_where_a_variant_ends_the_next_begins(world: World) -> None:
    [(digits,)] = world.rows(f"SELECT substr(md5('{SALT}' || 'p0000'), 1, 8)")
    position = int(digits, 16)
    for first, variant in ((position, "b"), (position + 1, "a")):
        variants = {"a": float(first), "b": float(2**32 - first)}
        assert variant_of("p0000", variants, SALT) == variant
        sql = f"SELECT {variant_sql('profile_id', variants, SALT)} FROM customers.profiles WHERE profile_id = 'p0000'"
        assert world.rows(sql) == [(variant,)]


def test_variants_are_as_large_as_their_weights_say_and_independent_of_each_other() -> None:
    people = [f"p_{number}" for number in range(20_000)]
    counts = Counter(variant_of(who, VARIANTS, SALT) for who in people)
    assert counts["control"] / 20_000 == pytest.approx(0.5, abs=0.01)
    assert counts["short"] / 20_000 == pytest.approx(0.3, abs=0.01)
    both = Counter((variant_of(who, VARIANTS, SALT), variant_of(who, VARIANTS, "another salt")) for who in people)
    assert both["control", "control"] / counts["control"] == pytest.approx(0.5, abs=0.015)


def test_somebody_keeps_their_variant_for_ever() -> None:
    """These stand in vendors' systems: who changes the hash changes what people are sent."""
    named = [variant_of(f"p_{number}", VARIANTS, SALT) for number in range(8)]
    assert named == ["short", "long", "control", "short", "long", "control", "long", "control"]


def test_experiments_are_traits() -> None:
    experiments = {"subject_line": Experiment(audience="readers", variants={"control": 50, "short": 50})}
    asked = []

    def salt_of(name: str) -> str:
        asked.append(name)
        return SALT

    made = variant_traits(experiments, salt_of)
    assert made is not None
    assert asked == [salt_name("subject_line")] == ["experiment subject_line"]
    assert list(made.traits) == [variant_trait("subject_line")] == ["variant_subject_line"]
    assert made.traits["variant_subject_line"].allowed == ("control", "short")
    assert made.inputs == ("profiles",)
    assert variant_traits({}, salt_of) is None


def test_variants_are_compared_with_the_first(world: World) -> None:
    draw = random.Random(4)
    chance = {"control": 0.1, "short": 0.3, "long": 0.1}
    world.enter("readers", dict.fromkeys(PEOPLE, BEGAN))
    buyers = [who for who in PEOPLE if draw.random() < chance[variant_of(who, VARIANTS, SALT)]]
    world.events([Event(who, "Order Completed", BEGAN + timedelta(days=3), value=10.0) for who in buyers])
    comparison = Comparison(
        name="subject_line",
        kind="experiment",
        audience="readers",
        groups=VARIANTS,
        group_sql=variant_sql("person.profile_id", VARIANTS, SALT),
        goal=None,
        goal_name="Order Completed",
        within="14d",
    )
    found = {one.variant: one for one in lifts(world, comparison)}
    assert set(found) == {"short", "long"}
    people = Counter(variant_of(who, VARIANTS, SALT) for who in PEOPLE)
    converted = Counter(variant_of(who, VARIANTS, SALT) for who in buyers)
    for name, lift in found.items():
        assert (lift.treated, lift.treated_converted) == (people[name], converted[name])
        assert (lift.control, lift.control_converted) == (people["control"], converted["control"])
        assert lift.kind == "experiment"
    assert found["short"].sentence.startswith("More reached the goal")
    assert found["long"].sentence.startswith("No difference could be shown")
    early = replace(comparison, begins=BEGAN + timedelta(days=5))
    assert [one.treated_converted for one in lifts(world, early)] == [0, 0]
    assert [one.treated for one in lifts(world, replace(comparison, ends=BEGAN))] == [0, 0]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"variants": {"one": 1}}, "at least 2"),
        ({"variants": {"one": 1, "two": 0}}, "the weight of 'two' should be above 0"),
        ({"begins": "2026-05-02", "ends": "2026-05-01"}, "not after"),
    ],
)
def test_experiments_make_sense(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Experiment.model_validate({"audience": "a", "variants": {"a": 1, "b": 1}, **wrong})
