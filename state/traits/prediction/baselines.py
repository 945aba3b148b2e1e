"""The plain way to foretell an outcome, which a model has to beat: how it went with people like them in one thing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

MOST_GROUPS = 10
SMALLEST_GROUP = 50
"""People in a group, about."""

PULL = 10.0
"""As many people who did what all do on average are counted into each group: small ones say little."""


@dataclass(frozen=True)
class GroupRates:
    """Shares of people with the outcome, in groups of like values: of days since something, as a rule.

    Attributes:
        edges: The highest value of each group but the last.
        rates: The share of each group.
        unknown: The share of those without a value.
    """

    edges: Numbers
    rates: Numbers
    unknown: float

    def predict(self, values: Numbers) -> Numbers:
        """The share of each person's group; NaN is for those without a value."""
        known = ~np.isnan(values)
        predicted = np.full(len(values), self.unknown)
        predicted[known] = self.rates[np.searchsorted(self.edges, values[known], side="left")]
        return predicted


def group_rates(values: Numbers, outcome: Numbers) -> GroupRates:
    """Learn the shares.

    Args:
        values: What groups are made by; NaN where there is none.
        outcome: 1 where it happened, 0 where not.
    """
    overall = float(outcome.mean())
    known = ~np.isnan(values)
    groups = int(np.clip(known.sum() // SMALLEST_GROUP, 1, MOST_GROUPS))
    edges = np.empty(0)
    if groups > 1:
        quantiles = np.quantile(values[known], np.linspace(0, 1, groups + 1)[1:-1], method="inverted_cdf")
        edges = np.unique(quantiles[quantiles < values[known].max()])
    group = np.searchsorted(edges, values[known], side="left")
    rates = [_rate(outcome[known][group == number], overall) for number in range(len(edges) + 1)]
    return GroupRates(edges, np.array(rates), _rate(outcome[~known], overall))


def _rate(outcome: Numbers, overall: float) -> float:
    return float((outcome.sum() + PULL * overall) / (len(outcome) + PULL))
