"""From scored pairs to people: average linkage with guards.

Joining whatever a chain of pairs connects lets one wrong pair fuse two people. Here two groups of rows become one only
if their pairs, taken together, say so: each pair counts with its weight, for or against, cut off at limits, and pairs
that were not worth comparing count against. So a bridge of one good pair between two groups that else disagree does
not hold, and a row about which little is said goes where most of a group wants it.
"""

from __future__ import annotations

import heapq

import numpy as np

_LIMIT = 6.0
"""No pair says more than this for one person: beyond it, weights tell of rare values, not of certainty."""
_AGAINST = 3.0
"""No pair says more against, and one that was not compared says so much: two rows of one person often disagree, where
something is misspelled or missing, but rarely do strangers agree on all."""

FORBIDDEN = -1e12
"""The weight of a pair that must not become one person, nor any groups it would join."""


def cluster(rows: int, left: np.ndarray, right: np.ndarray, weight: np.ndarray, *, at: float, most: int) -> np.ndarray:
    """Group rows.

    Args:
        rows: How many there are.
        left: Row of each pair.
        right: The other row.
        weight: Binary logarithm of the odds that both are one person.
        at: The mean weight from which two groups become one; no more than the limit is asked.
        most: No group becomes larger than this.

    Returns:
        The smallest row of each row's group.
    """
    said = np.flatnonzero((weight > -_AGAINST) | (weight <= FORBIDDEN))
    cut = np.where(weight[said] <= FORBIDDEN, FORBIDDEN, np.minimum(weight[said], _LIMIT))
    groups = _Groups(rows, left[said], right[said], cut, _AGAINST)
    groups.join(min(at, _LIMIT), most)
    return groups.labels()


class _Groups:
    """Groups of rows, with the sum and the number of weighed pairs between each two that have any."""

    def __init__(self, rows: int, left: np.ndarray, right: np.ndarray, weight: np.ndarray, against: float) -> None:
        self._parent = list(range(rows))
        self._sizes = [1] * rows
        self._against = against
        self._between: dict[int, dict[int, tuple[float, int]]] = {}
        for a, b, value in zip(left.tolist(), right.tolist(), weight.tolist(), strict=True):
            self._between.setdefault(a, {})[b] = (value, 1)
            self._between.setdefault(b, {})[a] = (value, 1)

    def join(self, at: float, most: int) -> None:
        heap = [
            (-self._mean(a, b), a, b, 1, 1)
            for a, others in self._between.items()
            for b in others
            if a < b and self._mean(a, b) >= at
        ]
        heapq.heapify(heap)
        while heap:
            _, a, b, size_a, size_b = heapq.heappop(heap)
            # What has grown since stands in the heap anew.
            if self._sizes[a] != size_a or self._sizes[b] != size_b or self._parent[a] != a or self._parent[b] != b:
                continue
            if size_a + size_b > most:
                continue
            kept = self._merge(a, b)
            for other in self._between.get(kept, {}):
                mean = self._mean(kept, other)
                if mean >= at:
                    first, second = min(kept, other), max(kept, other)
                    heapq.heappush(heap, (-mean, first, second, self._sizes[first], self._sizes[second]))

    def _mean(self, a: int, b: int) -> float:
        total, count = self._between[a][b]
        pairs = self._sizes[a] * self._sizes[b]
        return (total - self._against * (pairs - count)) / pairs

    def _merge(self, a: int, b: int) -> int:
        keep, gone = (a, b) if len(self._between[a]) >= len(self._between[b]) else (b, a)
        self._parent[gone] = keep
        self._sizes[keep] += self._sizes[gone]
        self._sizes[gone] = 0
        mine = self._between[keep]
        mine.pop(gone, None)
        for other, (total, count) in self._between.pop(gone).items():
            if other == keep:
                continue
            before = mine.get(other, (0.0, 0))
            mine[other] = (before[0] + total, before[1] + count)
            theirs = self._between[other]
            theirs.pop(gone, None)
            theirs[keep] = mine[other]
        return keep

    def labels(self) -> np.ndarray:
        roots = np.array([self._root(row) for row in range(len(self._parent))], dtype=np.int64)
        smallest = np.full(len(roots), len(roots), dtype=np.int64)
        np.minimum.at(smallest, roots, np.arange(len(roots)))
        return smallest[roots]

    def _root(self, row: int) -> int:
        while self._parent[row] != row:
            row = self._parent[row]
        return row
