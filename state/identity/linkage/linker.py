"""Linkage as a whole: find pairs, train, score, and group rows into people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from millstream.state.identity.linkage.clusters import FORBIDDEN, cluster
from millstream.state.identity.linkage.comparisons import comparisons_for
from millstream.state.identity.linkage.engine import Engine, Pairs
from millstream.state.identity.linkage.model import Model, fit_related, start, train
from millstream.state.identity.linkage.people import People
from millstream.state.identity.linkage.rules import LinkageRules, odds
from millstream.state.identity.linkage.scoring import Frequencies, Scores, promising, score

_ROUNDS = 2
"""How often the model is fitted anew to people, once rows are grouped into some."""
_STEPS = 10
_LIKELY = 3.0
"""Weight from which a pair counts while values are counted by person."""
_NEAR = -3.0
"""Weight from which a pair draws the two rows' neighbours into one component."""
_MOST_COMPLETED = 2_000_000
_HOPELESS = -20.0


@dataclass
class Linked:
    """What linkage found.

    Attributes:
        labels: The smallest row of each row's group.
        left: A row of each pair that is not hopeless.
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
    apart: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
) -> Linked | None:
    """Group rows into people.

    Args:
        people: The rows.
        rules: Thresholds and guards.
        model: A trained model to score with; trained on these rows when missing.
        fresh: Rows of which one must be in each pair; None means all.
        together: Pairs to compare in any case.
        apart: Tells, of two arrays of rows, which pairs must not become one person.

    Returns:
        None where there is nothing to compare.
    """
    comparisons = comparisons_for(people, rules.backend)
    if people.size < 2 or not comparisons:
        return None
    url = rules.url.get_secret_value() if rules.url else None
    engine = Engine(people, comparisons, backend=rules.backend, url=url, fresh=fresh)
    pairs = engine.candidates(rules.pairs(people.size))
    labels = np.arange(people.size)
    if model is None:
        whole = len(pairs) == people.size * (people.size - 1) // 2
        sample = None if whole else engine.random_pairs()
        model = train(start(comparisons, people.size), pairs, sample, people.size)
        pairs = promising(model, pairs, _HOPELESS)
        model, labels = _settle(model, people, pairs, rules)
    else:
        pairs = promising(model, pairs, _HOPELESS)
    frequencies = Frequencies(people, model, labels)
    pairs = _complete(engine, pairs, score(model, pairs, frequencies), people.size, together)
    scores = score(model, pairs, frequencies)
    kept = np.flatnonzero(scores.weight > _HOPELESS)
    left, right, weight = pairs.left[kept], pairs.right[kept], scores.weight[kept].copy()
    if apart is not None:
        weight[apart(left, right)] = FORBIDDEN
    groups = cluster(people.size, left, right, weight, at=odds(rules.merge_at), most=rules.max_cluster)
    return Linked(groups, left, right, weight, pairs.levels[kept], scores.parts[kept], model)


def _settle(model: Model, people: People, pairs: Pairs, rules: LinkageRules) -> tuple[Model, np.ndarray]:
    """Count values by person instead of by row, as far as rows are grouped, and fit the model to it."""
    rows = people.size
    all_pairs = max(1.0, rows * (rows - 1) / 2)
    labels = np.arange(rows)
    scores = score(model, pairs)
    for _ in range(_ROUNDS):
        labels = _likely(rows, pairs, scores, rules)
        frequencies = Frequencies(people, model, labels)
        for _ in range(_STEPS):
            scores = score(model, pairs, frequencies)
            related = scores.chances[:, 1] < 1 - 1e-5
            model = fit_related(model, pairs.levels[related], np.delete(scores.chances[related], 1, axis=1), all_pairs)
    return model, _likely(rows, pairs, score(model, pairs, frequencies), rules)


def _likely(rows: int, pairs: Pairs, scores: Scores, rules: LinkageRules) -> np.ndarray:
    kept = scores.weight > _HOPELESS
    weight = scores.weight[kept]
    return cluster(rows, pairs.left[kept], pairs.right[kept], weight, at=_LIKELY, most=rules.max_cluster)


def _complete(engine: Engine, pairs: Pairs, scores: Scores, rows: int, together: Sequence[tuple[int, int]]) -> Pairs:
    """Compare also those pairs within a component that share no key, so that none is judged unseen."""
    near = scores.weight > _NEAR
    wanted = _missing_pairs(rows, pairs, near, together)
    return _joined(pairs, engine.compare(wanted[:, 0], wanted[:, 1])) if len(wanted) else pairs


def _missing_pairs(rows: int, pairs: Pairs, near: np.ndarray, together: Sequence[tuple[int, int]]) -> np.ndarray:
    extra = np.array(together, dtype=np.int64).reshape(-1, 2)
    ends = np.concatenate([np.stack([pairs.left[near], pairs.right[near]], axis=1), extra])
    wanted, left = [np.sort(extra, axis=1)], _MOST_COMPLETED
    for members in sorted(_components(ends), key=len):
        left -= len(members) * (len(members) - 1) // 2
        if left < 0:
            break
        one, other = np.triu_indices(len(members), 1)
        wanted.append(np.stack([members[one], members[other]], axis=1))
    all_wanted = np.concatenate(wanted)
    known = pairs.left * rows + pairs.right
    return all_wanted[~np.isin(all_wanted[:, 0] * rows + all_wanted[:, 1], known)]


def _components(ends: np.ndarray) -> list[np.ndarray]:
    """The rows of each component of three or more, in order."""
    parent: dict[int, int] = {}

    def root(row: int) -> int:
        while parent.setdefault(row, row) != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for one, other in ends.tolist():
        parent[root(one)] = root(other)
    found: dict[int, list[int]] = {}
    for row in list(parent):
        found.setdefault(root(row), []).append(row)
    return [np.array(sorted(members)) for members in found.values() if len(members) > 2]


def _joined(one: Pairs, other: Pairs) -> Pairs:
    return Pairs(
        np.concatenate([one.left, other.left]),
        np.concatenate([one.right, other.right]),
        np.concatenate([one.levels, other.levels]),
    )
