"""The parts of learned predictions by themselves: moments, baselines, classifiers, and how they are judged."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from millstream.state.traits.prediction import classifier
from millstream.state.traits.prediction.baselines import group_rates
from millstream.state.traits.prediction.judging import calibration, calibration_error, ranking, tried
from millstream.state.traits.prediction.moments import MOST_MOMENTS, moments
from millstream.state.traits.prediction.reasons import weights

NOW = datetime(2026, 6, 15, tzinfo=UTC)
MONTH = timedelta(days=30)


def random_numbers(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


class TestMoments:
    def test_what_is_learned_from_is_over_when_the_trial_begins(self) -> None:
        found = moments(NOW, MONTH, NOW - 10 * MONTH)
        assert found is not None
        assert found.tried + found.horizon == NOW
        assert max(found.learning) + found.horizon == found.tried
        assert len(found.learning) == MOST_MOMENTS
        assert list(found.all) == sorted(found.all)
        assert found.window == (found.learning[0], NOW)

    def test_a_short_past_has_fewer_moments(self) -> None:
        found = moments(NOW, MONTH, NOW - 2.5 * MONTH)
        assert found is not None
        assert found.learning == (NOW - 2 * MONTH,)

    def test_too_short_a_past_has_none(self) -> None:
        assert moments(NOW, MONTH, NOW - 2 * MONTH) is None


class TestJudging:
    def test_the_area_under_the_curve_counts_pairs(self) -> None:
        outcome = np.array([1.0, 0, 1, 0, 0])
        predicted = np.array([0.9, 0.5, 0.5, 0.4, 0.6])
        # Of six pairs, 1-0: 3 right of the first; of the second one right, one tied, one wrong.
        assert ranking(outcome, predicted) == pytest.approx((3 + 1.5) / 6)
        assert ranking(np.ones(3), predicted[:3]) == 0.5

    def test_people_with_one_prediction_stay_in_one_group(self) -> None:
        predicted = np.array([0.1] * 70 + [0.9] * 30)
        outcome = np.array([0.0] * 63 + [1.0] * 7 + [1.0] * 27 + [0.0] * 3)
        groups = calibration(outcome, predicted)
        assert [(group.predicted, group.observed, group.people) for group in groups] == [(0.1, 0.1, 70), (0.9, 0.9, 30)]
        assert calibration_error(groups) == pytest.approx(0)

    def test_calibration_error_is_the_distance_by_people(self) -> None:
        groups = calibration(np.array([0.0, 0, 1, 1]), np.array([0.25, 0.25, 0.5, 0.5]))
        assert calibration_error(groups) == pytest.approx((0.25 + 0.5) / 2)

    def test_a_model_must_be_better_by_more_than_chance(self) -> None:
        chance = random_numbers()
        truth = chance.uniform(0, 1, 400)
        outcome = (chance.random(400) < truth).astype(float)
        flat = np.full(400, outcome.mean())
        assert tried(outcome, truth, flat).better
        assert not tried(outcome, flat, truth).better
        assert not tried(outcome, flat, flat).better
        # Better on the mean, but by a handful of people.
        lucky = flat.copy()
        lucky[np.flatnonzero(outcome)[:2]] = 1.0
        assert tried(outcome, lucky, flat).score < tried(outcome, flat, flat).score
        assert not tried(outcome, lucky, flat).better


class TestBaseline:
    def test_people_of_like_recency_have_their_share(self) -> None:
        recency = np.concatenate([np.full(500, 5.0), np.full(500, 200.0), np.full(100, np.nan)])
        outcome = np.concatenate([np.tile([1.0, 0.0], 250), np.zeros(500), np.ones(100)])
        rates = group_rates(recency, outcome)
        assert rates.predict(np.array([1.0, 5.0, 200.0, 900.0, np.nan])) == pytest.approx([0.5, 0.5, 0, 0, 1], abs=0.07)

    def test_few_people_have_the_overall_share(self) -> None:
        rates = group_rates(np.arange(40.0), np.tile([1.0, 0, 0, 0], 10))
        assert rates.predict(np.array([0.0, 39.0, np.nan])) == pytest.approx([0.25] * 3)


def crossed(rows: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, outcome, and the true probability: high where exactly one of two features is."""
    chance = random_numbers(seed)
    features = chance.gamma(2, 2, (rows, 4))
    features[chance.random((rows, 4)) < 0.1] = np.nan
    told = np.nan_to_num(features)
    truth = np.where((told[:, 0] > 4) ^ (told[:, 1] > 4), 0.8, 0.2)
    return features, (chance.random(rows) < truth).astype(float), truth


