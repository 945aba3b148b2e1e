"""What agreement is worth: the Fellegi-Sunter model, trained by expectation maximisation without labels.

Sorts of pairs are told apart: one person twice, at one address or after a move; two people of one household, who
share a last name, an address or a phone but no more of what is a person's own than strangers do; twins, and father and
son of one name; and strangers. Without households, a shared address would pass for proof of a shared identity; without
moves, what a new address changes at once would count against it several times.

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
_ALIKE = {"twins": 0.005, "namesakes": 0.02}
"""Pairs of twins, and of father and son of one name, for each person: no more than this."""
_ALIKE_UNSEEN = 0.0005
"""The same where no street tells a household from namesakes of one town: it would be one person misspelled."""


@dataclass
class Sort:
    """Pairs of one person who moved, or of two people who share more than strangers do.

    Attributes:
        sharing: What two people share: comparisons whose ``shared`` is one of these; of ``kin``, who live apart, what
            a household shares but the address. Empty where it is one person.
        share: Chance that two random rows are such a pair.
        h: For each comparison, chance of each level among them.
    """

    sharing: tuple[Sharing, ...]
    share: float
    h: list[np.ndarray]

    @property
    def moved(self) -> bool:
        """Whether it is one person, who moved."""
        return not self.sharing

    def own(self, comparison: Comparison) -> bool:
        """Whether the levels of a comparison are fitted to these pairs, not to all of one person or to strangers."""
        if "kin" in self.sharing:
            return comparison.shared == "household" and not comparison.moves
        return comparison.moves if self.moved else comparison.shared in self.sharing


@dataclass
class Model:
    """The trained model.

    Attributes:
        comparisons: What is compared.
        match: Chance that two random rows are one person.
        m: For each comparison, chance of each level (from nothing agrees to the same) where they are one person.
        u: The same for strangers.
        sorts: Other sorts of pairs.
    """

    comparisons: tuple[Comparison, ...]
    match: float
    m: list[np.ndarray]
    u: list[np.ndarray]
    sorts: list[Sort] = field(default_factory=list)

    @property
    def shares(self) -> list[float]:
        """The chance of each sort of pair: one person who stayed, strangers, and each other sort."""
        moved = sum(each.share for each in self.sorts if each.moved)
        related = sum(each.share for each in self.sorts if not each.moved)
        return [self.match - moved, 1 - self.match - related, *(each.share for each in self.sorts)]

    @property
    def chances(self) -> list[list[np.ndarray]]:
        """The chances of levels among each sort of pair, in the same order."""
        return [self.m, self.u, *(each.h for each in self.sorts)]


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
        if sum(each.moves for each in comparisons) > 1:
            sorts.append(("household", "namesakes"))
    relatives = [
        Sort(
            sharing,
            match * (0.3 if len(sharing) == 1 else 0.02),
            [m_ if each.shared in sharing else u_ for each, m_, u_ in zip(comparisons, m, u, strict=True)],
        )
        for sharing in sorts
    ]
    if sum(each.moves for each in comparisons) >= 2 and not all(each.moves for each in comparisons):
        elsewhere = [u_ if each.moves else m_ for each, m_, u_ in zip(comparisons, m, u, strict=True)]
        apart = [
            u_ if each.moves or each.shared != "household" else m_
            for each, m_, u_ in zip(comparisons, m, u, strict=True)
        ]
        # A family moves together: two of one name and phone may be told of at two addresses, too.
        relatives += [Sort((), 0.1 * match, elsewhere), Sort(("kin",), 0.03 * match, apart)]
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
        weights: A column for one person who stayed, and one for each other sort but strangers.
        all_pairs: How many pairs of rows there are.
    """
    moved = [number for number, sort in enumerate(model.sorts, 1) if sort.moved]
    same = weights[:, [0, *moved]].sum(axis=1)
    m = []
    for column, each in enumerate(model.comparisons):
        counted = _count(levels[:, column], weights[:, 0] if moved and each.moves else same, each)
        m.append(_capped(_fit(counted, _before(each, "m"), _PRIOR_MATCHES), each))
    match = min(0.5, (same.sum() + 0.1) / (all_pairs + 1))
    sorts: list[Sort] = []
    for number, sort in enumerate(model.sorts, 1):
        share = (weights[:, number].sum() + 0.03) / (all_pairs + 1)
        for alike, most in _ALIKE.items():
            if alike in sort.sharing:
                each_person = most if sum(each.moves for each in model.comparisons) > 1 else _ALIKE_UNSEEN
                share = min(share, _share_of(each_person, same.sum(), all_pairs))
        h = _fit_sort(replace(model, m=m, sorts=sorts), sort, levels, weights[:, number])
        sorts.append(replace(sort, share=min(0.4, match if sort.moved else 1.0, share), h=h))
    total = match + sum(each.share for each in sorts if not each.moved)
    if total > 0.9:
        match *= 0.9 / total
        sorts = [replace(each, share=each.share * 0.9 / total) for each in sorts]
    return replace(model, m=m, match=match, sorts=sorts)


def _fit_sort(model: Model, sort: Sort, levels: np.ndarray, weights: np.ndarray) -> list[np.ndarray]:
    """The chance of each level among pairs of a sort, by a model that has the sorts before it fitted."""
    others = model.m if sort.moved else model.u
    # Twins, father and son share an address or a phone as any household does. Fitted to themselves alone, these few
    # pairs would take in whoever has one of two things that differ.
    household = model.sorts[0].h if model.sorts and model.sorts[0].sharing == ("household",) else None
    found = []
    for column, each in enumerate(model.comparisons):
        if not sort.own(each):
            found.append(others[column])
        elif each.as_one:
            found.append(model.m[column])
        elif household is not None and each.shared == "household" and not sort.moved:
            found.append(household[column])
        else:
            before = _before(each, "u" if sort.moved else "m")
            found.append(_fit(_count(levels[:, column], weights, each), before, _PRIOR_MATCHES))
    return found


def _share_of(each_person: float, matches: float, all_pairs: float) -> float:
    """The chance that two random rows are such relatives, if everybody has so many.

    Data cannot tell twins from one person whose first name was written in two ways, so we say how many there are.
    """
    rows = (2 * all_pairs) ** 0.5 + 1
    rows_a_person = 1 + 2 * matches / rows
    return float(each_person * rows * rows_a_person / all_pairs)


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
