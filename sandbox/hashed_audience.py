"""An audience that knows its members by keys alone, as the advertising systems do: hashes, device ids, own ids."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

# What kind of key, and its value.
Key = tuple[str, str]


@dataclass(slots=True)
class _Member:
    keys: dict[Key, None] = field(default_factory=dict)
    added: float = 0.0


class HashedAudience:
    """Members by their keys.

    A row stands for one person, although it may hold several keys, and a key may be shared by strangers. So a row is
    looked up by its strongest key that anybody has; the others are not asked.

    Args:
        strongest: Kinds of keys that single somebody out, the strongest first. Rows with none of these (names,
            cities) are looked up by all they hold.
    """

    def __init__(self, strongest: Sequence[str]) -> None:
        self._strongest = tuple(strongest)
        self._members: dict[int, _Member] = {}
        self._by_key: dict[Key, set[int]] = {}
        self._next = 0

    def __len__(self) -> int:
        return len(self._members)

    def add(self, keys: Sequence[Key]) -> None:
        """Put somebody in; who has the row's strongest key is the same person, and gets the other keys too."""
        kind = next((kind for kind in self._strongest if any(key[0] == kind for key in keys)), None)
        found = self._having(keys) if kind is None else self._with_any(key for key in keys if key[0] == kind)
        if found:
            number = min(found)
        else:
            self._next += 1
            number = self._next
            self._members[number] = _Member()
        member = self._members[number]
        member.added = time.time()
        for key in keys:
            member.keys[key] = None
            self._by_key.setdefault(key, set()).add(number)

    def remove(self, keys: Sequence[Key]) -> int:
        """Take out whoever the row stands for; how many that were."""
        found: set[int] = set()
        strong = [kind for kind in self._strongest if any(key[0] == kind for key in keys)]
        for kind in strong:
            found = self._with_any(key for key in keys if key[0] == kind)
            if found:
                break
        if not strong:
            found = self._having(keys)
        for number in found:
            self._drop(number)
        return len(found)

    def remove_added_before(self, moment: float) -> int:
        """Take out who was last added before a time (seconds since 1970); how many that were."""
        old = [number for number, member in self._members.items() if member.added < moment]
        for number in old:
            self._drop(number)
        return len(old)

    def replace(self, rows: Iterable[Sequence[Key]]) -> None:
        """Put these in the place of everybody."""
        self._members.clear()
        self._by_key.clear()
        for row in rows:
            self.add(row)

    def rows(self) -> Iterator[list[str]]:
        """The values of each member's keys."""
        return ([value for _, value in member.keys] for member in self._members.values())

    def _with_any(self, keys: Iterable[Key]) -> set[int]:
        return set().union(*(self._by_key.get(key, set()) for key in keys))

    def _having(self, keys: Sequence[Key]) -> set[int]:
        """Who has all of these keys."""
        return set.intersection(*(self._by_key.get(key, set()) for key in keys)) if keys else set()

    def _drop(self, number: int) -> None:
        for key in self._members.pop(number).keys:
            holders = self._by_key[key]
            holders.discard(number)
            if not holders:
                del self._by_key[key]
