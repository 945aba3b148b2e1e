"""Linkage as a whole: find pairs, train, score, and group rows into people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from millstream.state.identity.linkage.clusters import FORBIDDEN, cluster
from millstream.state.identity.linkage.comparisons import comparisons_for
from millstream.state.identity.linkage.copies import Copies
from millstream.state.identity.linkage.engine import Engine, Pairs
from millstream.state.identity.linkage.model import Model, fit_related, start, train
from millstream.state.identity.linkage.people import People
from millstream.state.identity.linkage.rules import LinkageRules, odds
from millstream.state.identity.linkage.scoring import Frequencies, Scores, by_chance, promising, score

_ROUNDS = 2
"""How often the model is fitted anew to people, once rows are grouped into some."""
_STEPS = 10
_LIKELY = 3.0
"""Weight from which a pair counts while values are counted by person."""
_NEAR = -3.0
"""Weight from which a pair draws the two rows' neighbours into one component."""
_MOST_COMPLETED = 2_000_000
_HOPELESS = -20.0
_UNRELATED = 1e-6
"""Pairs that are related with no more of a chance do not count in fitting."""


class Apart(Protocol):
    """What holds rows apart that all else may say of one person."""

    def between(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Of each pair of rows, whether it must not become one person."""

    def concerned(self) -> np.ndarray:
        """The rows that may be in such a pair."""


@dataclass
class Linked:
    """What linkage found.

    Attributes:
        labels: The smallest row of each row's group.
        left: A row of each pair that is not hopeless, or must not be one person.
        right: The other.
        weight: Binary logarithm of the odds that both are one person; ``FORBIDDEN`` where they must not be.
        levels: How well each thing compared agrees.
        parts: What each adds to the weight, against strangers.
        model: The trained model.
    """

    labels: np.ndarray
    left: np.ndarray
    right: np.ndarray
    weight: np.ndarray
    levels: np.ndarray
    parts: np.ndarray
    model: Model


def link_people(
    people: People,
    rules: LinkageRules,
    *,
    model: Model | None = None,
    fresh: Sequence[bool] | None = None,
    together: Sequence[tuple[int, int]] = (),
    apart: Apart | None = None,
) -> Linked | None:
    """Group rows into people.

    Args:
        people: The rows.
        rules: Thresholds and guards.
        model: A trained model to score with; trained on these rows when missing.
        fresh: Rows of which one must be in each pair; None means all.
        together: Pairs to compare in any case.
        apart: Which pairs must not become one person.

    Returns:
        None where there is nothing to compare.
    """
    comparisons = comparisons_for(people, rules.backend)
    if people.size < 2 or not comparisons:
        return None
    copies = Copies.of(people, fresh, np.empty(0, np.int64) if apart is None else apart.concerned())
    people = copies.people(people)
    fresh = None if fresh is None else np.asarray(fresh, dtype=bool)[copies.rows].tolist()
    engine = Engine(people, comparisons, backend=rules.backend, url=rules.place(), fresh=fresh)
    pairs = engine.candidates(rules.pairs(people.size))
    pairs = _joined(pairs, engine.compare(*_unknown(people.size, pairs, copies.numbers(together))))
    trained = model is None
    if model is None:
        whole = len(pairs) == people.size * (people.size - 1) // 2
        sample = None if whole else engine.random_pairs()
        model = train(start(comparisons, people.size), pairs, sample, people.size)
    pairs = promising(model, pairs, _HOPELESS)
    scores = score(model, pairs)
    for _ in range(_ROUNDS):
        labels = _likely(people.size, pairs, scores)
        joined = copies.joined(pairs.left, pairs.right, scores.weight, by_chance(scores.parts, model), _LIKELY)
        pairs = _complete(engine, pairs, scores, labels)
        frequencies = Frequencies(people, model, labels, copies.first[joined < 0])
        if trained:
            model = _fitted(model, pairs, frequencies, people.size)
        scores = score(model, pairs, frequencies)
    rows = copies.rows
    held = np.zeros(len(pairs), dtype=bool) if apart is None else apart.between(rows[pairs.left], rows[pairs.right])
    kept = np.flatnonzero((scores.weight > _HOPELESS) | held)
    left, right = pairs.left[kept], pairs.right[kept]
    weight = np.where(held[kept], FORBIDDEN, scores.weight[kept])
    groups = cluster(people.size, left, right, weight, at=odds(rules.merge_at), most=rules.max_cluster)
    linked = Linked(groups, left, right, weight, pairs.levels[kept], scores.parts[kept], model)
    return _given_back(linked, copies, odds(rules.merge_at))


def _given_back(linked: Linked, copies: Copies, at: float) -> Linked:
    """What was found of rows that stand for others, of all: each of those is linked as the next equal row is."""
    chance = by_chance(linked.parts, linked.model)
    pairs = copies.joined(linked.left, linked.right, linked.weight, chance, at)
    found = (pairs >= 0) & (linked.labels[copies.first] == linked.labels[copies.second])
    labels = np.arange(len(copies.rows) + len(copies.others))
    labels[copies.rows] = copies.rows[linked.labels]
    labels[copies.others[found]] = copies.rows[linked.labels[copies.first[found]]]
    of = np.concatenate([np.arange(len(linked.left)), pairs[found]])
    return Linked(
        labels,
        np.concatenate([copies.rows[linked.left], copies.rows[copies.first[found]]]),
        np.concatenate([copies.rows[linked.right], copies.others[found]]),
        linked.weight[of],
        linked.levels[of],
        linked.parts[of],
        linked.model,
    )


def _fitted(model: Model, pairs: Pairs, frequencies: Frequencies, rows: int) -> Model:
    """The model fitted anew, with values counted by person instead of by row as far as rows are grouped."""
    all_pairs = max(1.0, rows * (rows - 1) / 2)
    related = _taken(pairs, score(model, pairs, frequencies).chances[:, 1] < 1 - _UNRELATED)
    for _ in range(_STEPS):
        chances = np.delete(score(model, related, frequencies).chances, 1, axis=1)
        model = fit_related(model, related.levels, chances, all_pairs)
    return model


def _likely(rows: int, pairs: Pairs, scores: Scores) -> np.ndarray:
    """Groups to count values by. However large, one is one person: in pieces it would make its own values common."""
    kept = scores.weight > _HOPELESS
    return cluster(rows, pairs.left[kept], pairs.right[kept], scores.weight[kept], at=_LIKELY, most=rows)


def _complete(engine: Engine, pairs: Pairs, scores: Scores, labels: np.ndarray) -> Pairs:
    """Compare also the pairs that share no key within a group, and between groups that may be one."""
    rows = len(labels)
    near = scores.weight > _NEAR
    one, other = labels[pairs.left[near]], labels[pairs.right[near]]
    between = np.unique(np.minimum(one, other) * rows + np.maximum(one, other))
    sizes = np.bincount(labels, minlength=rows)
    products = sizes[between // rows] * sizes[between % rows]
    order = np.argsort(products, kind="stable")
    order = order[(np.cumsum(products[order]) <= _MOST_COMPLETED) & (products[order] > 1)]
    members = np.split(np.argsort(labels, kind="stable"), np.cumsum(sizes)[:-1])
    wanted = [np.empty((0, 2), np.int64)]
    for code in between[order].tolist():
        ours, theirs = members[code // rows], members[code % rows]
        wanted.append(np.stack([np.repeat(ours, len(theirs)), np.tile(theirs, len(ours))], axis=1))
    return _joined(pairs, engine.compare(*_unknown(rows, pairs, np.concatenate(wanted))))


def _unknown(rows: int, pairs: Pairs, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Those of the pairs wanted that were not compared."""
    low, high = wanted.min(axis=1), wanted.max(axis=1)
    codes = np.unique((low * rows + high)[low != high])
    codes = codes[~np.isin(codes, pairs.left * rows + pairs.right)]
    return codes // rows, codes % rows


def _taken(pairs: Pairs, kept: np.ndarray) -> Pairs:
    return Pairs(pairs.left[kept], pairs.right[kept], pairs.levels[kept])


def _joined(one: Pairs, other: Pairs) -> Pairs:
    return Pairs(
        np.concatenate([one.left, other.left]),
        np.concatenate([one.right, other.right]),
        np.concatenate([one.levels, other.levels]),
    )
