"""What goes with what: pairs, recommendations and the trial, compared with counting by hand."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import combinations
from math import sqrt

import numpy as np
import pytest

from millstream.state.traits.prediction import co_occurrence, leaving_out, recommending
from millstream.state.traits.prediction.baskets import Baskets
from millstream.state.traits.prediction.co_occurrence import LEAST_TOGETHER, SHRINKAGE, incidence, pairs
from millstream.state.traits.prediction.leaving_out import chances, left_out, tried
from millstream.state.traits.prediction.recommending import Recommender, recommender
from millstream.state.traits.prediction.together import products_together

Item = tuple[int, int, int]


def bought(items: list[Item], people: int, products: int) -> Baskets:
    """Baskets of (person, order, product); orders are a day apart."""
    whose = {order: person for person, order, _ in items}
    assert sorted(whose) == list(range(len(whose)))
    return Baskets(
        profile_ids=[f"p{number}" for number in range(people)],
        product_ids=[f"s{number}" for number in range(products)],
        names=[None] * products,
        person=np.array([whose[order] for order in sorted(whose)], np.int64),
        at=np.arange(len(whose), dtype=np.float64) * 86_400,
        basket=np.array([order for _, order, _ in items], np.int64),
        product=np.array([product for *_, product in items], np.int64),
    )


def made_up(orders: int = 300, people: int = 60, products: int = 25, seed: int = 1) -> Baskets:
    chance = np.random.default_rng(seed)
    items: list[Item] = []
    for order in range(orders):
        person = int(chance.integers(people))
        taste = person % 5
        for product in {int(chance.integers(5)) + 5 * taste for _ in range(1 + chance.poisson(2))}:
            items.append((person, order, product if chance.random() < 0.9 else int(chance.integers(products))))
    return bought(sorted(set(items), key=lambda item: item[1]), people, products)


def counted(groups: np.ndarray, products: np.ndarray) -> tuple[Counter[int], Counter[tuple[int, int]], int]:
    by_group: dict[int, set[int]] = defaultdict(set)
    for group, product in zip(groups.tolist(), products.tolist(), strict=True):
        by_group[group].add(product)
    single = Counter(product for has in by_group.values() for product in has)
    both = Counter(pair for has in by_group.values() for pair in combinations(sorted(has), 2))
    return single, both, len(by_group)


@pytest.mark.parametrize("block", [1, 60, 4_000_000])
def test_pairs_are_those_that_counting_gives(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(co_occurrence, "_BLOCK", block)
    made = made_up()
    single, both, _ = counted(made.basket, made.product)
    found = pairs(incidence(made.basket, made.product, (300, 25)), most=100)
    expected = {}
    for (one, other), times in both.items():
        if times >= LEAST_TOGETHER:
            likeness = times / (sqrt(single[one] * single[other]) + SHRINKAGE)
            expected[one, other] = expected[other, one] = (times, pytest.approx(likeness))
    told = zip(found.first, found.second, found.together, found.likeness, strict=True)
    assert {(int(one), int(other)): (int(times), like) for one, other, times, like in told} == expected


def test_each_product_keeps_its_likest() -> None:
    made = made_up()
    matrix = incidence(made.basket, made.product, (300, 25))
    whole, few = pairs(matrix, most=100), pairs(matrix, most=2)
    for product in range(25):
        best = sorted(whole.likeness[whole.first == product], reverse=True)[:2]
        assert few.likeness[few.first == product].tolist() == pytest.approx(best)


def test_the_table_of_pairs_tells_support_confidence_and_lift() -> None:
    made = made_up()
    single, both, total = counted(made.basket, made.product)
    rows = products_together(made).to_pylist()
    assert {tuple(sorted((row["product_a"], row["product_b"]))) for row in rows} <= {
        tuple(sorted((f"s{one}", f"s{other}"))) for one, other in both
    }
    assert rows
    for row in rows:
        one, other = int(row["product_a"][1:]), int(row["product_b"][1:])
        times = both[min(one, other), max(one, other)]
        assert row["orders"] == times >= LEAST_TOGETHER
        assert row["support"] == pytest.approx(times / total)
        assert row["confidence"] == pytest.approx(times / single[one])
        assert row["lift"] == pytest.approx(times / single[one] / (single[other] / total))


def learned(made: Baskets, *, by_likeness: bool = True, on_sale: np.ndarray | None = None) -> Recommender:
    sale = np.ones(len(made.product_ids), np.bool_) if on_sale is None else on_sale
    return recommender(made.buyer, made.basket, made.product, on_sale=sale, by_likeness=by_likeness)


def test_recommended_is_what_counting_gives() -> None:
    made = made_up()
    products, strengths = learned(made).recommend(made.buyer, made.product, 60, 1)
    likeness: dict[tuple[int, int], float] = defaultdict(float)
    for groups in (made.buyer, made.basket):
        single, both, _ = counted(groups, made.product)
        for (one, other), times in both.items():
            if times >= LEAST_TOGETHER:
                likeness[one, other] += times / (sqrt(single[one] * single[other]) + SHRINKAGE) / 2
    has: dict[int, set[int]] = defaultdict(set)
    for person, product in zip(made.buyer.tolist(), made.product.tolist(), strict=True):
        has[person].add(product)
    for person, own in has.items():
        score = {
            other: sum(likeness[min(one, other), max(one, other)] for one in own) / len(own)
            for other in set(range(25)) - own
        }
        assert strengths[person, 0] == pytest.approx(max(score.values()), abs=1e-5)
        assert score[int(products[person, 0])] == pytest.approx(max(score.values()), abs=1e-5)


def test_places_differ_and_are_never_what_somebody_has() -> None:
    made = made_up()
    for by_likeness in (True, False):
        products, strengths = learned(made, by_likeness=by_likeness).recommend(made.buyer, made.product, 60, 30)
        for person in range(60):
            own = set(made.product[made.buyer == person].tolist())
            named = [int(product) for product in products[person] if product >= 0]
            assert len(named) == len(set(named)) == 25 - len(own)
            assert not own & set(named)
        assert (np.diff(strengths[:, :3], axis=1) <= 1e-9).all()


def test_what_is_popular_comes_where_nothing_goes_with_it() -> None:
    items = [(person, person, 0 if person < 5 else 1) for person in range(8)] + [(8, 8, 2)]
    made = bought(items, 9, 3)
    products, strengths = learned(made).recommend(made.buyer, made.product, 9, 1)
    assert products[:, 0].tolist() == [1] * 5 + [0] * 4
    assert not strengths.any()
    products, strengths = learned(made, by_likeness=False).recommend(made.buyer, made.product, 9, 1)
    assert strengths[8, 0] == pytest.approx(5 / 9)


def test_what_is_no_longer_on_sale_is_not_recommended() -> None:
    made = made_up()
    sale = np.arange(25) % 5 != 0
    for by_likeness in (True, False):
        products, _ = learned(made, on_sale=sale, by_likeness=by_likeness).recommend(made.buyer, made.product, 60, 25)
        assert not np.isin(products, np.flatnonzero(~sale)).any()


def test_who_has_everything_is_recommended_nothing() -> None:
    made = bought([(0, 0, 0), (0, 0, 1), (1, 1, 0)], 2, 2)
    products, strengths = learned(made, by_likeness=False).recommend(made.buyer, made.product, 2, 1)
    assert products[:, 0].tolist() == [-1, 1]
    assert strengths[0, 0] == 0


def test_very_large_orders_and_long_histories_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recommending, "LARGEST_ORDER", 2)
    monkeypatch.setattr(recommending, "LONGEST_HISTORY", 3)
    made = bought([(0, 0, 0), (0, 0, 1), (0, 0, 2), (0, 1, 3), (0, 2, 4)], 1, 5)
    by_order = recommending.orders(made.basket, made.product, 5).toarray()
    assert by_order.sum(axis=1).tolist() == [0, 1, 1]
    history = recommending.histories(made.buyer, made.basket, made.product, 5).toarray()
    assert history.tolist() == [[1, 0, 0, 1, 1]]


def test_the_trial_leaves_out_last_orders_with_something_new() -> None:
    early = [
        (0, 0, 0),
        (1, 1, 0),
        (1, 2, 1),
        (2, 3, 0),
        (3, 4, 1),
        (0, 5, 1),
        *((4, order, 0) for order in range(6, 12)),
    ]
    late = [(1, 12, 0), (5, 13, 2), (2, 14, 1)]
    chosen = left_out(bought([*early, *late], 6, 3))
    # 0's last order is too early, there is nothing new in 1's, and 5's is their first one.
    assert chosen.cut == 12
    assert chosen.people.tolist() == [2]


def test_the_trial_learns_nothing_from_the_orders_it_is_tried_on(monkeypatch: pytest.MonkeyPatch) -> None:
    made = made_up(600, 120)
    chosen = left_out(made)
    seen: list[int] = []
    real = recommender

    def watched(person: np.ndarray, basket: np.ndarray, product: np.ndarray, **how: object) -> Recommender:
        seen.append(int(basket.max()))
        return real(person, basket, product, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(leaving_out, "recommender", watched)
    found = tried(made, chosen)
    assert seen
    assert max(seen) < chosen.cut
    assert found.better
    assert found.hits > found.popular_hits


def test_a_stronger_recommendation_is_never_less_likely() -> None:
    chance = np.random.default_rng(1)
    strength = chance.random(1_000)
    happened = (chance.random(1_000) < 0.5 * strength).astype(float)
    found = chances(strength, happened).predict(np.linspace(0, 1, 50))
    assert (np.diff(found) >= 0).all()
    assert found[0] < 0.15
    assert found[-1] > 0.35
