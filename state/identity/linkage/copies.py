"""Rows that say the same in every word: a few of them stand for all.

Two thousand equal rows come to two million pairs that all say one thing, in blocks too large to look into. Whether
they are one person the few tell; the others are given back to them afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from millstream.state.identity.linkage.people import People

_STAND_INS = 5
"""So many of a kind are enough to learn from, and to hold their own against rows that differ."""


@dataclass
class Copies:
    """The rows that stand in, and those that they stand for.

    Attributes:
        rows: The rows that stand in, ascending; what is compared numbers them from 0.
        others: The rows that they stand for.
        first: For each of those, the number of the first row that is equal to it.
        second: The number of the next one.
    """

    rows: np.ndarray
    others: np.ndarray
    first: np.ndarray
    second: np.ndarray

    @classmethod
    def of(cls, people: People, fresh: Sequence[bool] | None, bound: np.ndarray) -> Copies:
        """Choose who stands in: of equal rows the first, then fresh ones; of those that are bound, each for itself."""
        kinds = _equal_rows(people)
        kinds[bound] = people.size + np.arange(len(bound))
        later = np.ones(people.size, dtype=bool)
        later[np.unique(kinds, return_index=True)[1]] = False
        known = np.zeros(people.size, dtype=bool) if fresh is None else ~np.asarray(fresh, dtype=bool)
        order = np.lexsort((known, later, kinds))
        starts = np.flatnonzero(np.diff(kinds[order], prepend=-1))
        starts = np.repeat(starts, np.diff(starts, append=people.size))
        more = np.arange(people.size) - starts >= _STAND_INS
        stands = np.ones(people.size, dtype=bool)
        stands[order[more]] = False
        number = np.cumsum(stands) - 1
        return cls(np.flatnonzero(stands), order[more], number[order[starts[more]]], number[order[starts[more] + 1]])

    def people(self, people: People) -> People:
        """Those who stand in."""
        if not len(self.others):
            return people
        rows = self.rows.tolist()
        fields = {name: [values[row] for row in rows] for name, values in people.fields.items()}
        return replace(people, size=len(rows), fields=fields, birth_days=[people.birth_days[row] for row in rows])

    def numbers(self, pairs: Sequence[tuple[int, int]]) -> np.ndarray:
        """The numbers of those who stand for the rows of some pairs."""
        number = np.zeros(len(self.rows) + len(self.others), dtype=np.int64)
        number[self.rows] = np.arange(len(self.rows))
        number[self.others] = self.first
        return number[np.array(pairs, np.int64).reshape(-1, 2)]

    def joined(
        self, left: np.ndarray, right: np.ndarray, weight: np.ndarray, by_chance: np.ndarray, at: float
    ) -> np.ndarray:
        """For each of the others the pair that tells what it is to the first row that equals it, or -1.

        Were they different people, agreeing by chance on all would be as many times as common as they are many. So
        that many equal rows are one person takes more than that two are.

        Args:
            left: A row of each pair, by number.
            right: The other.
            weight: Binary logarithm of the odds that both are one person.
            by_chance: The same against strangers who agree by chance.
            at: The weight from which two are one person.
        """
        if not len(self.others) or not len(left):
            return np.full(len(self.others), -1)
        codes = left * len(self.rows) + right
        order = np.argsort(codes, kind="stable")
        wanted = self.first * len(self.rows) + self.second
        pairs = order[np.minimum(np.searchsorted(codes, wanted, sorter=order), len(codes) - 1)]
        many = np.log2(np.bincount(self.first)[self.first] + _STAND_INS)
        enough = (weight[pairs] >= at) & (by_chance[pairs] >= at + many)
        return np.where((codes[pairs] == wanted) & enough, pairs, -1)


def _equal_rows(people: People) -> np.ndarray:
    """A number for each row, the same for rows that say the same."""
    kinds = np.zeros(people.size, dtype=np.int64)
    for values in people.fields.values():
        numbers: dict[str | None, int] = {}
        codes = np.array([numbers.setdefault(value, len(numbers)) for value in values], dtype=np.int64)
        kinds = np.unique(kinds * len(numbers) + codes, return_inverse=True)[1].astype(np.int64)
    return kinds
