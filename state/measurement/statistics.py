"""The statistics of comparing two groups: shares, means, whether the groups are as large as planned.

Shares are compared as Newcombe recommends (Statistics in Medicine 17, 1998, pp. 857 and 873): Wilson's score interval
for one share, and the hybrid of two of them (his method 10) for a difference. Both keep to 0 and 1, and cover what
they should where groups are small or hardly anybody converts, where the textbook interval does not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats

CONFIDENCE = 0.95
SMALLEST_SAMPLE_RATIO_P = 0.001
"""Below it the groups are not what was planned: once in a thousand sound experiments, and mostly a fault otherwise."""

_ENOUGH_EXPECTED = 5.0
"""Converted people, and others, that a group is expected to have for the normal approximation to do."""


@dataclass(frozen=True)
class Interval:
    """A difference and the values that go with what was seen.

    Attributes:
        difference: Of the first group from the second.
        low: Lower end.
        high: Upper end.
        p_value: How often chance alone shows a difference as large as this.
    """

    difference: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True)
class Sample:
    """The values of a group of people, summed up.

    Attributes:
        people: How many, those with a value of 0 as well.
        mean: Their mean value.
        variance: Of the sample, with one degree of freedom less.
    """

    people: int
    mean: float
    variance: float


def share_interval(converted: int, people: int, *, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Wilson's score interval for a share."""
    if people == 0:
        return 0.0, 1.0
    z = _z(confidence)
    share = converted / people
    middle = share + z * z / (2 * people)
    spread = z * math.sqrt(share * (1 - share) / people + z * z / (4 * people * people))
    whole = 1 + z * z / people
    low = 0.0 if converted == 0 else max(0.0, (middle - spread) / whole)
    return low, 1.0 if converted == people else min(1.0, (middle + spread) / whole)


def share_difference(first: tuple[int, int], second: tuple[int, int], *, confidence: float = CONFIDENCE) -> Interval:
    """How the shares of two groups differ.

    Args:
        first: Converted people and all people.
        second: The same of the group it is compared with.
        confidence: Of the interval.

    Raises:
        ValueError: A group has nobody.
    """
    if first[1] == 0 or second[1] == 0:
        raise ValueError("a share of nobody cannot be compared")
    one, other = first[0] / first[1], second[0] / second[1]
    low_one, high_one = share_interval(*first, confidence=confidence)
    low_other, high_other = share_interval(*second, confidence=confidence)
    difference = one - other
    return Interval(
        difference,
        difference - math.hypot(one - low_one, high_other - other),
        difference + math.hypot(high_one - one, other - low_other),
        share_p_value(first, second),
    )


def share_p_value(first: tuple[int, int], second: tuple[int, int]) -> float:
    """Two-sided: the score test, or Fisher's exact one where so few converted (or did not) that it would mislead."""
    converted, people = first[0] + second[0], first[1] + second[1]
    pooled = converted / people
    if min(first[1], second[1]) * min(pooled, 1 - pooled) < _ENOUGH_EXPECTED:
        table = [[first[0], first[1] - first[0]], [second[0], second[1] - second[0]]]
        return float(stats.fisher_exact(table).pvalue)
    error = math.sqrt(pooled * (1 - pooled) * (1 / first[1] + 1 / second[1]))
    return float(2 * stats.norm.sf(abs(first[0] / first[1] - second[0] / second[1]) / error))


def mean_difference(first: Sample, second: Sample, *, confidence: float = CONFIDENCE) -> Interval | None:
    """Welch's interval for how the means of two groups differ; None where a group is of fewer than two, or all alike.

    It needs no equal variances and no equal groups. The means of some hundred people are near enough to normal, also
    where most spend nothing; of fewer the interval is too short.
    """
    if min(first.people, second.people) < 2:
        return None
    parts = (first.variance / first.people, second.variance / second.people)
    squared = sum(parts)
    if squared <= 0:
        return None
    freedom = squared**2 / sum(
        part**2 / (sample.people - 1) for part, sample in zip(parts, (first, second), strict=True)
    )
    error = math.sqrt(squared)
    difference = first.mean - second.mean
    spread = float(stats.t.ppf(0.5 + confidence / 2, freedom)) * error
    p_value = float(2 * stats.t.sf(abs(difference) / error, freedom))
    return Interval(difference, difference - spread, difference + spread, p_value)


def sample_ratio_p(seen: Sequence[int], planned: Sequence[float]) -> float | None:
    """The chi-square test of whether groups are as large as planned; None where nobody is in any.

    Args:
        seen: People in each group.
        planned: The weight of each group; any scale.
    """
    people = sum(seen)
    if people == 0:
        return None
    scale = people / sum(planned)
    return float(stats.chisquare(list(seen), [weight * scale for weight in planned]).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values of several comparisons, so that all of them together err no more often than one (Holm 1979)."""
    order = sorted(range(len(p_values)), key=lambda number: p_values[number])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, number in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[number]))
        adjusted[number] = largest
    return adjusted


def bonferroni_confidence(comparisons: int) -> float:
    """The confidence of each of several intervals, so that all of them together hold with ``CONFIDENCE``."""
    return 1 - (1 - CONFIDENCE) / max(comparisons, 1)


def _z(confidence: float) -> float:
    return float(stats.norm.ppf(0.5 + confidence / 2))
