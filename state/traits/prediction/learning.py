"""Learning to foretell whether people will do something: tried on later time, and only trusted where it is better.

The order of things: learn from moments whose outcomes were known when the trial begins; try model and baseline on the
trial's moment; learn anew from all of them; foretell everybody from what is known now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from millstream.state.traits.prediction import history
from millstream.state.traits.prediction.baselines import GroupRates, group_rates
from millstream.state.traits.prediction.classifier import Classifier, fold_of, learn
from millstream.state.traits.prediction.judging import Trial, tried
from millstream.state.traits.prediction.moments import Moments, moments
from millstream.state.traits.prediction.reasons import weights

if TYPE_CHECKING:
    from millstream.state.traits.contract import Context
    from millstream.state.traits.prediction.features import Feature

Numbers = NDArray[np.float64]

LEAST_PEOPLE = 200
"""People that must be there to learn from, and again to try on."""

LEAST_OF_EACH = 30
"""Of them, those with the outcome, and those without it."""

DIGITS = 4
"""Decimals of a prediction: more would only make everybody's value another one each day."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is to be foretold.

    Attributes:
        name: What messages call it.
        horizon: How long the outcome is waited for.
        population: The relation whose people are asked about.
        features: What is known of them.
        recency: The feature whose days the baseline goes by.
        event: Gives the people for whom it came about after one time and until another.
        is_absence: Whether the outcome is that it did not come about.
    """

    name: str
    horizon: timedelta
    population: str
    features: tuple[Feature, ...]
    recency: str
    event: Callable[[datetime, datetime], set[str]]
    is_absence: bool = False

    @property
    def recency_column(self) -> int:
        """Where the baseline's feature stands."""
        return [feature.name for feature in self.features].index(self.recency)


@dataclass(frozen=True)
class Examples:
    """People at moments, with what came after.

    Attributes:
        profile_ids: Who, a row each.
        features: What was known.
        outcome: 1 where it happened, 0 where not.
    """

    profile_ids: list[str]
    features: Numbers
    outcome: Numbers


@dataclass(frozen=True)
class Learned:
    """What was learned, ready to foretell.

    Attributes:
        question: What it foretells.
        moments: When it looked at people.
        people: How many people it learned from.
        trial: How good it was on time it had not seen.
        model: The model, or the baseline where it was not better.
        kind: Which kind of model was tried.
        fingerprint: Of what it learned from.
        reasons: The features that mattered most on the trial, with how much worse it was without them.
    """

    question: Question
    moments: Moments
    people: int
    trial: Trial
    model: Classifier | GroupRates
    kind: str
    fingerprint: str
    reasons: dict[str, float]

    def now(self, context: Context) -> Iterator[tuple[list[str], Numbers]]:
        """People and their probabilities, some at a time."""
        question = self.question
        for people in history.everybody_now(context, question.features, question.population):
            yield people.profile_ids, np.round(_foretold(self.model, question, people.features), DIGITS)


class NothingToLearnError(Exception):
    """There is too little to learn from; the message says what is missing."""


def learned(context: Context, question: Question, begin: datetime | None) -> Learned:
    """Learn to answer a question, while ``history.sampled`` keeps the people's events.

    Args:
        context: The run.
        question: What is to be foretold.
        begin: When the history begins; None where there is none.

    Raises:
        NothingToLearnError: Too little history, too few people, or nearly all of them did the same.
    """
    times = moments(context.as_of, question.horizon, begin) if begin else None
    if times is None:
        days = 2 * question.horizon.days
        raise NothingToLearnError(f"{question.name} needs more than {days} days of history to learn from.")
    before = _together([_examples(context, question, moment) for moment in times.learning])
    after = _examples(context, question, times.tried)
    _check_enough(question, before, "to learn from")
    _check_enough(question, after, "to be tried on")
    first = learn(before.features, before.outcome, fold_of(before.profile_ids))
    plain = _baseline(question, before)
    trial = tried(after.outcome, _foretold(first, question, after.features), _foretold(plain, question, after.features))
    everything = _together([before, after])
    return Learned(
        question=question,
        moments=times,
        people=len(set(everything.profile_ids)),
        trial=trial,
        model=learn(everything.features, everything.outcome, fold_of(everything.profile_ids), first.kind)
        if trial.better
        else _baseline(question, everything),
        kind=first.kind,
        fingerprint=_fingerprint(everything),
        reasons=weights(first, after.features, after.outcome, [feature.name for feature in question.features])
        if trial.better
        else {},
    )


def _foretold(model: Classifier | GroupRates, question: Question, features: Numbers) -> Numbers:
    if isinstance(model, GroupRates):
        return model.predict(features[:, question.recency_column])
    return model.predict(features)


def _baseline(question: Question, examples: Examples) -> GroupRates:
    return group_rates(examples.features[:, question.recency_column], examples.outcome)


def _examples(context: Context, question: Question, moment: datetime) -> Examples:
    people = history.people_at(context, question.features, question.population, moment)
    happened = question.event(moment, moment + question.horizon)
    outcome = np.fromiter((each in happened for each in people.profile_ids), np.float64, len(people.profile_ids))
    return Examples(people.profile_ids, people.features, 1 - outcome if question.is_absence else outcome)


def _together(parts: Sequence[Examples]) -> Examples:
    return Examples(
        [profile_id for part in parts for profile_id in part.profile_ids],
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.outcome for part in parts]),
    )


def _check_enough(question: Question, examples: Examples, purpose: str) -> None:
    people = len(set(examples.profile_ids))
    happened = np.array(examples.outcome) > 0
    with_it = len({each for each, did in zip(examples.profile_ids, happened, strict=True) if did})
    without = len({each for each, did in zip(examples.profile_ids, happened, strict=True) if not did})
    if people < LEAST_PEOPLE or min(with_it, without) < LEAST_OF_EACH:
        raise NothingToLearnError(
            f"{question.name} needs {LEAST_PEOPLE} people {purpose}, {LEAST_OF_EACH} with the outcome and "
            f"{LEAST_OF_EACH} without it; there are {people}, {with_it} and {without}."
        )


def _fingerprint(examples: Examples) -> str:
    from hashlib import sha256

    made = sha256(np.ascontiguousarray(examples.features).tobytes())
    made.update(examples.outcome.tobytes())
    return made.hexdigest()[:8]
