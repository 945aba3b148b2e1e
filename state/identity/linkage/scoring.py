"""The match weight of each pair: what its levels are worth, with rare values counting for more than common ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from millstream.state.identity.linkage.engine import Pairs
from millstream.state.identity.linkage.model import Model, distinct_patterns
from millstream.state.identity.linkage.people import People

_SMALLEST = 1e-9
_RARE = 0.5
"""A value that nobody else bears counts as if half a person did."""


@dataclass
class Scores:
    """Scored pairs.

    Attributes:
        weight: Binary logarithm of the odds that both are one person.
        parts: What each comparison adds to it, against strangers.
        household: What is taken off because two people of one household could agree as much.
        chances: The chances of one person, one household, and strangers.
    """

    weight: np.ndarray
    parts: np.ndarray
    household: np.ndarray
    chances: np.ndarray


class Frequencies:
    """How common each value is among people, not rows, so that somebody's many rows make no value common.

    Args:
        people: The rows.
        model: Whose comparisons count.
        labels: Which rows are one person, as far as known.
        more: Rows of which there is one more, of somebody else, for each time that they are named.
    """

    def __init__(self, people: People, model: Model, labels: np.ndarray, more: np.ndarray) -> None:
        self._labels = labels
        self._columns: dict[tuple[int, int], tuple[np.ndarray, np.ndarray, int]] = {}
        for column, comparison in enumerate(model.comparisons):
            for place, level in enumerate(comparison.levels):
                if level.exact_of is not None and level.exact_of in people.fields:
                    number = len(comparison.levels) - 1 - place
                    self._columns[column, number] = _count_people(people.fields[level.exact_of], labels, more)

    def strangers(self, model: Model, pairs: Pairs, column: int) -> np.ndarray:
        """Chance of each pair's level in one comparison among strangers."""
        levels = pairs.levels[:, column]
        found = np.append(np.maximum(model.u[column], _SMALLEST), 1.0)[levels]
        for (of, number), (codes, bearers, persons) in self._columns.items():
            if of != column:
                continue
            rows = np.flatnonzero(levels == number)
            left, right = pairs.left[rows], pairs.right[rows]
            value = codes[left]
            # Others who bear the value: neither of these two.
            others = bearers[value] - 1 - (self._labels[left] != self._labels[right])
            usual = float(model.u[column][number])
            rare = min(usual, _RARE / max(1, persons))
            found[rows] = np.where(others > 0, np.maximum(others, _RARE) / max(1, persons), rare)
        return np.asarray(found)


def _count_people(values: list[str | None], labels: np.ndarray, more: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """The number of each row's value, how many people bear it, and how many people have any."""
    numbers: dict[str, int] = {}
    codes = np.array([-1 if value is None else numbers.setdefault(value, len(numbers)) for value in values])
    known = codes >= 0
    pairs = np.unique(np.stack([codes[known], labels[known]], axis=1), axis=0) if known.any() else np.empty((0, 2), int)
    others = codes[more][known[more]]
    bearers = np.bincount(np.concatenate([pairs[:, 0], others]), minlength=len(numbers) + 1)
    return codes, bearers, len(np.unique(pairs[:, 1])) + len(others)


def score(model: Model, pairs: Pairs, frequencies: Frequencies | None = None) -> Scores:
    """Score compared pairs."""
    strangers = np.zeros((len(pairs), len(model.comparisons)))
    for column in range(len(model.comparisons)):
        if frequencies is None:
            chance = np.append(np.maximum(model.u[column], _SMALLEST), 1.0)[pairs.levels[:, column]]
        else:
            chance = frequencies.strangers(model, pairs, column)
        strangers[:, column] = np.log2(chance)
    matches = _logs(model.m, pairs.levels)
    logs = [matches.sum(axis=1), strangers.sum(axis=1)]
    for sort in model.sorts:
        if sort.moved:
            elsewhere = _logs(sort.h, pairs.levels)
            logs.append(elsewhere.sum(axis=1))
        else:
            own = np.array([sort.own(each) for each in model.comparisons])
            logs.append(np.where(own, _logs(sort.h, pairs.levels), strangers).sum(axis=1))
    weighted = np.stack(logs, axis=1) + np.log2(np.maximum(model.shares, 1e-300))
    one_person = np.array([True, False, *(each.moved for each in model.sorts)])
    same = np.logaddexp2.reduce(weighted[:, one_person], axis=1)
    against = np.logaddexp2.reduce(weighted[:, ~one_person], axis=1)
    if one_person[2:].any():
        # Told as it most likely was: at one address, or after a move.
        stayed = weighted[:, 0] >= weighted[:, 2:][:, one_person[2:]].max(axis=1)
        matches = np.where(stayed[:, None], matches, elsewhere)
    return Scores(
        weight=same - against,
        parts=matches - strangers,
        household=weighted[:, 1] - against,
        chances=np.exp2(weighted - np.logaddexp2(same, against)[:, None]),
    )


def by_chance(parts: np.ndarray, model: Model) -> np.ndarray:
    """The weight of each pair against strangers alone, who agree by chance, from what its comparisons add to it."""
    return np.asarray(parts.sum(axis=1) + np.log2(max(model.match, 1e-300)))


def promising(model: Model, pairs: Pairs, least: float) -> Pairs:
    """The pairs with this weight or more, before it is asked how rare their values are."""
    patterns, where = distinct_patterns(pairs.levels)
    unnamed = np.zeros(len(patterns), dtype=np.int64)
    kept = np.flatnonzero((score(model, Pairs(unnamed, unnamed, patterns)).weight >= least)[where])
    return Pairs(pairs.left[kept], pairs.right[kept], pairs.levels[kept])


def _logs(chances: list[np.ndarray], levels: np.ndarray) -> np.ndarray:
    found = np.empty(levels.shape)
    for column, each in enumerate(chances):
        found[:, column] = np.append(np.log2(np.maximum(each, _SMALLEST)), 0.0)[levels[:, column]]
    return found
