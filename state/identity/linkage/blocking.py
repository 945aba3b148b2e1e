"""Which pairs are worth comparing: those that share one of several keys.

All pairs are compared where there are few. Else small blocks come before large ones, whatever their key, and keys from
the most telling to the least within a size, until the pairs reach the limit. Each pair counts once, however many keys
find it. So neither a hot value nor a large file makes the number of pairs explode, and a file in which some person
has many rows, who share many keys, still has room for those who share few.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from millstream.state.identity.linkage.people import People, Values

_SOUNDS = str.maketrans({
    "q": "k", "c": "k", "g": "k", "z": "s", "x": "s", "d": "t", "p": "b", "w": "f", "v": "f", "m": "n", "j": "i",
    "y": "i",
    **dict.fromkeys("aeiouh"),
})  # fmt: skip
_BLOCK_SIZES = (12, 30, 80, 250, 2000)
"""Blocks are taken in these steps, and no larger ones at all."""
_FEW_PAIRS = 1_500_000
"""Up to so many, all pairs are compared."""


@lru_cache(maxsize=100_000)
def sound(name: str) -> str:
    """A rough key of how a name sounds in European languages; equal for most misspellings."""
    plain = name.replace("ph", "f").replace("sch", "s").replace("ch", "k").replace("th", "t").replace("ck", "k")
    body = plain[1:].translate(_SOUNDS)
    head = plain[:1].translate(_SOUNDS) or "a"
    kept = [letter for number, letter in enumerate(body) if number == 0 or letter != body[number - 1]]
    return head + "".join(kept).replace("i", "")[:4]


def find_pairs(people: People, most: int, fresh: Sequence[bool] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of rows to compare, each once, the smaller row on the left.

    Args:
        people: The rows.
        most: About how many pairs at most, unless all pairs are few.
        fresh: Rows of which one must be in each pair; None means all.
    """
    rows = people.size
    is_fresh = np.ones(rows, dtype=bool) if fresh is None else np.asarray(fresh, dtype=bool)
    if rows * (rows - 1) // 2 <= _FEW_PAIRS:
        left, right = np.triu_indices(rows, 1)
        kept = is_fresh[left] | is_fresh[right]
        return left[kept], right[kept]
    keys = [_Blocks.of(values, is_fresh) for values in _keys(people)]
    found = [np.empty(0, np.int64)]
    waiting = 0
    for smaller, size in zip((1, *_BLOCK_SIZES), _BLOCK_SIZES, strict=False):
        for blocks in keys:
            left, right = blocks.pairs(smaller, size, most)
            found.append(left * rows + right)
            waiting += len(found[-1])
            if waiting > most:
                found = [_first_distinct(np.concatenate(found), most)]
                waiting = 0
                if len(found[0]) >= most:
                    return found[0] // rows, found[0] % rows
    pairs = np.unique(np.concatenate(found))
    return pairs // rows, pairs % rows


def _first_distinct(pairs: np.ndarray, most: int) -> np.ndarray:
    """Each pair once; those that came first, where there are too many."""
    distinct, first = np.unique(pairs, return_index=True)
    return pairs[np.sort(first)[:most]] if len(distinct) > most else distinct


