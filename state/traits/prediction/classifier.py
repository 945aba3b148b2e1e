"""A calibrated classifier: which kind of model, and how its numbers become probabilities, is found by cross-validation.

Two kinds are tried: a logistic regression on the logarithms of the features, which is hard to beat on little data, and
gradient boosting on histograms, which sees how features work together and is tried where there is enough data for it.
Whatever is chosen is chosen on the part that is learned from; the trial on later time comes after.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

Numbers = NDArray[np.float64]
Kind = Literal["logistic regression", "gradient boosting"]

SEED = 7
FOLDS = 3
ENOUGH_FOR_BOOSTING = 5_000
"""Rows from which on gradient boosting is tried."""

ENOUGH_TO_CHOOSE = 20_000
"""Rows, picked at random, by which the kind of model is chosen."""

ENOUGH_FOR_THREADS = 50_000
"""Rows from which on several threads are quicker: for less they spend their time waiting for each other."""

ENOUGH_FOR_STEPS = 1_000
"""Rows of the rarer outcome from which on probabilities are calibrated in steps instead of by a curve."""

LEAST, MOST = 0.001, 0.999
"""Nobody's future is certain."""


_UNKNOWN = -1.0
"""What trees see where nothing is known: no count, day or share is below 0."""


class _Estimator(Protocol):
    def fit(self, features: Numbers, outcome: Numbers) -> object: ...

    def predict_proba(self, features: Numbers) -> Numbers: ...


@dataclass(frozen=True)
class _Model:
    """An estimator and the features that say something: those that are the same for everybody are left out."""

    estimator: _Estimator
    columns: NDArray[np.bool_]
    unknown: float

    def probabilities(self, features: Numbers) -> Numbers:
        return self.estimator.predict_proba(_seen(features, self.columns, self.unknown))[:, 1]


@dataclass(frozen=True)
class Classifier:
    """A model with its calibration.

    Attributes:
        kind: Which kind of model was chosen.
        model: The model, fitted on all rows.
        calibrate: Turns its probabilities into those that were observed.
    """

    kind: Kind
    model: _Model
    calibrate: Callable[[Numbers], Numbers]

    def predict(self, features: Numbers) -> Numbers:
        """The probability of the outcome, for each row of features."""
        if not len(features):
            return np.empty(0)
        with _threads(len(features)):
            return np.clip(self.calibrate(self.model.probabilities(features)), LEAST, MOST)


def learn(features: Numbers, outcome: Numbers, folds: NDArray[np.int64], kind: Kind | None = None) -> Classifier:
    """Fit a classifier.

    Args:
        features: A row a person and moment, NaN where nothing is known. None is needed to be of a scale.
        outcome: 1 where it happened, 0 where not; both must be there.
        folds: 0 to ``FOLDS - 1`` a row. All rows of a person are in one fold, so that nobody is predicted by what was
            learned of themselves.
        kind: The kind of model; the better one by cross-validation when left out.
    """
    with _threads(len(features)):
        chosen = kind or _chosen(features, outcome, folds)
        predicted = _out_of_fold(chosen, features, outcome, folds)
        return Classifier(chosen, _fitted(chosen, features, outcome), _calibration(predicted, outcome))


def _threads(rows: int) -> AbstractContextManager[object]:
    import sklearn.ensemble  # noqa: F401  brings the threads that are limited
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[object] = threadpool_limits(None if rows >= ENOUGH_FOR_THREADS else 1)
    return limits


def fold_of(profile_ids: list[str]) -> NDArray[np.int64]:
    """The fold of each person, by their id alone."""
    from zlib import crc32

    return np.array([crc32(profile_id.encode()) % FOLDS for profile_id in profile_ids], dtype=np.int64)


