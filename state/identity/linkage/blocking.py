"""Which pairs are worth comparing: those that share one of several keys.

All pairs are compared where there are few. Else keys are taken from the most telling to the least, each with its
smallest blocks first, until the pairs reach the limit. So neither a hot value nor a large file makes the number of
pairs explode.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from millstream.state.identity.linkage.people import People, Values

_SOUNDS = str.maketrans({
    "q": "k", "c": "k", "g": "k", "z": "s", "x": "s", "d": "t", "p": "b", "w": "f", "v": "f", "m": "n", "j": "i",
    "y": "i",
    **dict.fromkeys("aeiouh"),
})  # fmt: skip
_LARGEST_BLOCK = 2000
_ROW = Callable[..., str | None]


def sound(name: str) -> str:
    """A rough key of how a name sounds in European languages; equal for most misspellings."""
    plain = name.replace("ph", "f").replace("sch", "s").replace("ch", "k").replace("th", "t").replace("ck", "k")
    body = plain[1:].translate(_SOUNDS)
    head = plain[:1].translate(_SOUNDS) or "a"
    kept = [letter for number, letter in enumerate(body) if number == 0 or letter != body[number - 1]]
    return head + "".join(kept).replace("i", "")[:4]


def block_keys(people: People, most_pairs: int) -> list[Values]:
    """Keys by which pairs are found, one list for each, with None where a row has no key or its block is too large."""
    taken: list[Values] = []
    left = most_pairs
    for keys in _candidates(people):
        kept, pairs = _smallest_blocks(keys, left)
        if pairs:
            taken.append(kept)
            left -= pairs
        if left <= 0:
            break
    return taken


def _smallest_blocks(keys: Values, left: int) -> tuple[Values, int]:
    sizes = Counter(key for key in keys if key is not None)
    largest, pairs = 1, 0
    for size, blocks in sorted(Counter(sizes.values()).items()):
        more = blocks * size * (size - 1) // 2
        if pairs + more > left or size > _LARGEST_BLOCK:
            break
        largest, pairs = size, pairs + more
    return [key if key is not None and 1 < sizes[key] <= largest else None for key in keys], pairs


def _candidates(people: People) -> Iterator[Values]:
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
    (("other_1", "first"), _same),
    (("other_1", "last"), _same),
    (("city",), _same),
)
