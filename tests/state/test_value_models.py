"""The models of customer value: published results, recovery of known parameters, and what must hold for any data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import betaln, hyp2f1

from millstream.state.traits.prediction.bg_nbd import BgNbd, fit_bg_nbd
from millstream.state.traits.prediction.gamma_gamma import GammaGamma, fit_gamma_gamma
from millstream.state.traits.prediction.repeat_buying import Histories, Numbers
from tests.state import cdnow

PUBLISHED = BgNbd(r=0.243, alpha=4.414, a=0.793, b=2.426)


def histories(*rows: tuple[float, float, float]) -> Histories:
    """Of (repeats, recency, age), a person each."""
    repeats, recency, age = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
    return Histories(repeats, recency, age, np.ones(len(rows)))


# What was published


def test_bg_nbd_finds_the_published_parameters() -> None:
    """Fader, Hardie, Lee (2005), table 2."""
    known, _ = cdnow.published()
    found = fit_bg_nbd(known)
    assert (found.r, found.alpha, found.a, found.b) == pytest.approx((0.2426, 4.4136, 0.7929, 2.4259), rel=5e-4)
    assert found.log_likelihood(known) == pytest.approx(-9582.4, abs=0.05)


def test_gamma_gamma_finds_the_published_parameters() -> None:
    """Fader, Hardie (2013): 946 customers who came back."""
    known, means = cdnow.published()
    back = known.repeats > 0
    assert back.sum() == 946
    found = fit_gamma_gamma(known.repeats[back], means[back])
    assert (found.p, found.q, found.v) == pytest.approx((6.25, 3.74, 15.45), rel=2e-3)
    assert found.log_likelihood(known.repeats[back], means[back]) == pytest.approx(-4055.92, abs=0.01)
    assert found.mean == pytest.approx(35.17, abs=0.02)


def test_the_likelihood_has_its_peak_at_the_parameters_found() -> None:
    known, _ = cdnow.published()
    best = fit_bg_nbd(known)
    for name in ("r", "alpha", "a", "b"):
        for factor in (0.97, 1.03):
            other = BgNbd(**{**vars(best), name: getattr(best, name) * factor})
            assert other.log_likelihood(known) < best.log_likelihood(known)


# Expected purchases


def averaged(model: BgNbd, repeats: float, age: float, weeks: float) -> float:
    """What is expected of somebody active, by adaptive integration over the probability to stop."""
    shape, ratio, second = model.r + repeats, weeks / (model.alpha + age), model.b + repeats

    power = min(model.a, 1.0)  # takes the pole at 0 away

    def weighed(root: float) -> float:
        stop = root ** (1 / power)
        density = (model.a - power) * np.log(stop) + (second - 1) * np.log1p(-stop) - betaln(model.a, second)
        return float(-np.expm1(-shape * np.log1p(stop * ratio)) / stop * np.exp(density) / power)

    middle = (model.a / (model.a + second)) ** power
    return float(quad(weighed, 0, 1, points=[middle], limit=500, epsabs=0, epsrel=1e-10)[0])


@pytest.mark.parametrize(
    ("model", "repeats", "age", "weeks"),
    [
        (PUBLISHED, 0, 0, 39),
        (PUBLISHED, 29, 38.9, 39),
        (PUBLISHED, 700, 104, 104),
        (BgNbd(r=0.01, alpha=0.05, a=0.2, b=1.5), 10, 1.5, 104),
        (BgNbd(r=500, alpha=3000, a=0.9999999, b=9), 3, 20, 13),
        (BgNbd(r=2, alpha=30, a=1.0, b=1.0), 0, 20, 13),
        (BgNbd(r=2, alpha=30, a=60, b=900), 4, 500, 50),
        (BgNbd(r=1, alpha=8, a=0.3, b=1.01), 0, 12, 13),
    ],
)
def test_expected_purchases_are_exact_where_the_closed_form_is_not(
    model: BgNbd, repeats: float, age: float, weeks: float
) -> None:
    known = histories((repeats, age if repeats else 0, age))
    expected = averaged(model, repeats, age, weeks) * model.probability_active(known)[0]
    assert model.expected_purchases(known, weeks)[0] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("repeats", "recency", "age"), [(0, 0, 38.86), (2, 30.43, 38.86), (5, 8.0, 30.0)])
def test_expected_purchases_are_those_of_the_papers_equation_10(repeats: float, recency: float, age: float) -> None:
    r, alpha, a, b = 0.243, 4.414, 0.793, 2.426
    share = hyp2f1(r + repeats, b + repeats, a + b + repeats - 1, 39 / (alpha + age + 39))
    above = (a + b + repeats - 1) / (a - 1) * (1 - ((alpha + age) / (alpha + age + 39)) ** (r + repeats) * share)
    below = 1.0
    if repeats:
        below += a / (b + repeats - 1) * ((alpha + age) / (alpha + recency)) ** (r + repeats)
    found = PUBLISHED.expected_purchases(histories((repeats, recency, age)), 39)
    assert found[0] == pytest.approx(above / below, rel=1e-7)


def test_nobody_stops_where_stopping_is_improbable() -> None:
    """Then only the rates are left, and what is expected is what their distribution says."""
    model = BgNbd(r=2, alpha=10, a=1e-4, b=1e4)
    known = histories((0, 0, 5), (7, 20, 26))
    assert model.probability_active(known) == pytest.approx([1, 1], abs=1e-6)
    assert model.expected_purchases(known, 12) == pytest.approx([2 / 15 * 12, 9 / 36 * 12], rel=1e-6)


def test_who_has_just_bought_first_is_expected_to_buy_as_the_average_newcomer_does() -> None:
    """Over a short time nobody stops, and purchases come at the mean rate r / alpha."""
    known = histories((0, 0, 0))
    assert PUBLISHED.expected_purchases(known, 0.001)[0] == pytest.approx(0.001 * 0.243 / 4.414, rel=1e-3)


def test_parameters_are_recovered_from_people_who_follow_them() -> None:
    model = BgNbd(r=0.8, alpha=9.0, a=0.9, b=3.5)
    known, later = lived(model, 20_000, weeks=26)
    found = fit_bg_nbd(known)
    assert (found.r, found.alpha) == pytest.approx((model.r, model.alpha), rel=0.08)
    assert found.a / (found.a + found.b) == pytest.approx(0.9 / 4.4, rel=0.05)
    expected = found.expected_purchases(known, 26)
    assert expected.sum() == pytest.approx(later.sum(), rel=0.02)
    for repeats in range(5):
        alike = known.repeats == repeats
        assert expected[alike].mean() == pytest.approx(later[alike].mean(), rel=0.1)
    buys = found.probability_of_purchase(known, 26)
    assert buys.mean() == pytest.approx((later > 0).mean(), rel=0.02)
    likely = buys > 0.6
    assert buys[likely].mean() == pytest.approx((later[likely] > 0).mean(), rel=0.03)


def lived(model: BgNbd, people: int, weeks: float) -> tuple[Histories, Numbers]:
    """People who buy and stop as the model says: what is known of them, and what they buy in the weeks after."""
    rng = np.random.default_rng(7)
    rate, stop = rng.gamma(model.r, 1 / model.alpha, people), rng.beta(model.a, model.b, people)
    age = rng.uniform(0, 104, people)
    now, repeats, recency, later = (np.zeros(people) for _ in range(4))
    going = np.arange(people)
    while len(going):
        now[going] += rng.exponential(1 / rate[going])
        going = going[now[going] <= age[going] + weeks]
        past = going[now[going] <= age[going]]
        repeats[past], recency[past] = repeats[past] + 1, now[past]
        later[going[now[going] > age[going]]] += 1
        going = going[rng.random(len(going)) >= stop[going]]
    return Histories(repeats, recency, age, np.ones(people)), later


# What must hold for any people

parameter = st.floats(1e-3, 1e3)
models = st.builds(BgNbd, r=parameter, alpha=parameter, a=parameter, b=parameter)
person = st.tuples(st.integers(0, 400), st.floats(0, 1), st.floats(0, 1500)).map(
    lambda drawn: (float(drawn[0]), drawn[1] * drawn[2] if drawn[0] else 0.0, drawn[2])
)


@given(models, st.lists(person, min_size=1, max_size=6), st.floats(0.1, 100), st.floats(1.01, 5))
@example(BgNbd(r=1.0, alpha=0.001, a=174.0, b=1.0), [(393.0, 0.0, 0.0)], 7.0, 5.0)
def test_predictions_are_possible_and_grow_with_the_horizon(
    model: BgNbd, people: list[tuple[float, float, float]], weeks: float, longer: float
) -> None:
    known = histories(*people)
    soon, late = model.expected_purchases(known, weeks), model.expected_purchases(known, weeks * longer)
    active, buys = model.probability_active(known), model.probability_of_purchase(known, weeks)
    assert np.isfinite(late).all()
    assert (soon >= 0).all()
    assert (late >= soon * (1 - 1e-5)).all(), "but for rounding"
    for probability in (active, buys):
        assert ((probability >= 0) & (probability <= 1)).all()
    assert (buys <= active + 1e-12).all()
    assert (buys <= soon * (1 + 1e-5) + 1e-9).all(), "who buys makes at least one purchase"


@given(models, st.integers(1, 50), st.floats(0.1, 100), st.floats(0, 100), st.floats(0.1, 100))
def test_the_longer_the_silence_the_less_probably_somebody_is_active(
    model: BgNbd, repeats: int, recency: float, silence: float, more: float
) -> None:
    known = histories((repeats, recency, recency + silence), (repeats, recency, recency + silence + more))
    sooner, later = model.probability_active(known)
    assert later <= sooner


@pytest.mark.parametrize(
    "known",
    [
        histories(*[(0, 0, age) for age in range(50)]),
        histories((0, 0, 0), (0, 0, 0)),
        histories((3, 10, 20)),
        histories((0, 0, 5)),
        histories(*[(10, 50, 51)] * 40),
        histories(*[(number, number * 4.3, number * 4.3 + 1) for number in range(1, 41)]),
        histories((700, 104, 104.3), (650, 100, 104), (10, 5, 80), (0, 0, 30)),
        histories(*[(1, 0.2, 100), (2, 0.5, 300), (3, 0.9, 520)] * 20),
        histories((1, 1 / 7, 2 / 7), (0, 0, 2 / 7), (2, 2 / 7, 3 / 7), (0, 0, 0)),
        histories(*[(1, 400, 1040), (0, 0, 1040), (20, 1000, 1040), (3, 80, 500)] * 10),
    ],
    ids=["one-time", "today", "one", "first", "clockwork", "subscribers", "heavy", "gone", "days", "decades"],
)
def test_any_business_can_be_fitted(known: Histories) -> None:
    """Also where the likelihood has no peak: it is enough that what follows from it is sound."""
    model = fit_bg_nbd(known)
    assert all(np.isfinite(value) and value > 0 for value in vars(model).values())
    expected = model.expected_purchases(known, 13)
    assert np.isfinite(expected).all()
    assert (expected <= 13 * (known.repeats.max() + 5) / max(float(known.age.min()), 1 / 7)).all()


def test_people_alike_may_share_a_row() -> None:
    one_each = histories(*[(2, 5, 9)] * 30, *[(0, 0, 9)] * 60, *[(1, 1, 20)] * 40, *[(6, 19, 20)] * 5)
    shared = Histories(
        np.array([2.0, 0, 1, 6]), np.array([5.0, 0, 1, 19]), np.array([9.0, 9, 20, 20]), np.array([30.0, 60, 40, 5])
    )
    one, other = fit_bg_nbd(one_each), fit_bg_nbd(shared)
    assert tuple(vars(one).values()) == pytest.approx(tuple(vars(other).values()), rel=1e-3)
    assert one.log_likelihood(one_each) == pytest.approx(one.log_likelihood(shared))


def test_the_unit_of_time_does_not_matter() -> None:
    known, _ = cdnow.published()
    stretched = fit_bg_nbd(Histories(known.repeats, known.recency * 500, known.age * 500, known.people))
    assert stretched.alpha / 500 == pytest.approx(4.4136, rel=5e-4)
    assert (stretched.r, stretched.a) == pytest.approx((0.2426, 0.7929), rel=5e-4)


@pytest.mark.parametrize("unit", [1e-4, 1e7])
def test_cents_and_millions_are_fitted_alike(unit: float) -> None:
    known, means = cdnow.published()
    back = known.repeats > 0
    found = fit_gamma_gamma(known.repeats[back], means[back] * unit)
    assert (found.p, found.q, found.v / unit) == pytest.approx((6.25, 3.74, 15.45), rel=2e-3)


# What an order is worth


def test_the_mean_of_few_orders_is_drawn_to_what_people_spend_on_the_whole() -> None:
    model = GammaGamma(p=6.25, q=3.74, v=15.44)
    none, one, some, many = model.expected_order_value(np.array([0.0, 1, 5, 500]), np.array([0.0, 100, 100, 100]))
    assert none == pytest.approx(model.mean) == pytest.approx(35.2, abs=0.1)
    assert none < one < some < many < 100
    assert many == pytest.approx(100, rel=0.01)


def test_order_values_are_recovered_from_people_who_follow_them() -> None:
    rng = np.random.default_rng(3)
    model = GammaGamma(p=4.0, q=5.0, v=60.0)
    scale = rng.gamma(model.q, 1 / model.v, 20_000)
    orders = rng.integers(1, 12, len(scale)).astype(np.float64)
    means = rng.gamma(model.p * orders, 1 / scale) / orders
    found = fit_gamma_gamma(orders, means)
    assert (found.p, found.q, found.v) == pytest.approx((4.0, 5.0, 60.0), rel=0.06)
    next_orders = rng.gamma(model.p, 1 / scale)
    expected = found.expected_order_value(orders, means)
    assert expected.mean() == pytest.approx(next_orders.mean(), rel=0.02)
    assert ((expected - next_orders) ** 2).mean() < ((means - next_orders) ** 2).mean()


@pytest.mark.parametrize(
    ("orders", "means"),
    [
        ([1.0, 2, 3] * 20, [9.99] * 60),
        ([2.0], [5.0]),
        ([1.0] * 60, [float(value) for value in range(1, 61)]),
        ([1.0, 2, 3, 9] * 15, [*range(1, 60), 1e9]),
        ([1.0, 2, 3] * 20, [9.99, 99.0] * 30),
    ],
    ids=["one price", "one person", "one order each", "a whale", "two prices"],
)
def test_any_prices_can_be_fitted(orders: list[float], means: list[float]) -> None:
    model = fit_gamma_gamma(np.array(orders), np.array(means, dtype=np.float64))
    assert all(np.isfinite(value) and value > 0 for value in vars(model).values())
    assert model.q > 1
    expected = model.expected_order_value(np.array(orders), np.array(means))
    assert np.isfinite(expected).all()
    assert (expected > 0).all()


@given(st.floats(0.01, 1e4), st.floats(1.01, 1e3), st.floats(0.01, 1e6), st.integers(0, 1000), st.floats(0, 1e9))
def test_an_expected_order_lies_between_ones_own_mean_and_that_of_all(
    p: float, q: float, v: float, orders: int, mean: float
) -> None:
    model = GammaGamma(p, q, v)
    (expected,) = model.expected_order_value(np.array([float(orders)]), np.array([mean]))
    low, high = sorted((model.mean, mean if orders else model.mean))
    assert low * (1 - 1e-9) <= expected <= high * (1 + 1e-9)


def test_there_is_nothing_to_fit_without_people() -> None:
    nobody = np.array([])
    with pytest.raises(ValueError, match="nothing to fit"):
        fit_bg_nbd(Histories(nobody, nobody, nobody, nobody))
    with pytest.raises(ValueError, match="nothing to fit"):
        fit_gamma_gamma(nobody, nobody)
