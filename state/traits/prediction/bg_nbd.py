"""BG/NBD: how often people buy, and whether they still do, from how often and how lately they bought.

P. S. Fader, B. G. S. Hardie, K. L. Lee, "Counting Your Customers the Easy Way: An Alternative to the Pareto/NBD Model"
(Marketing Science 24:2, 2005). While somebody is active, purchases come at random at a rate of their own; rates differ
between people by a gamma distribution with shape ``r`` and rate ``alpha``. After each purchase somebody may stop for
good, with a probability of their own; these differ by a beta distribution with parameters ``a`` and ``b``.

Two things follow that a reader of the results should know: who bought only once counts as active for certain, since
people stop only after a repeat purchase; and a purchase that is followed by a silence much longer than somebody's
habit is what makes them count as gone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import betaln, expit, gammaln, psi

from millstream.state.traits.prediction.repeat_buying import Histories, Numbers

_NODES = 257
"""Points of the integral over the probability to stop: half as many give all the digits that rounding leaves, nearly
six of them in the worst case: 400 purchases by people who are known for no time."""

_NEGLIGIBLE = 42.0
"""Logarithm of the part of an integrand's peak below which it is left out."""

_LOWEST, _HIGHEST = 1e-4, 1e4
"""Bounds of the parameters, in units of the mean time that people are known: where people are all alike, or nobody
ever stops, the likelihood has no peak but a plateau that goes on for ever."""


