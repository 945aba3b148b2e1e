"""Numbers that look random and are a pure function of (seed, person, topic).

Everything made up about the company starts here. The same arithmetic runs on one Python integer and on a
numpy array of unsigned 64-bit integers, so that one person can be looked at without the others, and a
million people can be filtered without building one of them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

# Unsigned 64-bit throughout; numpy's stubs cannot say that arithmetic with a Python integer keeps it so.
UInts = NDArray[Any]
Number = TypeVar("Number", int, UInts)

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15


def mix(value: Number) -> Number:
    """Scatter 64 bits (the finaliser of SplitMix64, Steele, Lea and Flood 2014)."""
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    scattered: Number = value ^ (value >> 31)
    return scattered


def topic(number: int) -> int:
    """The constant that separates one topic's draws from another's."""
    return (number * 0xD1342543DE82EF95) & MASK


def base_of(seed_key: int, index: int) -> int:
    """The root of all draws about the person with this index."""
    return mix((seed_key + (index + 1) * GOLDEN) & MASK)


def bases_of(seed_key: int, indexes: UInts) -> UInts:
    """`base_of` for many people at once."""
    return mix((indexes + np.uint64(1)) * np.uint64(GOLDEN) + np.uint64(seed_key))


def draw(base: Number, of_topic: int) -> Number:
    """64 bits about one topic for one person (or for many)."""
    root: Number = (base + of_topic) & MASK
    return mix(root)


def share(bits: Number, slot: int) -> Number:
    """One of the four 16-bit slices of a draw, 0 to 65,535, to be compared with a `cut`."""
    part: Number = (bits >> (16 * slot)) & 0xFFFF
    return part


def cut(probability: float) -> int:
    """The slice value below which an event of this probability happens."""
    return round(probability * 65536)


def cuts(*probabilities: float) -> tuple[int, ...]:
    """Running cuts for consecutive alternatives; what is left over is the last alternative."""
    total = 0.0
    edges = []
    for probability in probabilities:
        total += probability
        edges.append(cut(total))
    return tuple(edges)


def choose(edges: Sequence[int], value: int) -> int:
    """Which alternative a slice falls into."""
    return bisect_right(edges, value)


def choose_many(edges: Sequence[int], values: UInts) -> NDArray[np.int64]:
    """`choose` for many people at once."""
    return np.searchsorted(np.asarray(edges, dtype=np.uint64), values, side="right").astype(np.int64)
