"""Churn risk: found where there is something to find, the baseline where not, and silence where there is too little."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import pairwise

import pytest

from millstream.state.traits.contract import ModelCard, Result
from millstream.state.traits.prediction.judging import calibration_error
from millstream.state.traits.rules import TraitRules
from millstream.state.traits.shipped.churn import TRAITS
from tests.engines import DuckDBEngine, Engine
from tests.state.prediction_world import NOW, Past, known, noise, shop

RULES = TraitRules(horizon_days=30)


def computed(past: Past, engine: Engine | None = None) -> Result:
    assert TRAITS.compute is not None
    connection = (engine or DuckDBEngine()).connection()
    with known(connection, past, TRAITS.inputs, RULES) as context:
        result = TRAITS.compute(context)
        left = context.connection.execute(
            "SELECT count(*) FROM information_schema.tables WHERE table_name LIKE 'prediction_%'"
        ).fetchone()
    connection.close()
    assert left == (0,)
    return result


@cache
def on(made: Callable[..., Past], people: int) -> Result:
    return computed(made(people))


def card_of(result: Result) -> ModelCard:
    return result.cards["churn_risk"]


def risks(result: Result) -> dict[str, float]:
    return dict(zip(*(result.rows.column(name).to_pylist() for name in ("profile_id", "churn_risk")), strict=True))


def test_a_signal_is_found_and_beats_recency() -> None:
    card = card_of(on(shop, 900))
    assert card.used == "model"
    assert card.score < 0.8 * card.baseline_score
    assert "better than the days since the last order alone" in card.sentence
    assert card.window[1] == NOW


def test_risks_are_calibrated() -> None:
    card = card_of(on(shop, 900))
    assert sum(group.people for group in card.calibration) > 700
    assert calibration_error(card.calibration) < 0.05
    assert [group.predicted for group in card.calibration] == sorted(group.predicted for group in card.calibration)


def test_who_keeps_buying_often_has_a_low_risk_and_who_stopped_a_high_one() -> None:
    past = shop(900)
    for days in range(2, 200, 4):
        past.bought("often", days)
        past.did("often", "Page Viewed", days - 1)
    for days in range(100, 230, 8):
        past.bought("stopped", days)
        past.did("stopped", "Page Viewed", days)
    found = risks(computed(past))
    assert found["often"] < 0.1
    assert found["stopped"] > 0.9


def test_every_customer_has_a_risk_and_a_group_and_nobody_else() -> None:
    past = shop(400)
    past.did("visitor", "Page Viewed", 3)
    past.bought("newcomer", 0.01)
    result = computed(past)
    found = risks(result)
    assert len(found) == 401
    assert "visitor" not in found
    assert 0 < found["newcomer"] < 1
    groups = result.rows.column("churn_group").to_pylist()
    assert groups == ["low" if risk < 1 / 3 else "high" if risk >= 2 / 3 else "medium" for risk in found.values()]
    assert set(result.rows.column_names) == {"profile_id", *TRAITS.traits}


def test_in_pure_noise_the_baseline_is_used_and_said_so() -> None:
    result = on(noise, 700)
    card = card_of(result)
    assert card.used == "baseline"
    assert "not clearly better than the days since the last order alone" in card.sentence
    found = risks(result)
    by_recency = [found[name] for name in noise(700).by_last_order() if name in found]
    assert len(by_recency) == 700
    assert sum(one != other for one, other in pairwise(by_recency)) < 10


def test_the_same_past_gives_the_same_risks_on_every_engine(engine: Engine) -> None:
    first, second = on(shop, 400), computed(shop(400), engine)
    assert risks(first) == pytest.approx(risks(second), abs=1e-4)
    assert card_of(first) == card_of(second)


def test_another_past_is_another_version() -> None:
    assert card_of(on(shop, 400)).version != card_of(on(shop, 900)).version


def test_nobody_bought_anything() -> None:
    past = Past()
    past.did("visitor", "Page Viewed", 100)
    result = computed(past)
    assert result.nothing_to_learn == "Churn risk needs more than 60 days of history to learn from."
    assert result.rows.column_names == ["profile_id"]
    assert result.rows.num_rows == 0
    assert not result.cards


def test_one_customer_is_too_few() -> None:
    past = Past()
    past.bought("ann", 200)
    past.bought("ann", 20)
    assert computed(past).nothing_to_learn == (
        "Churn risk needs 200 people to learn from, 30 with the outcome and 30 without it; there are 1, 1 and 0."
    )


def test_where_all_do_the_same_there_is_nothing_to_learn() -> None:
    past = Past()
    for number in range(300):
        for days in range(1, 200, 5):
            past.bought(f"p{number}", days + number / 1000)
    assert "there are 300, 0 and 300" in computed(past).nothing_to_learn


def test_too_short_a_history_is_told() -> None:
    past = Past()
    for number in range(300):
        past.bought(f"p{number}", 1 + number % 50)
    assert "more than 60 days of history" in computed(past).nothing_to_learn
