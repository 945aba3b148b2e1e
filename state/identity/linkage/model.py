"""What agreement is worth: the Fellegi-Sunter model, trained by expectation maximisation without labels.

Three sorts of pairs are told apart: one person twice; two people of one household, who share a last name, an address
or a phone but no more of what is a person's own than strangers do; and strangers. Without the second sort, a shared
address would pass for proof of a shared identity.

Expectation runs over the pairs found by blocking and a random sample of all pairs at once, with the prior of all
pairs; so the parameters of every comparison are estimated together, and agreement by chance is counted among
strangers only, however many duplicates a file holds. (Splink's own training leaves out what a block agrees on,
and takes random pairs for strangers.)

After: Fellegi & Sunter (1969); Winkler (1988), EM with latent classes; Yancey (2000), term frequencies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from millstream.state.identity.linkage.comparisons import Comparison, Sharing
from millstream.state.identity.linkage.engine import Pairs

_ROUNDS = 100
_CONVERGED = 1e-4
_PRIOR_MATCHES = 10.0
"""How many made-up pairs the starting values of a level count for."""
_PRIOR_STRANGERS = 10.0
_SMALLEST = 1e-9
_TWINS = 0.0005
"""Pairs of twins for each person."""


@dataclass
class Relatives:
    """Pairs of two people who share more than strangers do.

    Attributes:
        sharing: What they share: comparisons whose ``shared`` is one of these.
        share: Chance that two random rows are such a pair.
        h: For each comparison, chance of each level among them.
    """

    sharing: tuple[Sharing, ...]
    share: float
    h: list[np.ndarray]


@dataclass
class Model:
    """The trained model.

    Attributes:
        comparisons: What is compared.
        match: Chance that two random rows are one person.
        m: For each comparison, chance of each level (from nothing agrees to the same) where they are one person.
        u: The same for strangers.
        relatives: Other sorts of pairs.
    """

    comparisons: tuple[Comparison, ...]
    match: float
    m: list[np.ndarray]
    u: list[np.ndarray]
    relatives: list[Relatives] = field(default_factory=list)

    @property
    def shares(self) -> list[float]:
        """The chance of each sort of pair: one person, strangers, and each sort of relatives."""
        others = [each.share for each in self.relatives]
        return [self.match, 1 - self.match - sum(others), *others]

    @property
    def chances(self) -> list[list[np.ndarray]]:
        """The chances of levels among each sort of pair, in the same order."""
        return [self.m, self.u, *(each.h for each in self.relatives)]


@dataclass
class _Patterns:
    """Combinations of levels, and how many pairs show each: among candidates, and in the random sample."""

    levels: np.ndarray
    found: np.ndarray
    sampled: np.ndarray


def start(comparisons: Sequence[Comparison], rows: int) -> Model:
    """The model before training."""
    match = min(0.1, 0.3 * rows / max(1.0, rows * (rows - 1) / 2))
    m = [np.array([level.m for level in reversed(each.levels)]) for each in comparisons]
    u = [np.array([level.u for level in reversed(each.levels)]) for each in comparisons]
    m, u = ([each / each.sum() for each in values] for values in (m, u))
    names = {each.name for each in comparisons}
    sorts: list[tuple[Sharing, ...]] = []
    shared = sum(each.shared == "household" for each in comparisons)
    if shared >= 2 and any(each.shared != "household" for each in comparisons):
        sorts.append(("household",))
    if shared and {"first name", "birth date"} <= names:
        sorts.append(("household", "twins"))
    relatives = [
        Relatives(
            sharing,
            match * (0.3 if len(sharing) == 1 else 0.02),
            [m_ if each.shared in sharing else u_ for each, m_, u_ in zip(comparisons, m, u, strict=True)],
        )
        for sharing in sorts
    ]
    return Model(tuple(comparisons), match, m, u, relatives)


def train(model: Model, candidates: Pairs, sample: Pairs | None, rows: int) -> Model:
    """Fit the model.

    Args:
        model: Where to start.
        candidates: Pairs found by blocking, each once.
        sample: Random pairs; None where the candidates are all pairs.
        rows: How many rows there are.
    """
    all_pairs = max(1.0, rows * (rows - 1) / 2)
    patterns = _count_patterns(candidates, sample)
    for _ in range(_ROUNDS):
        chances = _chances(model, patterns.levels)
        after = _maximise(model, patterns, chances, all_pairs)
        moved = max(
            (float(np.abs(a - b).max()) for a, b in zip(after.m, model.m, strict=True)),
            default=0.0,
        )
        model = after
        if moved < _CONVERGED:
            break
    return model


def _count_patterns(candidates: Pairs, sample: Pairs | None) -> _Patterns:
    stacked = candidates.levels if sample is None else np.concatenate([candidates.levels, sample.levels])
    patterns, where = distinct_patterns(stacked)
    found = np.bincount(where[: len(candidates)], minlength=len(patterns)).astype(float)
    sampled = np.bincount(where[len(candidates) :], minlength=len(patterns)).astype(float)
    return _Patterns(patterns, found, sampled if sample is not None else found)


def distinct_patterns(levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The combinations of levels that there are, and the number of the one that each pair shows."""
    codes = np.zeros(len(levels), dtype=np.int64)
    for column in range(levels.shape[1]):
        codes = codes * (int(levels[:, column].max(initial=0)) + 2) + (levels[:, column].astype(np.int64) + 1)
    _, first, where = np.unique(codes, return_index=True, return_inverse=True)
    return levels[first], where


