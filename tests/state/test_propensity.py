"""Propensity: how likely each person does an event that the project chose."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from millstream.state.traits.contract import Result
from millstream.state.traits.prediction.judging import calibration_error
from millstream.state.traits.rules import Propensity, TraitRules
from millstream.state.traits.shipped.propensity import TRAITS
from tests.engines import DuckDBEngine, Engine
from tests.state.prediction_world import Past, known

BOOKING = TraitRules(
    propensities={
        "booking": Propensity(event="Trip Booked", within_days=20),
        "complaint": Propensity(event="Complained", within_days=20),
    }
)


def computed(past: Past, rules: TraitRules = BOOKING, engine: Engine | None = None) -> Result:
    made = TRAITS(rules)
    assert made is not None
    assert made.compute is not None
    connection = (engine or DuckDBEngine()).connection()
    with known(connection, past, made.inputs, rules) as context:
        result = made.compute(context)
    connection.close()
    return result


@cache
def travellers(people: int = 700, seed: int = 1) -> Past:
    """Who reads guides in a season books in the next one, four times as often as who does not; bookings say nothing."""
    chance = np.random.default_rng(seed)
    past = Past()
    for number in range(people):
        name = f"p{number:04}"
        past.did(name, "Signed In", 150)
        for season in range(8):
            reads = chance.random() < 0.4
            if reads:
                for days in chance.uniform(0, 20, 3):
                    past.did(name, "Guide Read", season * 20 + float(days) + 20)
            if chance.random() < (0.6 if reads else 0.15):
                past.did(name, "Trip Booked", season * 20 + float(chance.uniform(0, 20)))
    return past


def column(result: Result, name: str) -> dict[str, float]:
    return dict(zip(*(result.rows.column(each).to_pylist() for each in ("profile_id", name)), strict=True))


def test_a_project_without_propensities_has_no_such_set() -> None:
    assert TRAITS(TraitRules()) is None


def test_a_trait_for_each_that_the_project_asks_for() -> None:
    made = TRAITS(BOOKING)
    assert made is not None
    assert list(made.traits) == ["propensity_booking", "propensity_complaint"]
    assert made.traits["propensity_booking"].description == (
        "How likely somebody will do 'Trip Booked' in the next 20 days: 0 to 1."
    )


def test_what_foretells_an_event_is_found() -> None:
    past = Past([*travellers().rows])
    past.did("reader", "Signed In", 150)
    for days in (2, 8, 12):
        past.did("reader", "Guide Read", days)
    past.did("idler", "Signed In", 150)
    result = computed(past)
    card = result.cards["propensity_booking"]
    found = column(result, "propensity_booking")
    assert card.used == "model"
    assert card.score < 0.95 * card.baseline_score
    assert calibration_error(card.calibration) < 0.06
    assert found["reader"] == pytest.approx(0.6, abs=0.12)
    assert found["idler"] == pytest.approx(0.15, abs=0.08)
    assert "will do 'Trip Booked' in the next 20 days" in card.sentence


def test_one_of_them_without_enough_to_learn_leaves_the_others() -> None:
    result = computed(travellers())
    assert result.rows.column_names == ["profile_id", "propensity_booking"]
    assert set(result.cards) == {"propensity_booking"}
    assert result.nothing_to_learn.startswith("propensity_complaint needs 200 people to learn from")


def test_an_event_that_comes_at_random_has_the_baseline() -> None:
    chance = np.random.default_rng(5)
    past = Past()
    for number in range(500):
        past.did(f"p{number}", "Signed In", 150)
        for days in chance.uniform(0, 160, chance.poisson(4)):
            past.did(f"p{number}", "Trip Booked", float(days))
        for days in chance.uniform(0, 160, 3):
            past.did(f"p{number}", "Guide Read", float(days))
    card = computed(past).cards["propensity_booking"]
    assert card.used == "baseline"
    assert "not clearly better" in card.sentence


def test_every_engine_foretells_the_same(engine: Engine) -> None:
    first, second = computed(travellers(300)), computed(travellers(300), engine=engine)
    assert column(first, "propensity_booking") == pytest.approx(column(second, "propensity_booking"), abs=1e-4)
    assert first.cards["propensity_booking"].version == second.cards["propensity_booking"].version


def test_nobody_has_done_anything() -> None:
    result = computed(Past())
    assert result.rows.num_rows == 0
    assert result.rows.column_names == ["profile_id"]
    assert result.nothing_to_learn.count("more than 40 days of history") == 2
