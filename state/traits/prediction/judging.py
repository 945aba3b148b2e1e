"""How good predictions are: on people and a time that the model has not seen, beside a baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from millstream.state.traits.contract import Calibration

Numbers = NDArray[np.float64]

MARGIN = 0.01
"""By what share of the baseline's error the model has to be better."""

CHANCE = 2.0
"""By how many standard errors, too: less may be luck."""

GROUPS = 10


@dataclass(frozen=True)
class Trial:
    """What came of trying a model and its baseline on the same people.

    Attributes:
        score: The model's error, as the Brier score: mean square of prediction minus outcome.
        baseline_score: The baseline's.
        better: Whether the model is better by the margin, and by more than chance.
        people: How many people they were tried on.
        calibration: Predicted beside observed, of whichever is used.
        ranking: Area under the curve of whichever is used: how often, of one person with and one without the
            outcome, the first has the higher prediction.
    """

    score: float
    baseline_score: float
    better: bool
    people: int
    calibration: tuple[Calibration, ...]
    ranking: float


def tried(outcome: Numbers, model: Numbers, baseline: Numbers) -> Trial:
    """Compare two predictions of the same outcome.

    Args:
        outcome: 1 where it happened, 0 where not.
        model: The model's probabilities.
        baseline: The baseline's.
    """
    errors, baseline_errors = (model - outcome) ** 2, (baseline - outcome) ** 2
    gain = baseline_errors - errors
    chance = CHANCE * float(gain.std()) / float(np.sqrt(len(gain)))
    better = float(gain.mean()) > max(MARGIN * float(baseline_errors.mean()), chance)
    used = model if better else baseline
    return Trial(
        score=float(errors.mean()),
        baseline_score=float(baseline_errors.mean()),
        better=better,
        people=len(outcome),
        calibration=calibration(outcome, used),
        ranking=ranking(outcome, used),
    )


def calibration(outcome: Numbers, predicted: Numbers, groups: int = GROUPS) -> tuple[Calibration, ...]:
    """People in groups of like predictions and about like size, the lowest predictions first.

    People with the same prediction stay together, so that a baseline of few values has few groups.
    """
    edges = np.unique(np.quantile(predicted, np.linspace(0, 1, groups + 1)[1:-1], method="inverted_cdf"))
    group = np.searchsorted(edges, predicted, side="left")
    found: list[Calibration] = []
    for number in np.unique(group):
        chosen = group == number
        found.append(
            Calibration(
                predicted=round(float(predicted[chosen].mean()), 4),
                observed=round(float(outcome[chosen].mean()), 4),
                people=int(chosen.sum()),
            )
        )
    return tuple(found)


def calibration_error(groups: Sequence[Calibration]) -> float:
    """Mean distance of predicted and observed, weighted by people."""
    people = sum(group.people for group in groups)
    return sum(abs(group.predicted - group.observed) * group.people for group in groups) / people


def ranking(outcome: Numbers, predicted: Numbers) -> float:
    """Area under the receiver operating characteristic, ties counted half; 0.5 where all outcomes are the same."""
    from scipy.stats import rankdata

    happened = outcome > 0
    positives, negatives = int(happened.sum()), int((~happened).sum())
    if not positives or not negatives:
        return 0.5
    ranks = rankdata(predicted)
    return float((ranks[happened].sum() - positives * (positives + 1) / 2) / (positives * negatives))