def _chosen(features: Numbers, outcome: Numbers, folds: NDArray[np.int64]) -> Kind:
    """The kind that foretells people who were held out best."""
    if len(features) < ENOUGH_FOR_BOOSTING:
        return "logistic regression"
    some = np.sort(np.random.default_rng(SEED).permutation(len(features))[:ENOUGH_TO_CHOOSE])
    features, outcome, folds = features[some], outcome[some], folds[some]
    kinds: tuple[Kind, ...] = ("logistic regression", "gradient boosting")
    return min(kinds, key=lambda each: _log_loss(outcome, _out_of_fold(each, features, outcome, folds)))


def _out_of_fold(kind: Kind, features: Numbers, outcome: Numbers, folds: NDArray[np.int64]) -> Numbers:
    """What models that have not seen a row's person say of it."""
    predicted = np.full(len(outcome), outcome.mean())
    for fold in range(FOLDS):
        held_out = folds == fold
        if not held_out.any() or len(np.unique(outcome[~held_out])) < 2:
            continue
        predicted[held_out] = _fitted(kind, features[~held_out], outcome[~held_out]).probabilities(features[held_out])
    return predicted


def _fitted(kind: Kind, features: Numbers, outcome: Numbers) -> _Model:
    unknown = _UNKNOWN if kind == "gradient boosting" else np.nan
    told = np.where(np.isnan(features), _UNKNOWN, features)
    columns = told.max(axis=0) > told.min(axis=0)
    estimator = _estimator(kind)
    estimator.fit(_seen(features, columns, unknown), outcome)
    return _Model(estimator, columns, unknown)


def _seen(features: Numbers, columns: NDArray[np.bool_], unknown: float) -> Numbers:
    """The features as an estimator sees them: one at least, and nothing unknown where it cannot be."""
    chosen = features[:, columns] if columns.any() else np.zeros((len(features), 1))
    return chosen if np.isnan(unknown) else np.where(np.isnan(chosen), unknown, chosen)


def _estimator(kind: Kind) -> _Estimator:
    if kind == "gradient boosting":
        from sklearn.ensemble import HistGradientBoostingClassifier

        boosting: _Estimator = HistGradientBoostingClassifier(
            learning_rate=0.06,
            max_iter=100,
            max_leaf_nodes=15,
            min_samples_leaf=50,
            l2_regularization=1.0,
            early_stopping=False,
            random_state=SEED,
        )
        return boosting
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    logistic: _Estimator = make_pipeline(
        FunctionTransformer(_logarithms),
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        StandardScaler(),
        LogisticRegression(C=0.1, max_iter=1_000, random_state=SEED),
    )
    return logistic


def _logarithms(features: Numbers) -> Numbers:
    """Counts, days and money differ by factors rather than by amounts."""
    return np.sign(features) * np.log1p(np.abs(features))


def _calibration(predicted: Numbers, outcome: Numbers) -> Callable[[Numbers], Numbers]:
    """How predictions of people who were held out became outcomes."""
    rarer = int(min(outcome.sum(), len(outcome) - outcome.sum()))
    if rarer >= ENOUGH_FOR_STEPS:
        from sklearn.isotonic import IsotonicRegression

        steps = IsotonicRegression(out_of_bounds="clip").fit(predicted, outcome)
        return lambda new: np.asarray(steps.predict(new), dtype=np.float64)
    from sklearn.linear_model import LogisticRegression

    curve = LogisticRegression(C=1e6, max_iter=1_000).fit(_log_odds(predicted)[:, None], outcome)
    slope, shift = float(curve.coef_[0, 0]), float(curve.intercept_[0])
    return lambda new: 1 / (1 + np.exp(-(slope * _log_odds(new) + shift)))


def _log_odds(probability: Numbers) -> Numbers:
    certain = np.clip(probability, LEAST, MOST)
    return np.log(certain / (1 - certain))


def _log_loss(outcome: Numbers, predicted: Numbers) -> float:
    certain = np.clip(predicted, LEAST, MOST)
    return -float(np.mean(np.where(outcome > 0, np.log(certain), np.log(1 - certain))))
