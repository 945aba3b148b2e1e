"""Intervals and tests against published examples, scipy's own functions, and what they promise: coverage."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy import stats

from millstream.state.measurement.comparing import Group, Lift, compare
from millstream.state.measurement.statistics import (
    Sample,
    holm,
    mean_difference,
    sample_ratio_p,
    share_difference,
    share_interval,
    share_p_value,
)


@pytest.mark.parametrize(
    ("converted", "people", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_shares_have_the_intervals_that_newcombe_published(
    converted: int, people: int, low: float, high: float
) -> None:
    """Statistics in Medicine 17 (1998), p. 861, method 3."""
    assert share_interval(converted, people) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((0, 10), (0, 10), -0.2775, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0),
        ((10, 10), (0, 10), 0.6075, 1.0),
    ],
)
def test_differences_of_shares_have_the_intervals_that_newcombe_published(
    first: tuple[int, int], second: tuple[int, int], low: float, high: float
) -> None:
    """Statistics in Medicine 17 (1998), p. 877, method 10."""
    found = share_difference(first, second)
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)
    assert found.low <= found.difference <= found.high


def test_the_score_test_is_the_chi_square_test_of_the_table() -> None:
    table = [[130, 870], [95, 905]]
    assert share_p_value((130, 1000), (95, 1000)) == pytest.approx(
        stats.chi2_contingency(table, correction=False).pvalue
    )


def test_few_conversions_are_tested_exactly() -> None:
    assert share_p_value((3, 100), (0, 100)) == pytest.approx(stats.fisher_exact([[3, 97], [0, 100]]).pvalue)
    assert share_p_value((0, 100), (0, 100)) == 1.0
    assert share_p_value((100, 100), (100, 100)) == 1.0


def test_means_are_compared_as_scipy_does() -> None:
    draw = np.random.default_rng(1)
    one, other = draw.exponential(20, 300), draw.exponential(15, 120)
    found = mean_difference(Sample(300, one.mean(), one.var(ddof=1)), Sample(120, other.mean(), other.var(ddof=1)))
    expected = stats.ttest_ind(one, other, equal_var=False)
    interval = expected.confidence_interval(0.95)
    assert found is not None
    assert (found.difference, found.low, found.high, found.p_value) == pytest.approx(
        (one.mean() - other.mean(), interval.low, interval.high, expected.pvalue)
    )


def test_means_of_people_who_are_all_alike_are_not_compared() -> None:
    assert mean_difference(Sample(100, 0.0, 0.0), Sample(100, 0.0, 0.0)) is None
    assert mean_difference(Sample(1, 5.0, 0.0), Sample(100, 1.0, 4.0)) is None


def test_the_sample_ratio_check_is_the_chi_square_test_of_fit() -> None:
    """Mendel's peas: 315, 108, 101 and 32, planned as 9 to 3 to 3 to 1; chi-square 0.470."""
    assert sample_ratio_p([315, 108, 101, 32], [9, 3, 3, 1]) == pytest.approx(0.9254, abs=1e-4)
    assert sample_ratio_p([0, 0], [0.5, 0.5]) is None


def test_several_p_values_are_adjusted_as_holm_does() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


@pytest.mark.parametrize(
    ("shares", "people"), [((0.05, 0.05), (2000, 200)), ((0.03, 0.06), (500, 500)), ((0.5, 0.3), (120, 60))]
)
def test_the_interval_of_a_difference_covers_the_truth_as_often_as_it_says(
    shares: tuple[float, float], people: tuple[int, int]
) -> None:
    draw = np.random.default_rng(20260610)
    found = cache(lambda one, other: share_difference((one, people[0]), (other, people[1])))
    ones, others = (draw.binomial(size, share, 20_000).tolist() for size, share in zip(people, shares, strict=True))
    intervals = [found(one, other) for one, other in zip(ones, others, strict=True)]
    truth = shares[0] - shares[1]
    covered = sum(one.low <= truth <= one.high for one in intervals) / len(intervals)
    assert 0.94 < covered < 0.97


