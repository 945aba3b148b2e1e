"""Overlap: how many people two audiences have in common, for every pair of them.

Each person's audiences are the bits of a few numbers, so that people who are in the same ones count together: one
pass over the memberships, and a product of small matrices, whatever the number of pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from millstream.state.store import column_types, read_arrow, write_arrow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from millstream.state.store import Connection

_BITS = 62
"""Of a BIGINT that are used: what is left is its sign, and room to shift."""
_AT_ONCE = 65_536


@dataclass(frozen=True)
class Overlap:
    """Two audiences and who is in both.

    Attributes:
        first: The one that stands first in the project.
        second: The other.
        both: Members of both.
        share: Of the smaller one, how many are in the larger as well; 0 where one is empty.
    """

    first: str
    second: str
    both: int
    share: float


@dataclass(frozen=True)
class OverlapMatrix:
    """Members that audiences have in common.

    Attributes:
        audiences: Their names.
        both: A row and a column for each, in this order; the size of each where they are the same.
    """

    audiences: tuple[str, ...]
    both: tuple[tuple[int, ...], ...]

    def pair(self, first: str, second: str) -> Overlap:
        """Two of them."""
        row, column = self.audiences.index(first), self.audiences.index(second)
        both, smaller = self.both[row][column], min(self.both[row][row], self.both[column][column])
        return Overlap(first, second, both, both / smaller if smaller else 0.0)

    def pairs(self) -> list[Overlap]:
        """All of them, the largest share of the smaller first."""
        found = [self.pair(first, second) for first, second in combinations(self.audiences, 2)]
        return sorted(found, key=lambda one: (-one.share, -one.both))

    def as_json(self) -> dict[str, object]:
        """For programs."""
        return {"audiences": list(self.audiences), "both": [list(row) for row in self.both]}


def overlap(connection: Connection, audiences: Sequence[str]) -> OverlapMatrix:
    """Count who is in two audiences at once, now, for every pair of these."""
    names = tuple(dict.fromkeys(audiences))
    if not names or not column_types(connection, "customers", "memberships"):
        return OverlapMatrix(names, tuple((0,) * len(names) for _ in names))
    masks, people = _patterns(connection, names)
    both = np.zeros((len(names), len(names)))
    for start in range(0, len(people), _AT_ONCE):
        chunk = slice(start, start + _AT_ONCE)
        is_in = _bits(masks[:, chunk], len(names))
        both += is_in @ (is_in * people[chunk]).T
    return OverlapMatrix(names, tuple(tuple(int(count) for count in row) for row in both))


def _patterns(connection: Connection, names: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The combinations of audiences that people are in, each as a column of numbers, and how many people each has."""
    numbers = range(len(names))
    words = 1 + (len(names) - 1) // _BITS
    table = {
        "audience": pa.array(names, pa.string()),
        "word": pa.array([number // _BITS for number in numbers], pa.int64()),
        "bit": pa.array([1 << number % _BITS for number in numbers], pa.int64()),
    }
    write_arrow(connection, "overlap_bits", pa.table(table))
    masks = ", ".join(f"coalesce(bit_or(bit) FILTER (WHERE word = {word}), 0) AS word_{word}" for word in range(words))
    columns = ", ".join(f"word_{word}" for word in range(words))
    found = read_arrow(
        connection,
        f"""
        SELECT {columns}, count(*) AS people FROM (
            SELECT stay.profile_id, {masks} FROM customers.memberships AS stay
            JOIN overlap_bits ON overlap_bits.audience = stay.audience
            WHERE stay.left_at IS NULL GROUP BY stay.profile_id
        ) AS person GROUP BY {columns}
        """,
    )
    connection.execute("DROP TABLE overlap_bits")
    stacked = np.array([found[f"word_{word}"].to_numpy() for word in range(words)], dtype=np.int64)
    return stacked, found["people"].to_numpy().astype(np.float64)


def _bits(masks: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """A row for each audience: 1 where the combination has it."""
    return np.array([masks[number // _BITS] >> (number % _BITS) & 1 for number in range(count)], dtype=np.float64)
