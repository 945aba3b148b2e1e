"""Gamma-Gamma: what an order of somebody is worth, from the mean of their orders and what others spend.

P. S. Fader, B. G. S. Hardie, "The Gamma-Gamma Model of Monetary Value" (2013). The values of one person's orders are
gamma distributed with shape ``p`` around a mean of their own; these means differ by people, an inverse gamma
distribution with parameters ``q`` and ``v``. So a mean of few orders is drawn towards what people spend on the whole,
one of many is taken as it is. The model supposes that who buys more often does not buy for more or less each time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import gammaln, psi

from millstream.state.traits.prediction.repeat_buying import Numbers

_BOUNDS = ((1e-3, 1e4), (1e-3, 1e4), (1e-8, 1e6))
"""Of p, q - 1 and v, in units of the mean order: where all orders cost the same the likelihood grows for ever."""


@dataclass(frozen=True)
class GammaGamma:
    """The model with its parameters.

    Attributes:
        p: Shape of the distribution of one person's orders: the larger, the more alike they are.
        q: Shape of the distribution of people's means; above 1, or the mean of all would be infinite.
        v: Its scale, in the currency.
    """

    p: float
    q: float
    v: float

    @property
    def mean(self) -> float:
        """Mean value of an order of somebody of whom nothing is known."""
        return self.p * self.v / (self.q - 1.0)

    def log_likelihood(self, orders: Numbers, means: Numbers) -> float:
        """Natural logarithm of how likely these mean values of so many orders are; both above 0."""
        return _log_likelihood(np.array([self.p, self.q, self.v]), orders, means, _counted(orders))[0]

    def expected_order_value(self, orders: Numbers, means: Numbers) -> Numbers:
        """What each is expected to spend on an order.

        Args:
            orders: Number of the orders that the means are of; 0 gives the mean of all people.
            means: Mean values, any number where there are no orders.
        """
        spent = np.where(orders > 0, orders * means, 0.0)
        return self.p * (self.v + spent) / (self.p * orders + self.q - 1.0)


def fit_gamma_gamma(orders: Numbers, means: Numbers) -> GammaGamma:
    """The parameters under which these mean values are likeliest.

    Values are measured in their mean, so that cents and millions are fitted alike, and the logarithms of ``p``,
    ``q - 1`` and ``v`` are searched for.

    Args:
        orders: Number of each person's orders, above 0.
        means: Mean value of them, above 0.

    Raises:
        ValueError: There are none.
    """
    if not len(means):
        raise ValueError("nobody spent anything: there is nothing to fit")
    unit = float(means.mean())
    scaled, shift, counted = means / unit, np.array([0.0, 1.0, 0.0]), _counted(orders)

    def cost(logs: Numbers) -> tuple[float, Numbers]:
        distances = np.exp(logs)
        value, slope = _log_likelihood(distances + shift, orders, scaled, counted)
        return -value / len(means), -slope * distances / len(means)

    bounds = [(np.log(low), np.log(high)) for low, high in _BOUNDS]
    options = {"maxiter": 500, "ftol": 1e-14, "gtol": 1e-8}
    found = [
        minimize(cost, np.log(start), jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        for start in ((2.0, 2.0, 1.0), (20.0, 20.0, 1.0))
    ]
    p, q, v = np.exp(min(found, key=lambda one: float(one.fun)).x) + shift
    return GammaGamma(float(p), float(q), float(v * unit))


def _counted(orders: Numbers) -> tuple[Numbers, Numbers]:
    """The numbers of orders that there are, and how many people have each."""
    counts, people = np.unique(orders, return_counts=True)
    return counts, people.astype(np.float64)


def _log_likelihood(
    parameters: Numbers, orders: Numbers, means: Numbers, counted: tuple[Numbers, Numbers]
) -> tuple[float, Numbers]:
    """The logarithm of the likelihood, and its slope along each parameter (the paper's equation 1a)."""
    p, q, v = parameters
    counts, alike = counted
    people, all_spent = len(means), np.log(v + orders * means)
    by_count = gammaln(p * counts + q) - gammaln(p * counts) - gammaln(q) + p * counts * np.log(counts)
    by_mean = (p * orders - 1.0) * np.log(means) - (p * orders + q) * all_spent
    value = float(alike @ by_count + by_mean.sum()) + people * q * float(np.log(v))
    slope = np.array(
        [
            alike @ (counts * (psi(p * counts + q) - psi(p * counts) + np.log(counts)))
            + orders @ (np.log(means) - all_spent),
            alike @ (psi(p * counts + q) - psi(q)) + people * np.log(v) - all_spent.sum(),
            people * q / v - ((p * orders + q) / (v + orders * means)).sum(),
        ]
    )
    return value, slope
