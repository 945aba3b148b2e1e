"""Segments: manual ones that clients fill, and one that the workspace works out for itself."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

from millstream.sandbox.company import Company
from millstream.sandbox.customerio import people
from millstream.sandbox.customerio.people import Profile
from millstream.sandbox.customerio.register import Register
from millstream.sandbox.draws import bases_of, draw, share
from millstream.sandbox.facts import DAY_MS
from millstream.sandbox.system import JsonObject

EVERYBODY, NEWSLETTER = 1, 2


@dataclass(slots=True)
class Segment:
    """One segment.

    Attributes:
        added: Places that clients put into it.
        removed: Places that were in it from the start, and that clients took out.
    """

    segment_id: int
    name: str
    description: str
    created: int
    updated: int
    added: set[int] = field(default_factory=set)
    removed: set[int] = field(default_factory=set)

    @property
    def is_manual(self) -> bool:
        """Whether clients say who is in it."""
        return self.segment_id != EVERYBODY

    def shown(self) -> JsonObject:
        """As the App API gives it."""
        return {
            "id": self.segment_id,
            "deduplicate_id": f"{self.segment_id}:{self.updated}",
            "name": self.name,
            "description": self.description,
            "state": "events",
            "progress": None,
            "type": "manual" if self.is_manual else "dynamic",
            "tags": None,
            "created_at": self.created,
            "updated_at": self.updated,
        }


class Segments:
    """All segments of one workspace."""

    def __init__(self, company: Company, register: Register) -> None:
        self._company = company
        self._register = register
        made = (company.today_ms - 300 * DAY_MS) // 1000
        self._all = {
            EVERYBODY: Segment(EVERYBODY, "Everybody", "All people", made, made),
            NEWSLETTER: Segment(NEWSLETTER, "Newsletter", "Filled by hand", made, made),
        }
        self._next_id = NEWSLETTER + 1

    def all(self) -> list[Segment]:
        """Every segment."""
        return list(self._all.values())

    def get(self, segment_id: str) -> Segment | None:
        """One segment by its id."""
        return self._all.get(int(segment_id)) if segment_id.isascii() and segment_id.isdigit() else None

    def create(self, name: str, description: str) -> Segment:
        """A manual segment. Names need not differ from each other."""
        now = int(time.time())
        segment = Segment(self._next_id, name, description, now, now)
        self._all[segment.segment_id] = segment
        self._next_id += 1
        return segment

    def delete(self, segment: Segment) -> None:
        """Drop a segment; its members stay in the workspace."""
        del self._all[segment.segment_id]

    def add(self, segment: Segment, profile: Profile) -> None:
        """Put somebody in."""
        segment.removed.discard(profile.number)
        segment.added.add(profile.number)

    def remove(self, segment: Segment, profile: Profile) -> None:
        """Take somebody out."""
        segment.added.discard(profile.number)
        segment.removed.add(profile.number)

    def members(self, segment: Segment) -> list[int]:
        """The places of its members, in order."""
        there = self._register.numbers()
        if not segment.is_manual:
            return [int(number) for number in there]
        initial: set[int] = set()
        if segment.segment_id == NEWSLETTER:
            bits = draw(
                bases_of(self._company.key, np.arange(self._company.people, dtype=np.uint64)), people.NEWSLETTER
            )
            initial = set(np.flatnonzero(share(bits, 0) < people.NEWSLETTER_CUT).tolist())
        wanted = (initial - segment.removed) | segment.added
        return [int(number) for number in there if int(number) in wanted]

    def of(self, profile: Profile) -> list[Segment]:
        """The segments that somebody is in."""
        return [segment for segment in self._all.values() if self._holds(segment, profile.number)]

    def _holds(self, segment: Segment, number: int) -> bool:
        if not segment.is_manual or number in segment.added:
            return True
        first = segment.segment_id == NEWSLETTER and number < self._company.people
        if not first or number in segment.removed:
            return False
        return share(draw(self._company.base(number), people.NEWSLETTER), 0) < people.NEWSLETTER_CUT
