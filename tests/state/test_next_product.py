"""The next product: by what people of like taste buy, by what is popular, or not at all."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import pytest

from millstream.state.traits.contract import ModelCard, Result
from millstream.state.traits.rules import TraitRules
from millstream.state.traits.shipped.next_product import TRAITS
from tests.engines import DuckDBEngine, Engine
from tests.state.prediction_world import Past, catalogue, known


def computed(past: Past, engine: Engine | None = None) -> Result:
    assert TRAITS.compute is not None
    connection = (engine or DuckDBEngine()).connection()
    with known(connection, past, TRAITS.inputs, TraitRules()) as context:
        result = TRAITS.compute(context)
    connection.close()
    return result


@cache
def tasteful() -> Result:
    return computed(catalogue())


def card_of(result: Result) -> ModelCard:
    return result.cards["next_product"]


def rows(result: Result) -> dict[str, dict[str, Any]]:
    return {row["profile_id"]: row for row in result.rows.to_pylist()}


def bought_by(past: Past, profile_id: str) -> Iterable[str]:
    return (str(row["properties"]) for row in past.rows if row["record_id"] == f"r-{profile_id}")


def test_people_are_recommended_what_goes_with_their_taste() -> None:
    found = rows(tasteful())
    card = card_of(tasteful())
    own = sum(int(row["next_product_id"][3:]) // 8 == int(name[1:]) % 6 for name, row in found.items())
    assert own > 0.9 * len(found)
    assert card.used == "model"
    assert card.score > 2 * card.baseline_score
    assert "more than what is popular" in card.sentence
    assert card.parameters["hit_rate_at_1"] > 3 * card.parameters["popular_hit_rate_at_1"]


def test_a_recommended_product_has_a_name_and_was_not_bought() -> None:
    past = catalogue()
    for name, row in rows(tasteful()).items():
        assert row["next_product"] == f"Product {int(row['next_product_id'][3:])}"
        assert 0 <= row["next_product_score"] <= 1
        assert not any(f'"{row["next_product_id"]}"' in order for order in bought_by(past, name))


def test_scores_are_about_how_often_it_is_bought_next() -> None:
    for group in card_of(tasteful()).calibration:
        assert group.observed == pytest.approx(group.predicted, abs=0.12)


def test_pairs_of_one_taste_stand_in_the_table() -> None:
    together = tasteful().tables["products_together"].to_pylist()
    strongest = sorted(together, key=lambda row: -row["lift"])[:20]
    assert all(int(row["product_a"][3:]) // 8 == int(row["product_b"][3:]) // 8 for row in strongest)
    assert list(strongest[0]) == [
        "product_a", "product_b", "name_a", "name_b", "orders", "support", "confidence", "lift"
    ]  # fmt: skip


def test_where_taste_says_nothing_what_is_popular_is_recommended() -> None:
    result = computed(catalogue(alike=0))
    card = card_of(result)
    assert card.used == "baseline"
    assert "so everybody is recommended what is popular" in card.sentence
    assert len({row["next_product"] for row in rows(result).values()}) < 10


def test_every_engine_recommends_the_same(engine: Engine) -> None:
    first, second = computed(catalogue(500)), computed(catalogue(500), engine)
    assert rows(first) == rows(second)
    assert card_of(first) == card_of(second)
    assert first.tables["products_together"].equals(second.tables["products_together"])


def test_newcomers_are_recommended_something_and_visitors_nothing() -> None:
    past = catalogue()
    past.bought("newcomer", 1, products=[{"product_id": "sku00", "name": "Product 0"}])
    past.bought("stranger", 1, products=[{"product_id": "odd"}])
    past.bought("untold", 1)
    past.did("visitor", "Page Viewed", 1)
    found = rows(computed(past))
    assert int(found["newcomer"]["next_product_id"][3:]) < 8
    assert found["stranger"]["next_product_id"].startswith("sku")
    assert found["stranger"]["next_product_score"] <= found["newcomer"]["next_product_score"]
    assert not {"untold", "visitor"} & set(found)


@pytest.mark.parametrize("people", [0, 1, 40])
def test_too_few_people_are_nothing_to_learn_from(people: int, engine: Engine) -> None:
    result = computed(catalogue(people), engine)
    assert result.nothing_to_learn.startswith("The next product needs 100 people who bought something new")
    assert result.rows.column_names == ["profile_id"]
    assert result.tables["products_together"].column_names[:2] == ["product_a", "product_b"]


def test_products_nobody_bought_for_a_year_are_not_recommended() -> None:
    past = catalogue()
    for number in range(600):
        if number % 6 == 0:
            past.bought(f"p{number:05}", 500, products=[{"product_id": "old", "name": "Old"}, {"product_id": "sku00"}])
    assert "old" not in {row["next_product_id"] for row in rows(computed(past)).values()}
