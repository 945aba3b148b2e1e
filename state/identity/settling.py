"""Settling a component that breaks a limit: the strongest joins first, and none that a limit forbids.

Plain Python over the records of the few components concerned. The outcome depends on what they hold, never on the order
in which it came.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

BY_HAND = "unmerged by hand"
"""What a join is refused with that would bring together whom people took apart."""


class Limit(NamedTuple):
    """How many values of a sort one profile may bear, within any such time or ever, and what a refusal is called."""

    most: int
    window: timedelta | None
    reason: str


class Borne(NamedTuple):
    """A value that counts against a limit, on a record; ``at`` matters where the limit has a window."""

    node: int
    limit: str
    value: str
    at: datetime | None


class Bond(NamedTuple):
    """A record on a joint, with what its turn depends on."""

    node: int
    record_id: str
    joint: int
    value_id: int
    priority: int
    kind: str
    value: str
    group_key: str


class Settled(NamedTuple):
    """The smallest node of each node's group, and the bonds that were refused, with the reason."""

    labels: dict[int, int]
    refused: list[tuple[Bond, str]]


Events = set[tuple[str, datetime | None]]


class Groups:
    """Records united step by step, with the limited values that each group bears.

    Args:
        nodes: The records; each begins as a group of its own.
        borne: What they bear that is limited.
        limits: By the name that ``borne`` gives.
    """

    def __init__(self, nodes: Iterable[int], borne: Iterable[Borne], limits: Mapping[str, Limit]) -> None:
        self._limits = limits
        self._order = {name: place for place, name in enumerate(limits)}
        self._parent = {node: node for node in nodes}
        self._size = dict.fromkeys(self._parent, 1)
        self._held: dict[int, dict[str, Events]] = {node: {} for node in self._parent}
        for node, limit, value, at in borne:
            self._held[node].setdefault(limit, set()).add((value, at if limits[limit].window else None))

    def root(self, node: int) -> int:
        """The record that stands for a record's group."""
        parent = self._parent
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    def unite(self, one: int, other: int) -> str | None:
        """Make one group of two records' groups, unless a limit forbids.

        Returns:
            Why it was refused; None if it was not.
        """
        small, big = sorted((self.root(one), self.root(other)), key=lambda root: self._size[root])
        if small == big:
            return None
        reason = self._forbidden(small, big)
        if reason is None:
            self._parent[small] = big
            self._size[big] += self._size.pop(small)
            held = self._held[big]
            for limit, events in self._held.pop(small).items():
                held.setdefault(limit, set()).update(events)
        return reason

    def labels(self) -> dict[int, int]:
        """The smallest record of each record's group."""
        first: dict[int, int] = {}
        for node in sorted(self._parent):
            first.setdefault(self.root(node), node)
        return {node: first[self.root(node)] for node in self._parent}

    def _forbidden(self, small: int, big: int) -> str | None:
        mine, theirs = self._held[small], self._held[big]
        for limit in sorted(mine.keys() & theirs.keys(), key=self._order.__getitem__):
            if not _fit(mine[limit], theirs[limit], self._limits[limit]):
                return self._limits[limit].reason
        return None


def _fit(some: Events, others: Events, limit: Limit) -> bool:
    """Whether two groups' values may come together: they are not too many, or not more than one of the two had."""
    if len(some) + len(others) <= limit.most:
        return True
    few, many = (some, others) if len(some) <= len(others) else (others, some)
    if few <= many:
        return True
    # Only what lies within a window of one of the few can be more than the many have already.
    together = most_at_once(few | _near(few, many, limit), limit)
    return together <= limit.most or together <= max(most_at_once(few, limit), most_at_once(many, limit))


def _near(few: Events, many: Events, limit: Limit) -> Events:
    """The events that may be in one window with one of the few."""
    dates = [at for _, at in few if at is not None]
    if limit.window is None or not dates:
        return many
    first, last = min(dates) - limit.window, max(dates) + limit.window
    return {event for event in many if event[1] is not None and first <= event[1] <= last}


def most_at_once(events: Events, limit: Limit) -> int:
    """The largest number of different values within the limit's window, both ends included, or ever."""
    if limit.window is None:
        return len(events)
    most, begin = 0, 0
    within: Counter[str] = Counter()
    dated = sorted((at, value) for value, at in events if at is not None)
    for at, value in dated:
        within[value] += 1
        since = at - limit.window
        while dated[begin][0] < since:
            gone = dated[begin][1]
            within[gone] -= 1
            if not within[gone]:
                del within[gone]
            begin += 1
        most = max(most, len(within))
    return most


def breaks(borne: Iterable[Borne], limits: Mapping[str, Limit]) -> bool:
    """Whether the records of a component together bear more than a limit allows."""
    held: dict[str, Events] = {}
    for _, limit, value, at in borne:
        held.setdefault(limit, set()).add((value, at if limits[limit].window else None))
    return any(
        len(events) > limits[name].most and most_at_once(events, limits[name]) > limits[name].most
        for name, events in held.items()
    )


def settle(bonds: Sequence[Bond], borne: Iterable[Borne], limits: Mapping[str, Limit]) -> Settled:
    """Take the bonds in their turn: the stronger kind first, then the joint on fewer records.

    The first bond of a joint makes it stand in its record's group; each further one unites the two groups. Where people
    took some of its records apart by hand, the joint stands on both sides, and holds each of them together.
    """
    groups = Groups({bond.node for bond in bonds}, borne, limits)
    records = Counter(bond.joint for bond in bonds)

    def turn(bond: Bond) -> tuple[int, int, str, str, str, str]:
        return (bond.priority, records[bond.joint], bond.kind, bond.value, bond.group_key, bond.record_id)

    stands_with: dict[int, list[int]] = {}
    refused = []
    for bond in sorted(bonds, key=turn):
        first, *others = standing = stands_with.setdefault(bond.joint, [bond.node])
        reason = groups.unite(first, bond.node)
        if reason is not None:
            refused.append((bond, reason))
        if reason == BY_HAND and all(groups.unite(other, bond.node) for other in others):
            standing.append(bond.node)
    return Settled(groups.labels(), refused)