class TestClassifier:
    def test_boosting_is_chosen_where_features_work_together(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(classifier, "ENOUGH_FOR_BOOSTING", 2_000)
        features, outcome, truth = crossed(4_000)
        learned = classifier.learn(features[:3_000], outcome[:3_000], np.arange(3_000) % classifier.FOLDS)
        predicted = learned.predict(features[3_000:])
        assert learned.kind == "gradient boosting"
        assert float(np.mean(np.abs(predicted - truth[3_000:]))) < 0.1
        assert calibration_error(calibration(outcome[3_000:], predicted)) < 0.05

    def test_a_plain_signal_is_found_by_the_regression_and_calibrated(self) -> None:
        chance = random_numbers(2)
        features = chance.gamma(2, 20, (3_000, 3))
        truth = 1 / (1 + np.exp(-2 * (np.log1p(features[:, 0]) - 3.5)))
        outcome = (chance.random(3_000) < truth).astype(float)
        learned = classifier.learn(features[:2_000], outcome[:2_000], np.arange(2_000) % classifier.FOLDS)
        predicted = learned.predict(features[2_000:])
        assert learned.kind == "logistic regression"
        assert float(np.mean(np.abs(predicted - truth[2_000:]))) < 0.04
        assert calibration_error(calibration(truth[2_000:], predicted)) < 0.03

    def test_the_same_rows_give_the_same_model(self) -> None:
        features, outcome, _ = crossed(600)
        folds = np.arange(600) % classifier.FOLDS
        for kind in ("logistic regression", "gradient boosting"):
            first, second = (classifier.learn(features, outcome, folds, kind) for _ in range(2))
            np.testing.assert_array_equal(first.predict(features), second.predict(features))

    def test_features_that_say_nothing_do_no_harm(self) -> None:
        features, outcome, _ = crossed(600)
        features = np.column_stack([features, np.full(600, np.nan), np.ones(600)])
        folds = np.arange(600) % classifier.FOLDS
        for kind in ("logistic regression", "gradient boosting"):
            learned = classifier.learn(features, outcome, folds, kind)
            # Nor does something that nobody had known of when it was learned.
            assert np.isfinite(learned.predict(np.full((2, 6), 3.0))).all()
        nothing = classifier.learn(features[:, 4:], outcome, folds)
        assert nothing.predict(features[:3, 4:]) == pytest.approx([outcome.mean()] * 3, abs=0.02)

    def test_nobody_is_foretold_nothing(self) -> None:
        features, outcome, _ = crossed(300)
        learned = classifier.learn(features, outcome, np.arange(300) % classifier.FOLDS)
        assert learned.predict(np.empty((0, 4))).shape == (0,)

    def test_all_rows_of_a_person_are_in_one_fold(self) -> None:
        folds = classifier.fold_of(["a", "b", "c", "d", "a", "b"] * 50)
        assert (folds[:2] == folds[4:6]).all()
        assert set(classifier.fold_of([f"p{number}" for number in range(100)])) == set(range(classifier.FOLDS))

    def test_what_matters_is_named_first(self) -> None:
        chance = random_numbers(4)
        features = chance.gamma(2, 20, (1_500, 3))
        outcome = (features[:, 1] > 40).astype(float)
        learned = classifier.learn(features, outcome, np.arange(1_500) % classifier.FOLDS)
        found = weights(learned, features, outcome, ["first", "second", "third"])
        assert next(iter(found)) == "second"