@dataclass
class _Blocks:
    """Rows that share the value of one key: those of a block side by side, its fresh ones first.

    Attributes:
        rows: The rows of one block after another.
        starts: Where in them each block begins, of those with any pair to compare.
        sizes: How many rows it has.
        news: How many of them are fresh.
    """

    rows: np.ndarray
    starts: np.ndarray
    sizes: np.ndarray
    news: np.ndarray

    @classmethod
    def of(cls, values: Values, is_fresh: np.ndarray) -> _Blocks:
        numbers: dict[str, int] = {}
        codes = np.array([-1 if value is None else numbers.setdefault(value, len(numbers)) for value in values])
        sizes = np.bincount(codes + 1, minlength=len(numbers) + 1)[1:]
        news = np.bincount(codes[is_fresh] + 1, minlength=len(numbers) + 1)[1:]
        rows = np.lexsort((~is_fresh, codes))[np.count_nonzero(codes < 0) :]
        starts = np.cumsum(sizes) - sizes
        kept = (sizes > 1) & (news > 0)
        return cls(rows, starts[kept], sizes[kept], news[kept])

    def pairs(self, above: int, up_to: int, most: int) -> tuple[np.ndarray, np.ndarray]:
        """The pairs with a fresh row within blocks of some sizes, smaller blocks first, until there are enough."""
        left, right = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        some = (self.sizes > above) & (self.sizes <= up_to)
        for size, news in np.unique(np.stack([self.sizes[some], self.news[some]], axis=1), axis=0).tolist():
            one, other = np.nonzero(np.arange(news)[:, None] < np.arange(size))
            starts = self.starts[(self.sizes == size) & (self.news == news)][: 1 + most // len(one)]
            block = self.rows[starts[:, None] + np.arange(size)]
            ends = block[:, one].ravel(), block[:, other].ravel()
            left.append(np.minimum(*ends))
            right.append(np.maximum(*ends))
            most -= len(left[-1])
            if most <= 0:
                break
        return np.concatenate(left), np.concatenate(right)


def _keys(people: People) -> Iterator[Values]:
    """Keys from the most telling to the least."""
    for names, make in _KEYS:
        if people.has(*names):
            rows: Sequence[Values] = [people.fields[name] for name in names]
            yield [make(*row) if all(value is not None for value in row) else None for row in zip(*rows, strict=True)]


def _same(*parts: str) -> str:
    return "|".join(parts)


def _either_way(*parts: str) -> str:
    return "|".join(sorted(parts))


def _turned(date: str) -> str:
    """Year and month and day in either order."""
    return date[:4] + "".join(sorted((date[5:7], date[8:10])))


_KEYS: tuple[tuple[tuple[str, ...], Callable[..., str | None]], ...] = (
    (("nid",), _same),
    (("email",), _same),
    (("phone",), _same),
    (("first", "last", "birth"), lambda first, last, birth: _either_way(first, last) + birth),
    (("first", "birth"), lambda first, birth: sound(first) + birth),
    (("last", "birth"), lambda last, birth: sound(last) + birth),
    (("first", "last"), _either_way),
    (("street", "house", "first"), lambda street, house, first: f"{street[:8]}{house}{first[:2]}"),
    (("street", "last"), lambda street, last: street[:8] + sound(last)),
    (("first_root", "last"), _either_way),
    (("first_root", "birth"), _same),
    (("first_root", "postcode"), _same),
    (("postcode", "last"), lambda postcode, last: postcode + sound(last)),
    (("postcode", "first"), lambda postcode, first: postcode + sound(first)),
    (("email_local",), _same),
    (("first", "last"), lambda first, last: _either_way(sound(first), sound(last))),
    (("birth",), _turned),
    (("first", "last", "birth_year"), lambda first, last, year: _either_way(first[:2], last[:2]) + year),
    (("street", "house"), lambda street, house: street[:6] + house),
    (("postcode", "birth_year"), _same),
    (("first", "birth"), lambda first, birth: first + birth[5:]),
    (("last", "birth"), lambda last, birth: last + birth[5:]),
    (("first", "birth_year"), _same),
    (("last", "birth_year"), _same),
    (("first", "city"), _same),
    (("last", "city"), _same),
    (("city", "birth"), lambda city, birth: city + birth[:7]),
    (("phone",), lambda phone: phone[-5:]),
    (("nid",), lambda nid: nid[: len(nid) // 2]),
    (("nid",), lambda nid: "-" + nid[len(nid) // 2 :]),
    (("email",), lambda email: email[:5]),
    (("first", "last"), lambda first, last: _either_way(first[:3], last[:3])),
    (("first", "last"), lambda first, last: first[:1] + last),
    (("first", "last"), lambda first, last: first + last[:1]),
    (("street",), lambda street: street),
    (("postcode",), _same),
    (("last",), _same),
    (("first",), _same),
    (("last",), sound),
    (("birth",), lambda birth: birth[:7]),
    (("first",), sound),
    (("first", "last"), lambda first, last: _either_way(first[-3:], last[-3:])),
    (("other_1", "first"), _same),
    (("other_1", "last"), _same),
    (("other_1", "birth_year"), _same),
    (("other_2", "first"), _same),
    (("other_2", "last"), _same),
    (("other_1", "other_2"), _same),
    (("city",), _same),
)