@dataclass(frozen=True)
class BgNbd:
    """The model with its parameters; time is in weeks.

    Attributes:
        r: Shape of the distribution of purchase rates.
        alpha: Its rate: people buy ``r / alpha`` times a week on the average while they are active.
        a: First parameter of the distribution of the probability to stop after a purchase.
        b: Its second: people stop with ``a / (a + b)`` on the average.
    """

    r: float
    alpha: float
    a: float
    b: float

    def log_likelihood(self, histories: Histories) -> float:
        """Natural logarithm of how likely the histories are."""
        return _log_likelihood(np.array([self.r, self.alpha, self.a, self.b]), histories, _counted(histories))[0]

    def probability_active(self, histories: Histories) -> Numbers:
        """How probable it is of each that they have not stopped."""
        return 1.0 - _stopped(np.array([self.r, self.alpha, self.a, self.b]), histories)[0]

    def probability_of_purchase(self, histories: Histories, weeks: float) -> Numbers:
        """How probable it is of each that they buy at least once in the next ``weeks``."""
        known = self.alpha + histories.age
        buys = -np.expm1(-(self.r + histories.repeats) * np.log1p(weeks / known))
        return self.probability_active(histories) * buys

    def expected_purchases(self, histories: Histories, weeks: float) -> Numbers:
        """How many purchases each is expected to make in the next ``weeks``.

        The paper's equation 10 has this in closed form, by the hypergeometric function 2F1, whose value is lost where
        its arguments are large or ``a`` is near 1. So what stands behind the equation is computed: the expectation for
        one probability to stop, averaged over the probabilities that people with so many repeat purchases have.
        """
        expected = np.empty_like(histories.age)
        order = np.lexsort((histories.age, histories.repeats))
        counts, starts = np.unique(histories.repeats[order], return_index=True)
        for repeats, rows in zip(counts, np.split(order, starts[1:]), strict=True):
            ages, back = np.unique(histories.age[rows], return_inverse=True)
            expected[rows] = self._expected_while_active(float(repeats), ages, weeks)[back]
        return expected * self.probability_active(histories)

    def _expected_while_active(self, repeats: float, ages: Numbers, weeks: float) -> Numbers:
        """Expected purchases of people with so many repeat purchases who are active, by the weeks they are known.

        With ``p`` the probability to stop, they are ``g(p) = (1 - (1 + p u)^-s) / p`` for ``s = r + repeats`` and
        ``u = weeks / (alpha + age)``, and ``p`` is distributed as Beta(a, b + repeats). What is linear in ``p`` is
        averaged exactly, the rest on a grid of the logit of ``p``, where it is smooth and falls off to both sides.
        """
        shape, ratio = self.r + repeats, weeks / (self.alpha + ages)[:, None]
        logit, weight = _beta_grid(self.a, self.b + repeats, steep=shape * float(ratio.max(initial=0.0)))
        at_zero, at_one = shape * ratio, -np.expm1(-shape * np.log1p(ratio))
        stop = expit(logit)
        expected = (at_zero + (at_one - at_zero) * (self.a / (self.a + self.b + repeats)))[:, 0]
        for rows in np.array_split(np.arange(len(ages)), 1 + len(ages) * len(stop) // 2_000_000):
            purchases = -np.expm1(-shape * np.log1p(stop * ratio[rows])) / stop
            expected[rows] += (purchases - at_zero[rows] - (at_one[rows] - at_zero[rows]) * stop) @ weight
        return np.maximum(expected, 0.0)


def _beta_grid(first: float, second: float, *, steep: float) -> tuple[Numbers, Numbers]:
    """Points of the logit of a beta distributed number, and the weight of each.

    Args:
        first: First parameter of the distribution.
        second: Its second.
        steep: The integrand falls to nought below ``p = 1 / steep`` as ``p`` does, and at 1 as ``1 - p`` does.
    """

    def density(logit: Numbers) -> Numbers:
        logs: Numbers = first * logit - (first + second) * np.logaddexp(0.0, logit) - betaln(first, second)
        return logs

    peak = np.log(first / second)
    wide = np.append(np.linspace(-120.0, 120.0, 481), peak)
    bound = density(wide) + np.minimum(0.0, wide + np.log(max(steep, 1.0))) + np.minimum(0.0, -wide)
    inside = wide[bound > bound.max() - _NEGLIGIBLE]
    logit, step = np.linspace(inside.min() - 0.5, inside.max() + 0.5, _NODES, retstep=True)
    return logit, np.exp(density(logit)) * step


def fit_bg_nbd(histories: Histories) -> BgNbd:
    """The parameters under which the histories are likeliest.

    Time is measured in the mean time that people are known, so that days and decades are fitted alike, and each
    parameter's logarithm is searched for, so that it stays positive.

    Raises:
        ValueError: There are no histories.
    """
    if not len(histories):
        raise ValueError("nobody bought anything: there is nothing to fit")
    people = float(histories.people.sum())
    unit = float(histories.people @ histories.age) / people or 1.0
    scaled = Histories(histories.repeats, histories.recency / unit, histories.age / unit, histories.people)
    counted = _counted(scaled)

    def cost(logs: Numbers) -> tuple[float, Numbers]:
        parameters = np.exp(logs)
        value, slope = _log_likelihood(parameters, scaled, counted)
        return -value / people, -slope * parameters / people

    bounds = [(np.log(_LOWEST), np.log(_HIGHEST))] * 4
    rate = float(scaled.people @ scaled.repeats) / people
    starts = [(0.5, 0.5 / max(rate, 1e-3), 0.5, 2.0), (2.0, 2.0 / max(rate, 1e-3), 0.1, 10.0)]
    options = {"maxiter": 500, "ftol": 1e-14, "gtol": 1e-8}
    found = [
        minimize(cost, np.log(start), jac=True, method="L-BFGS-B", bounds=bounds, options=options) for start in starts
    ]
    r, alpha, a, b = np.exp(min(found, key=lambda one: float(one.fun)).x)
    return BgNbd(float(r), float(alpha * unit), float(a), float(b))


def _stopped(parameters: Numbers, histories: Histories) -> tuple[Numbers, Numbers]:
    """How probable it is of each that they have stopped, and the logarithm of both possibilities together."""
    r, alpha, a, b = parameters
    shape, repeats = r + histories.repeats, histories.repeats
    active = -shape * np.log(alpha + histories.age)
    with np.errstate(divide="ignore"):
        odds = np.where(repeats > 0, np.log(a) - np.log(np.where(repeats > 0, b + repeats - 1.0, 1.0)), -np.inf)
    stopped = odds - shape * np.log(alpha + histories.recency)
    either = np.logaddexp(active, stopped)
    return np.exp(stopped - either), either


def _counted(histories: Histories) -> tuple[Numbers, Numbers]:
    """The numbers of repeat purchases that there are, and how many people have each."""
    counts, which = np.unique(histories.repeats, return_inverse=True)
    return counts, np.bincount(which, weights=histories.people).astype(np.float64)


def _log_likelihood(
    parameters: Numbers, histories: Histories, counted: tuple[Numbers, Numbers]
) -> tuple[float, Numbers]:
    """The logarithm of the likelihood, and its slope along each parameter (the paper's equation 6)."""
    r, alpha, a, b = parameters
    people = histories.people
    stopped, either = _stopped(parameters, histories)
    counts, alike = counted
    total = float(people.sum())

    by_count = gammaln(r + counts) - gammaln(r) + gammaln(a + b) - gammaln(b)
    by_count += gammaln(b + counts) - gammaln(a + b + counts)
    value = float(alike @ by_count + people @ either) + total * r * float(np.log(alpha))

    shape, back = r + histories.repeats, np.maximum(b + histories.repeats - 1.0, _LOWEST)
    times = (1.0 - stopped) * np.log(alpha + histories.age) + stopped * np.log(alpha + histories.recency)
    rates = (1.0 - stopped) / (alpha + histories.age) + stopped / (alpha + histories.recency)
    gone = people * stopped
    slope = np.array(
        [
            alike @ (psi(r + counts) - psi(r)) + total * np.log(alpha) - people @ times,
            total * r / alpha - people @ (shape * rates),
            alike @ (psi(a + b) - psi(a + b + counts)) + gone.sum() / a,
            alike @ (psi(a + b) - psi(b) + psi(b + counts) - psi(a + b + counts)) - gone @ (1.0 / back),
        ]
    )
    return value, slope