def test_the_interval_of_means_covers_the_truth_where_most_spend_nothing() -> None:
    draw = np.random.default_rng(7)
    covered = 0
    for _ in range(1_500):
        one, other = (np.where(draw.random(size) < 0.2, draw.lognormal(3, 0.7, size), 0.0) for size in (2_000, 400))
        found = mean_difference(
            Sample(len(one), one.mean(), one.var(ddof=1)), Sample(len(other), other.mean(), other.var(ddof=1))
        )
        assert found is not None
        covered += found.low <= 0 <= found.high
    assert 0.93 < covered / 1_500 < 0.97


def group(name: str, people: int, converted: int, planned: float = 0.5, mean: float = 1.0) -> Group:
    return Group(name=name, planned=planned, people=people, converted=converted, value=Sample(people, mean, 4.0))


def compared(*groups: Group) -> list[Lift]:
    return compare(groups, name="letters", kind="holdout", goal="Order Completed", window_days=14, at_least_people=100)


def test_a_lift_is_told_with_its_interval() -> None:
    [lift] = compared(group("held out", 1000, 50), group("addressed", 1000, 90))
    assert (lift.treated, lift.treated_converted, lift.control, lift.control_converted) == (1000, 90, 1000, 50)
    assert lift.difference == pytest.approx(0.04)
    assert lift.low is not None
    assert lift.low > 0
    assert lift.sample_ratio_ok
    assert lift.sentence.startswith("More reached the goal: 9.0 % of those addressed against 5.0 % of those held out")
    [harm] = compared(group("held out", 1000, 90), group("addressed", 1000, 50))
    assert harm.sentence.startswith("Fewer reached the goal")


def test_no_difference_is_claimed_where_none_could_be_shown() -> None:
    [lift] = compared(group("held out", 1000, 50), group("addressed", 1000, 55))
    assert lift.difference == pytest.approx(0.005)
    assert lift.sentence.startswith("No difference could be shown")


def test_with_too_few_people_no_difference_is_told_at_all() -> None:
    [lift] = compared(group("held out", 99, 1, 0.1), group("addressed", 900, 300, 0.9))
    assert (lift.difference, lift.low, lift.p_value, lift.value_difference, lift.treated_value) == (None,) * 5
    assert lift.sentence == (
        "Too few people for a comparison: 99 of those held out have had their time, 100 are needed."
    )


def test_groups_of_another_size_than_planned_are_not_believed() -> None:
    [lift] = compared(group("held out", 400, 20), group("addressed", 600, 60))
    assert not lift.sample_ratio_ok
    assert "cannot be compared" in lift.sentence
    [fair] = compared(group("held out", 480, 20), group("addressed", 520, 60))
    assert fair.sample_ratio_ok


def test_several_variants_have_wider_intervals_than_one() -> None:
    control, one, other = group("a", 1000, 50), group("b", 1000, 70), group("c", 1000, 60)
    [alone] = compared(control, one)
    first, second = compared(control, one, other)
    assert alone.low is not None
    assert first.low is not None
    assert alone.p_value is not None
    assert first.low < alone.low
    assert (first.variant, second.variant) == ("b", "c")
    assert first.p_value == pytest.approx(2 * alone.p_value)
    assert first.planned_share == pytest.approx(0.5)


def test_where_nothing_was_tried_one_in_twenty_comparisons_errs() -> None:
    draw = np.random.default_rng(3)
    told = cache(lambda one, other: compared(group("held out", 800, one), group("addressed", 800, other))[0].sentence)
    sentences = [told(*pair) for pair in draw.binomial(800, 0.08, (4_000, 2)).tolist()]
    wrong = sum(not sentence.startswith("No difference") for sentence in sentences) / len(sentences)
    assert 0.035 < wrong < 0.06
