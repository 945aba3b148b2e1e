"""The register: everybody in the workspace, from the company at first and from what clients wrote since.

Who was never written to is made from the company when looked at; only the others are kept.
"""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from millstream.sandbox.company import Company
from millstream.sandbox.customerio import people
from millstream.sandbox.customerio.people import FIRST_NEW, Profile
from millstream.sandbox.draws import bases_of, choose_many, draw, share

Numbers = NDArray[np.int64]


class Register:
    """All people of one workspace.

    Attributes:
        lag: Seconds until a person whom a client made is known to lists, look-ups and additions to segments.
    """

    def __init__(self, company: Company) -> None:
        self._company = company
        self.lag = 0.0
        self.resubscribed: list[str] = []
        self.deleted: list[str] = []
        self._kept: dict[int, Profile] = {}
        self._gone: set[int] = set()
        self._places: dict[tuple[str, str], int] = {}
        self._blocked: set[tuple[str, str]] = set()
        self._unblocked: set[tuple[str, str]] = set()
        self._made = 0

    # Finding

    def find(self, kind: str, value: str) -> Profile | None:
        """Who has this `id`, `email` or `cio_id`, whether or not lists know them yet."""
        number = self._place(kind, value)
        profile = None if number is None else self.at(number)
        if profile is None or kind == "cio_id":
            return profile
        own = profile.id if kind == "id" else profile.email
        return profile if own is not None and key_of(kind, own) == key_of(kind, value) else None

    def find_ready(self, kind: str, value: str) -> Profile | None:
        """`find` among those who have been worked off."""
        profile = self.find(kind, value)
        return profile if profile is not None and self.is_ready(profile) else None

    @staticmethod
    def is_ready(profile: Profile) -> bool:
        """Whether lists know of somebody."""
        return profile.ready <= time.monotonic()

    def at(self, number: int) -> Profile | None:
        """Who stands at a place. Changes to somebody last only after `keep`."""
        if number in self._gone:
            return None
        return self._kept.get(number) or people.profile_at_start(self._company, number)

    def _place(self, kind: str, value: str) -> int | None:
        if kind == "cio_id":
            return people.number_of(value)
        place = self._places.get(key_of(kind, value))
        return self._at_start(kind, value) if place is None else place

    def _at_start(self, kind: str, value: str) -> int | None:
        found = self._company.find_by_email(value) if kind == "email" else self._company.find_by_customer_id(value)
        if found is None or (kind == "email" and value.lower() != found.email):
            return None
        return found.index

    def numbers(self) -> Numbers:
        """The places of everybody who is there and known to lists, in order."""
        company = self._company
        bits = draw(bases_of(company.key, np.arange(company.people, dtype=np.uint64)), people.PERSON)
        known = share(bits, 0) < people.PERSON_CUT
        known &= choose_many(people.STANDING_CUTS, share(bits, 1)) != people.STANDINGS.index(people.SUPPRESSED)
        later = [number for number in self._kept if number >= FIRST_NEW]
        found = np.concatenate([np.flatnonzero(known).astype(np.int64), np.asarray(sorted(later), dtype=np.int64)])
        absent = {number for number, one in self._kept.items() if not self.is_ready(one)} | self._gone
        return found[~np.isin(found, np.asarray(sorted(absent), dtype=np.int64))] if absent else found

    @property
    def kept(self) -> list[Profile]:
        """Those who were written to, and are there."""
        return [self._kept[number] for number in sorted(self._kept)]

    # Writing

    def create(self, kind: str, value: str) -> Profile:
        """Somebody new, who has not been kept yet."""
        own_id, email = (value, None) if kind == "id" else (None, value)
        profile = Profile(FIRST_NEW + self._made, own_id, email, {}, int(time.time()))
        profile.ready = time.monotonic() + self.lag if self.lag else 0.0
        self._made += 1
        return profile

    def keep(self, profile: Profile) -> None:
        """Write somebody down."""
        profile.written = True
        self._kept[profile.number] = profile
        for kind, value in (("id", profile.id), ("email", profile.email)):
            if value is not None:
                self._places[key_of(kind, value)] = profile.number

    def delete(self, profile: Profile) -> None:
        """Take somebody out; whoever writes to an identifier of theirs makes them anew."""
        self._gone.add(profile.number)
        self._kept.pop(profile.number, None)
        self.deleted.append(profile.id or profile.email or profile.cio_id)
        for kind, value in (("id", profile.id), ("email", profile.email)):
            if value is not None:
                self._places.pop(key_of(kind, value), None)

    # Suppression

    def is_suppressed(self, kind: str, value: str) -> bool:
        """Whether everything that is sent for an identifier is ignored."""
        key = key_of(kind, value)
        if key in self._blocked:
            return True
        if kind == "cio_id" or key in self._unblocked:
            return False
        number = self._at_start(kind, value)
        if number is None or people.standing_at_start(self._company, number) != people.SUPPRESSED:
            return False
        return key in self._names_at_start(number)

    def _names_at_start(self, number: int) -> set[tuple[str, str]]:
        own_id, email = people.identifiers_at_start(self._company, number)
        named = (("id", own_id), ("email", email))
        return {key_of(kind, value) for kind, value in named if value is not None}

    def suppress(self, kind: str, value: str) -> None:
        """Take somebody out and ignore all that comes for their identifiers."""
        profile = self.find(kind, value)
        names = {key_of(kind, value)}
        if profile is not None:
            own = (("id", profile.id), ("email", profile.email))
            names |= {key_of(each, name) for each, name in own if name is not None}
            self.delete(profile)
        self._blocked |= names
        self._unblocked -= names

    def unsuppress(self, kind: str, value: str) -> None:
        """Listen again to what comes for an identifier. Nobody comes back by this alone."""
        self._blocked.discard(key_of(kind, value))
        self._unblocked.add(key_of(kind, value))

    def suppressed(self, first: int) -> list[tuple[str, str, bool]]:
        """Identifiers that are ignored, and whether a client said so; those of the company's `first` people too."""
        found: set[tuple[str, str]] = set()
        for index in range(min(first, self._company.people)):
            if people.standing_at_start(self._company, index) == people.SUPPRESSED:
                found |= self._names_at_start(index) - self._unblocked
        return sorted((*key, key in self._blocked) for key in found | self._blocked)


def key_of(kind: str, value: str) -> tuple[str, str]:
    """What two spellings of one identifier have in common: an address has no case."""
    return kind, value.lower() if kind == "email" else value
