"""Which days are told to be odd: few of those that vary by chance, nearly all that lost half of their rows."""

from __future__ import annotations

import numpy as np
import pytest

from millstream.state.quality.odd_days import judge_days

WEEK = np.array([1.0, 1.1, 1.05, 1.0, 1.3, 0.6, 0.5])


def normal_days(random: np.random.Generator, mean: float, weeks: int, *, spread: float = 0.0) -> np.ndarray:
    """Counts with a weekday's shape, by chance alone or, with a spread, more uneven than that."""
    means = mean * np.tile(WEEK, weeks)
    if spread:
        means = means * random.gamma(1 / spread**2, spread**2, len(means))
    return random.poisson(means).astype(np.float64)


@pytest.mark.parametrize(("mean", "spread"), [(0.3, 0.0), (3, 0.0), (40, 0.0), (1000, 0.0), (1000, 0.15)])
def test_normal_days_are_hardly_ever_odd(mean: float, spread: float) -> None:
    random = np.random.default_rng(7)
    scores = np.concatenate([judge_days(normal_days(random, mean, 60, spread=spread))[1] for _ in range(40)])
    judged = scores[~np.isnan(scores)]
    assert len(judged) == 40 * (60 * 7 - 28)
    assert np.mean(np.abs(judged) > 5) < 0.0028  # one a year


@pytest.mark.parametrize(("mean", "spread", "found"), [(500, 0.0, 0.95), (2000, 0.0, 1.0), (5000, 0.05, 0.95)])
def test_a_halved_day_is(mean: float, spread: float, found: float) -> None:
    random = np.random.default_rng(8)
    odd = []
    for day in range(63, 63 + 7):
        for _ in range(30):
            counts = normal_days(random, mean, 11, spread=spread)
            counts[day] = np.floor(counts[day] / 2)
            odd.append(judge_days(counts)[1][day] < -5)
    assert np.mean(odd) >= found


def test_a_day_is_compared_with_its_own_weekday() -> None:
    counts = np.tile([100.0, 100, 100, 100, 100, 10, 0], 10)
    expected, scores = judge_days(counts)
    assert np.array_equal(expected[28:], counts[28:])
    assert not np.any(scores[28:])


def test_an_earlier_odd_day_does_not_make_its_followers_odd() -> None:
    counts = np.full(100, 50.0)
    counts[60] = 5000
    _, scores = judge_days(counts)
    assert list(np.flatnonzero(np.abs(scores) > 5)) == [60]


def test_too_few_weeks_are_not_judged() -> None:
    expected, scores = judge_days(np.full(28, 9.0))
    assert np.isnan(expected).all()
    assert np.isnan(scores).all()
    assert not np.isnan(judge_days(np.full(29, 9.0))[1][28])
