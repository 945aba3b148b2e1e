"""Which products are bought together, and how much that says: counted block by block, so that memory stays small.

The likeness of two products is the cosine of who bought them, with a constant added to the denominator (shrinkage):
two buyers who bought the same two rare products are no law. For each product only the likest ones are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Integers = NDArray[np.int64]
Numbers = NDArray[np.float64]

SHRINKAGE = 10.0
LEAST_TOGETHER = 3
"""Two products bought together less often are no pair."""

_BLOCK = 4_000_000
"""Pairs that are counted at a time."""


@dataclass(frozen=True)
class Pairs:
    """Products that were bought together, each product's likest ones first.

    Attributes:
        first: A product.
        second: Another one.
        together: How many groups (orders, or people) have both.
        likeness: From 0 to 1.
    """

    first: Integers
    second: Integers
    together: Integers
    likeness: Numbers


def incidence(groups: Integers, products: Integers, shape: tuple[int, int]) -> csr_matrix:
    """A row a group of things bought and a column a product: 1 where the group has it."""
    from scipy.sparse import csr_matrix

    made = csr_matrix((np.ones(len(groups), np.float32), (groups, products)), shape=shape)
    made.data[:] = 1
    return made


def pairs(bought: csr_matrix, *, most: int) -> Pairs:
    """The likest products of each product.

    Args:
        bought: As of ``incidence``.
        most: How many of them a product has at most.
    """
    counts = np.asarray(bought.sum(axis=0)).ravel()
    by_product = bought.tocsc()
    found = [
        _likest(by_product[:, begin:end].T.tocsr() @ bought, begin, counts, most)
        for begin, end in _blocks(bought, counts)
    ]
    if not found:
        nothing = np.empty(0, np.int64)
        return Pairs(nothing, nothing, nothing, np.empty(0))
    return Pairs(
        np.concatenate([part.first for part in found]),
        np.concatenate([part.second for part in found]),
        np.concatenate([part.together for part in found]),
        np.concatenate([part.likeness for part in found]),
    )


def _blocks(bought: csr_matrix, counts: Numbers) -> Iterator[tuple[int, int]]:
    """Ranges of products whose pairs are counted at a time; a product has no more than its groups have products."""
    sizes = np.asarray(bought.sum(axis=1)).ravel()
    most = np.minimum(bought.T @ sizes, len(counts))
    begin, total = 0, 0.0
    for product, of_it in enumerate(most):
        if total and total + of_it > _BLOCK:
            yield begin, product
            begin, total = product, 0.0
        total += of_it
    if begin < len(counts):
        yield begin, len(counts)


def _likest(together: csr_matrix, begin: int, counts: Numbers, most: int) -> Pairs:
    """The pairs of a block that are worth keeping."""
    counted = together.tocoo()
    first, second = counted.row.astype(np.int64) + begin, counted.col.astype(np.int64)
    kept = (first != second) & (counted.data >= LEAST_TOGETHER)
    first, second, number = first[kept], second[kept], counted.data[kept].astype(np.float64)
    likeness = number / (np.sqrt(counts[first] * counts[second]) + SHRINKAGE)
    order = np.lexsort((second, -likeness, first))
    first, second, number, likeness = first[order], second[order], number[order], likeness[order]
    place = np.arange(len(first)) - np.searchsorted(first, first, side="left")
    chosen = place < most
    return Pairs(first[chosen], second[chosen], np.rint(number[chosen]).astype(np.int64), likeness[chosen])
