"""The register: all profiles, from the company at first and from what clients wrote since.

Profiles nobody wrote to are made from the company when they are looked at; only the others are kept.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from millstream.sandbox import facts, names
from millstream.sandbox.company import Company
from millstream.sandbox.draws import bases_of
from millstream.sandbox.klaviyo.people import Profile, has_profile, make_profile

Indexes = NDArray[np.int64]
IDENTIFIERS = ("email", "phone_number", "external_id")


def now_ms() -> int:
    """The present in ms since 1970."""
    return int(time.time() * 1000)


class Register:
    """All profiles of the account."""

    def __init__(self, company: Company) -> None:
        self.company = company
        self.kept: dict[int, Profile] = {}
        self.gone: set[int] = set()
        self._keys: dict[tuple[str, str], int] = {}
        self._next = company.people

    @cached_property
    def first(self) -> Indexes:
        """Indexes of those who were there at the start."""
        bases = bases_of(self.company.key, np.arange(self.company.people, dtype=np.uint64))
        return np.flatnonzero(has_profile(bases)).astype(np.int64)

    def get(self, index: int | None) -> Profile | None:
        """The profile with an index. Changes to it last only after `keep`."""
        if index is None or index in self.gone:
            return None
        kept = self.kept.get(index)
        if kept is not None:
            return kept
        if not 0 <= index < self.company.people or not has_profile(self.company.base(index)):
            return None
        return make_profile(self.company, index)

    def find(self, kind: str, value: str) -> Profile | None:
        """Whose identifier this is; addresses are compared without case."""
        wanted = value.lower() if kind == "email" else value
        for index in [self._keys.get((kind, wanted)), *self._first_with(kind, wanted)]:
            profile = self.get(index)
            if profile is not None and _plain(kind, profile.identifiers.get(kind)) == wanted:
                return profile
        return None

    def matches(self, identifiers: dict[str, str]) -> list[Profile]:
        """All different profiles that have one of these identifiers."""
        found: dict[int, Profile] = {}
        for kind, value in identifiers.items():
            profile = self.find(kind, value)
            if profile is not None:
                found[profile.index] = profile
        return list(found.values())

    def create(self, identifiers: dict[str, str]) -> Profile:
        """A new profile; it lasts only after `keep`."""
        profile = Profile(self._next, dict(identifiers), now_ms(), now_ms())
        self._next += 1
        return profile

    def keep(self, profile: Profile) -> None:
        """Write a profile down. Whether that counts as an update of it is up to the caller."""
        profile.written = True
        self.kept[profile.index] = profile
        for kind, value in profile.identifiers.items():
            self._keys[kind, _plain(kind, value) or ""] = profile.index

    def forget(self, profile: Profile) -> None:
        """Delete a profile for good."""
        self.gone.add(profile.index)
        self.kept.pop(profile.index, None)

    def after(self, index: int) -> Iterator[Profile]:
        """All profiles beyond an index, in order."""
        start = int(np.searchsorted(self.first, index, side="right"))
        yield from self.profiles(map(int, self.first[start:]))
        yield from self.profiles(sorted(one for one in self.kept if one >= max(self.company.people, index + 1)))

    def profiles(self, indexes: Iterable[int]) -> Iterator[Profile]:
        """The profiles with these indexes, those that are there."""
        for index in indexes:
            profile = self.get(index)
            if profile is not None:
                yield profile

    def _first_with(self, kind: str, value: str) -> list[int]:
        # Whose the identifier could have been at the start.
        if kind == "phone_number":
            return list(names.indexes_in_phone(value, self.company.people))
        digits = value.removeprefix("C-")
        index = facts.index_in_email(value) if kind == "email" else int(digits) - 1 if _is_number(digits) else None
        return [] if index is None else [index]


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 12


def _plain(kind: str, value: str | None) -> str | None:
    return value.lower() if kind == "email" and value is not None else value
