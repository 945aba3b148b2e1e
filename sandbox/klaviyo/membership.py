"""Who is on one list."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from millstream.sandbox.klaviyo.register import Indexes, now_ms


@dataclass(slots=True)
class ProfileList:
    """One list. Members are those of the start without `removed`, and `added` with the time of joining."""

    list_id: str
    name: str
    created_ms: int
    updated_ms: int
    first: Indexes
    opt_in_process: str = "single_opt_in"
    added: dict[int, int] = field(default_factory=dict)
    removed: set[int] = field(default_factory=set)
    ordered: Indexes | None = None

    def has(self, index: int) -> bool:
        """Whether somebody is on the list."""
        place = int(np.searchsorted(self.first, index))
        from_start = place < len(self.first) and self.first[place] == index
        return index in self.added or bool(from_start and index not in self.removed)

    def add(self, index: int) -> None:
        """Put somebody on the list, who may be on it already."""
        if not self.has(index):
            self.added[index] = now_ms()
            self.ordered = None

    def remove(self, index: int) -> None:
        """Take somebody off the list, who may not be on it."""
        if self.has(index):
            self.added.pop(index, None)
            self.removed.add(index)
            self.ordered = None

    def members(self) -> Indexes:
        """Indexes of all members, in order."""
        if self.ordered is None:
            removed = np.fromiter(self.removed, np.int64, len(self.removed))
            added = np.fromiter(self.added, np.int64, len(self.added))
            self.ordered = np.union1d(np.setdiff1d(self.first, removed, assume_unique=True), added)
        return self.ordered
