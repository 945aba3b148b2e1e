"""What came of trying the customer value models, and the card that tells it of each trait.

Predictions are judged by the root of their mean squared error. An expected number of purchases is a mean, and of all
numbers the mean is the one that makes this error smallest; the mean absolute error is smallest for a median instead,
which is no purchases at all for most people, and would prefer a model that foretells nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from millstream.state.traits.contract import Calibration, ModelCard
from millstream.state.traits.prediction.bg_nbd import BgNbd
from millstream.state.traits.prediction.gamma_gamma import GammaGamma
from millstream.state.traits.prediction.judging import calibration
from millstream.state.traits.prediction.repeat_buying import Numbers

CODE_VERSION = "1"
"""Raised when what is computed from the same data changes."""

_TOLD_CORRELATION = 0.3


@dataclass(frozen=True)
class Tried:
    """What came of trying a prediction on time that it had not seen.

    Attributes:
        score: The model's error.
        baseline_score: The baseline's.
        people: How many people it was tried on.
        foretold: Sum of the predictions that are used.
        happened: Sum of what happened.
        calibration: Mean prediction beside mean outcome, of what is used, from the lowest predictions to the highest.
    """

    score: float
    baseline_score: float
    people: int
    foretold: float
    happened: float
    calibration: tuple[Calibration, ...]

    @property
    def better(self) -> bool:
        """Whether the model came closer than its baseline."""
        return self.score < self.baseline_score


def compared(outcome: Numbers, model: Numbers, baseline: Numbers, weights: Numbers | None = None) -> Tried:
    """Compare two predictions of the same outcomes, a position a person.

    Args:
        outcome: What happened.
        model: What the model foretold.
        baseline: What the baseline did.
        weights: How much a person counts for; all the same when left out.
    """
    errors = [float(np.sqrt(np.average((foretold - outcome) ** 2, weights=weights))) for foretold in (model, baseline)]
    used = model if errors[0] < errors[1] else baseline
    return Tried(
        score=errors[0],
        baseline_score=errors[1],
        people=len(outcome),
        foretold=float(used.sum()),
        happened=float(outcome.sum()),
        calibration=calibration(outcome, used),
    )


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What was learned at last, and from what.

    Attributes:
        buying: The model of how often people buy.
        spending: The model of what they spend.
        people: How many people it was learned from.
        window: Begin and end of the time.
        horizon: Days that are looked ahead.
        lapsed_days: Days without a purchase after which the baseline takes somebody for gone.
        alike: Correlation of how often people come back with what they spend.
    """

    buying: BgNbd
    spending: GammaGamma | None
    people: int
    window: tuple[datetime, datetime]
    horizon: int
    lapsed_days: int
    alike: float

    def parameters(self, model: str) -> dict[str, float]:
        """The numbers that a model learned, by name."""
        buying, spending = self.buying, self.spending
        found = {"r": buying.r, "alpha": buying.alpha, "a": buying.a, "b": buying.b} if "BG/NBD" in model else {}
        if spending and "Gamma-Gamma" in model:
            found |= {"p": spending.p, "q": spending.q, "v": spending.v, "correlation": self.alike}
        return found


@dataclass(frozen=True)
class _Told:
    """How a card speaks of a trait; ``{}`` in texts stand for attributes of ``Learned`` and ``Tried``."""

    model: str
    metric: str
    baseline: str
    meaning: str
    trial: str


_TOLD = {
    "expected_purchases": _Told(
        model="BG/NBD",
        metric="root mean squared error, in orders a person",
        baseline="each person's repeat orders so far by the days since their first, for {horizon} days",
        meaning="How many orders a customer is expected to place in the next {horizon} days, orders of one day as one.",
        trial="In the last {horizon} days, {foretold:,.0f} were foretold and {happened:,.0f} came "
        "from {people:,} customers",
    ),
    "probability_active": _Told(
        model="BG/NBD",
        metric="root of the Brier score of the probability to buy within the horizon, which follows from it",
        baseline="active is who bought within {lapsed_days} days, and goes on at their past rate",
        meaning="How probable it is that somebody is still a customer; who bought only once shows no sign of leaving "
        "and counts as active.",
        trial="In the last {horizon} days, {foretold:,.0f} of {people:,} customers were foretold to buy by it and "
        "{happened:,.0f} did",
    ),
    "expected_order_value": _Told(
        model="Gamma-Gamma",
        metric="root mean squared error, in the base currency an order",
        baseline="the mean of each person's orders so far",
        meaning="What the next order of a customer is expected to be worth: the mean of their repeat orders, drawn "
        "the more to the mean of all the fewer they are.",
        trial="It was tried on the orders of {people:,} customers in the last {horizon} days",
    ),
    "predicted_value": _Told(
        model="BG/NBD and Gamma-Gamma",
        metric="root mean squared error, in the base currency a person",
        baseline="each person's past rate of orders times the mean of their orders so far",
        meaning="What a customer is expected to spend in the next {horizon} days; right for groups of people, a guess "
        "for one.",
        trial="In the last {horizon} days, {foretold:,.0f} were foretold and {happened:,.0f} were spent "
        "by {people:,} customers",
    ),
}


def cards(learned: Learned, tried: Mapping[str, Tried]) -> dict[str, ModelCard]:
    """A card for each trait that was tried."""
    return {trait: _card(_TOLD[trait], learned, trial) for trait, trial in tried.items()}


def _card(told: _Told, learned: Learned, trial: Tried) -> ModelCard:
    parameters = learned.parameters(told.model)
    facts = {**vars(learned), **vars(trial)}
    return ModelCard(
        model=told.model,
        version=f"{CODE_VERSION}.{_digest(parameters, learned.window)}",
        window=learned.window,
        horizon=timedelta(days=learned.horizon),
        people=learned.people,
        metric=told.metric,
        score=trial.score,
        baseline=told.baseline.format(**facts),
        baseline_score=trial.baseline_score,
        lower_is_better=True,
        used="model" if trial.better else "baseline",
        sentence=_sentence(told, facts, trial, parameters),
        parameters=parameters,
        calibration=trial.calibration,
    )


def _sentence(told: _Told, facts: Mapping[str, object], trial: Tried, parameters: Mapping[str, float]) -> str:
    """What the numbers mean and how far they can be trusted."""
    trait = "the model's numbers" if trial.better else "the baseline's numbers, since the model was no better"
    parts = [
        told.meaning.format(**facts),
        f"{told.trial.format(**facts)}; the model was off by {_short(trial.score)}, the baseline "
        f"({told.baseline.format(**facts)}) by {_short(trial.baseline_score)}. The trait holds {trait}.",
    ]
    correlation = parameters.get("correlation", 0.0)
    if abs(correlation) > _TOLD_CORRELATION:
        direction = "more" if correlation > 0 else "less"
        parts.append(f"Who orders more often spends {direction} an order here, which the model does not know of.")
    return " ".join(parts)


def _short(error: float) -> str:
    return f"{error:,.0f}" if error >= 1000 else f"{error:.3g}"


def _digest(parameters: Mapping[str, float], window: tuple[datetime, datetime]) -> str:
    learned = ",".join([*(f"{value:.9g}" for value in parameters.values()), *(end.isoformat() for end in window)])
    return hashlib.sha256(learned.encode()).hexdigest()[:8]