def _chances(model: Model, levels: np.ndarray) -> np.ndarray:
    """For each pattern the chance of each sort of pair."""
    logs = np.stack(
        [
            np.log(max(share, 1e-300)) + _log_likelihood(values, levels)
            for share, values in zip(model.shares, model.chances, strict=True)
        ],
        axis=1,
    )
    logs -= logs.max(axis=1, keepdims=True)
    chances = np.exp(logs)
    return np.asarray(chances / chances.sum(axis=1, keepdims=True))


def _log_likelihood(values: Sequence[np.ndarray], levels: np.ndarray) -> np.ndarray:
    total = np.zeros(len(levels))
    for column, chances in enumerate(values):
        # A level of -1 takes the last entry: nothing can be said.
        total += np.append(np.log(np.maximum(chances, _SMALLEST)), 0.0)[levels[:, column]]
    return total


def _maximise(model: Model, patterns: _Patterns, chances: np.ndarray, all_pairs: float) -> Model:
    strangers = patterns.sampled * chances[:, 1]
    u = [
        _fit(_count(patterns.levels[:, column], strangers, each), _before(each, "u"), _PRIOR_STRANGERS)
        for column, each in enumerate(model.comparisons)
    ]
    others = np.delete(chances, 1, axis=1) * patterns.found[:, None]
    return fit_related(replace(model, u=u), patterns.levels, others, all_pairs)


def fit_related(model: Model, levels: np.ndarray, weights: np.ndarray, all_pairs: float) -> Model:
    """Fit all but strangers to pairs, or patterns of them, weighted by the chance of each sort.

    Args:
        model: The model so far.
        levels: Of each pair.
        weights: A column for one person, and one for each sort of relatives.
        all_pairs: How many pairs of rows there are.
    """
    m, relatives = [], []
    for column, each in enumerate(model.comparisons):
        fitted = _fit(_count(levels[:, column], weights[:, 0], each), _before(each, "m"), _PRIOR_MATCHES)
        m.append(_capped(fitted, each))
    for number, sort in enumerate(model.relatives, 1):
        h = [
            _fit(_count(levels[:, column], weights[:, number], each), _before(each, "m"), _PRIOR_MATCHES)
            if each.shared in sort.sharing
            else model.u[column]
            for column, each in enumerate(model.comparisons)
        ]
        share = (weights[:, number].sum() + 0.03) / (all_pairs + 1)
        if "twins" in sort.sharing:
            share = min(share, _twins(weights[:, 0].sum(), all_pairs))
        relatives.append(replace(sort, share=min(0.4, share), h=h))
    match = min(0.5, (weights[:, 0].sum() + 0.1) / (all_pairs + 1))
    total = match + sum(each.share for each in relatives)
    if total > 0.9:
        match *= 0.9 / total
        relatives = [replace(each, share=each.share * 0.9 / total) for each in relatives]
    return replace(model, m=m, match=match, relatives=relatives)


def _twins(matches: float, all_pairs: float) -> float:
    """The largest chance that two random rows are twins.

    Data cannot tell twins from one person whose first name was written in two ways, so we say how many there are.
    """
    rows = (2 * all_pairs) ** 0.5 + 1
    rows_a_person = 1 + 2 * matches / rows
    return float(_TWINS * rows * rows_a_person / all_pairs)


def _before(comparison: Comparison, which: Literal["m", "u"]) -> np.ndarray:
    chances = np.array([getattr(level, which) for level in reversed(comparison.levels)])
    return np.asarray(chances / chances.sum())


def _count(levels: np.ndarray, weights: np.ndarray, comparison: Comparison) -> np.ndarray:
    known = levels >= 0
    return np.bincount(levels[known], weights=weights[known], minlength=len(comparison.levels))


def _fit(counts: np.ndarray, before: np.ndarray, strength: float) -> np.ndarray:
    total = counts.sum()
    fitted = (counts + strength * before) / (total + strength)
    fitted = np.maximum(fitted, np.minimum(before, 0.3 / (total + strength)))
    return np.asarray(fitted / fitted.sum())


def _capped(chances: np.ndarray, comparison: Comparison) -> np.ndarray:
    most = np.array([level.most for level in reversed(comparison.levels)])
    over = chances > most
    if not over.any():
        return chances
    kept = np.where(over, most, chances)
    rest = kept[~over].sum()
    kept[~over] *= (1 - kept[over].sum()) / rest if rest else 1.0
    return np.asarray(kept)
