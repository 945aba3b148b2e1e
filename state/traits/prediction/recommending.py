"""The next product of somebody: what goes best with all they bought, and is not among it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from millstream.state.traits.prediction.co_occurrence import incidence, pairs

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Integers = NDArray[np.int64]
Numbers = NDArray[np.float64]

MOST_LIKE = 50
"""Products that a product speaks for."""

LARGEST_ORDER = 100
"""Orders of more products tell nothing of what goes together."""

LONGEST_HISTORY = 200
"""Of people who bought more products, those of their latest orders tell what goes together."""


@dataclass(frozen=True)
class Recommender:
    """What goes with what.

    Attributes:
        by_popularity: The products by how many people bought them, the most popular first. Everything below counts
            products by their place here, so that of equals the more popular one is taken.
        popularity: The share of people who bought it.
        on_sale: Whether it may be recommended.
        by_likeness: Whether what goes with people's products comes first; else it is all by popularity.
        likeness: How much a product (row) speaks for another one.
    """

    by_popularity: Integers
    popularity: Numbers
    on_sale: NDArray[np.bool_]
    by_likeness: bool
    likeness: csr_matrix

    def recommend(self, buyers: Integers, products: Integers, people: int, places: int) -> tuple[Integers, Numbers]:
        """The best products for people, a row each, with how strongly they are recommended.

        Args:
            buyers: Who bought something: from 0 to ``people - 1``.
            products: What they bought, by the products' own numbers.
            people: How many there are.
            places: How many products are wanted.

        Returns:
            The products by their own numbers, -1 where there is none left; and strengths from 0 to 1.
        """
        bought = incidence(buyers, _places(self.by_popularity)[products], (people, len(self.by_popularity)))
        scored = _Scored.of(bought, self.likeness)
        taken = scored.keys_of(bought)
        found = np.full((people, places), -1, np.int64)
        strengths = np.zeros((people, places))
        for place in range(places):
            scored = scored.without(taken)
            chosen, strength = scored.best()
            chosen = np.where(chosen < 0, self._popular(taken, people), chosen)
            there = chosen >= 0
            found[there, place] = self.by_popularity[chosen[there]]
            strengths[:, place] = strength if self.by_likeness else np.where(there, self.popularity[chosen], 0.0)
            taken = np.sort(np.concatenate([taken, np.flatnonzero(there) * scored.products + chosen[there]]))
        return found, strengths

    def _popular(self, taken: Integers, people: int) -> Integers:
        """The most popular product that each of the people has not got; -1 where they have all."""
        found = np.full(people, -1, np.int64)
        for product in np.flatnonzero(self.on_sale):
            open_ones = np.flatnonzero(found < 0)
            if not len(open_ones):
                break
            keys = open_ones * len(self.by_popularity) + product
            found[open_ones[~_among(keys, taken)]] = product
        return found


@dataclass(frozen=True)
class _Scored:
    """Products with their strength for each of many people: rows in order, then columns."""

    rows: Integers
    columns: Integers
    strength: Numbers
    people: int
    products: int

    @staticmethod
    def of(bought: csr_matrix, likeness: csr_matrix) -> _Scored:
        speaking = bought @ likeness
        speaking.sort_indices()
        rows = np.repeat(np.arange(speaking.shape[0]), np.diff(speaking.indptr))
        number = np.maximum(np.diff(bought.indptr), 1)
        strength = np.minimum(speaking.data.astype(np.float64) / number[rows], 1.0)
        return _Scored(rows, speaking.indices.astype(np.int64), strength, *speaking.shape)

    def keys_of(self, bought: csr_matrix) -> Integers:
        """Pairs of person and product as one number each, in order."""
        rows = np.repeat(np.arange(self.people), np.diff(bought.indptr))
        return np.sort(rows * self.products + bought.indices)

    def without(self, taken: Integers) -> _Scored:
        kept = ~_among(self.rows * self.products + self.columns, taken)
        return _Scored(self.rows[kept], self.columns[kept], self.strength[kept], self.people, self.products)

    def best(self) -> tuple[Integers, Numbers]:
        """The strongest product of each person, of equals the first; -1 where there is none."""
        chosen = np.full(self.people, -1, np.int64)
        strongest = np.zeros(self.people)
        if len(self.rows):
            begins = np.flatnonzero(np.diff(self.rows, prepend=-1))
            whose = self.rows[begins]
            strongest[whose] = np.maximum.reduceat(self.strength, begins)
            first = np.where(self.strength == strongest[self.rows], self.columns, self.products)
            chosen[whose] = np.minimum.reduceat(first, begins)
        return chosen, strongest


def recommender(
    person: Integers, basket: Integers, product: Integers, *, on_sale: NDArray[np.bool_], by_likeness: bool
) -> Recommender:
    """Learn what goes with what.

    Args:
        person: The buyer of each item.
        basket: Its order; later orders have higher numbers.
        product: Its product.
        on_sale: Of each product, whether it may be recommended.
        by_likeness: Without it, what is popular is recommended.
    """
    people, products = int(person.max()) + 1, len(on_sale)
    buyers = np.asarray(incidence(person, product, (people, products)).sum(axis=0)).ravel()
    by_popularity = np.lexsort((np.arange(products), -buyers))
    places = _places(by_popularity)
    return Recommender(
        by_popularity,
        buyers[by_popularity] / len(np.unique(person)),
        on_sale[by_popularity],
        by_likeness,
        _likeness(person, basket, places[product], on_sale[by_popularity], by_likeness=by_likeness),
    )


def _likeness(
    person: Integers, basket: Integers, product: Integers, on_sale: NDArray[np.bool_], *, by_likeness: bool
) -> csr_matrix:
    """Half by what people bought over time, half by what they bought at once."""
    from scipy.sparse import csr_matrix

    products = len(on_sale)
    made = csr_matrix((products, products), dtype=np.float32)
    if not by_likeness:
        return made
    for bought in (histories(person, basket, product, products), orders(basket, product, products)):
        found = pairs(bought, most=MOST_LIKE)
        kept = on_sale[found.second]
        shape = (products, products)
        made = made + csr_matrix(
            (found.likeness[kept].astype(np.float32) / 2, (found.first[kept], found.second[kept])), shape=shape
        )
    return made


def histories(person: Integers, basket: Integers, product: Integers, products: int) -> csr_matrix:
    """What each of the people bought, of very long histories the latest part."""
    order = np.lexsort((product, -basket, person))
    person, product = person[order], product[order]
    kept = np.arange(len(person)) - np.searchsorted(person, person, side="left") < LONGEST_HISTORY
    return incidence(person[kept], product[kept], (int(person.max()) + 1, products))


def orders(basket: Integers, product: Integers, products: int) -> csr_matrix:
    """What each order has, without very large ones."""
    numbers, counted, sizes = np.unique(basket, return_inverse=True, return_counts=True)
    kept = sizes[counted] <= LARGEST_ORDER
    return incidence(counted[kept], product[kept], (len(numbers), products))


def _places(by_popularity: Integers) -> Integers:
    places = np.empty(len(by_popularity), np.int64)
    places[by_popularity] = np.arange(len(by_popularity))
    return places


def _among(keys: Integers, ordered: Integers) -> NDArray[np.bool_]:
    if not len(ordered):
        return np.zeros(len(keys), np.bool_)
    at = np.minimum(np.searchsorted(ordered, keys), len(ordered) - 1)
    found: NDArray[np.bool_] = ordered[at] == keys
    return found
