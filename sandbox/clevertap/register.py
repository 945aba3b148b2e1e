"""The register: all profiles, from the company at first and from what clients wrote since.

Profiles nobody wrote to are made from the company when they are looked at; only the others are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from millstream.sandbox import facts
from millstream.sandbox.clevertap.people import Profile, first_standing, has_profile, make_profile
from millstream.sandbox.company import Company
from millstream.sandbox.draws import bases_of

Indexes = NDArray[np.int64]


class Register:
    """All profiles of the project, and the addresses and numbers that nobody may write to."""

    def __init__(self, company: Company) -> None:
        self.company = company
        self.kept: dict[int, Profile] = {}
        self.gone: set[int] = set()
        # By channel (`email`, `phone`, `whatsapp`) and value: whether it is unsubscribed now.
        self.blocked: dict[tuple[str, str], bool] = {}
        self._identities: dict[str, int] = {}
        self._emails: dict[str, int] = {}
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

    def by_identity(self, identity: str) -> Profile | None:
        """Whose identity this is."""
        plain = _plain(identity)
        for index in [self._identities.get(plain), *self._first_with(plain)]:
            profile = self.get(index)
            if profile is not None and plain in {_plain(one) for one in profile.identities}:
                return profile
        return None

    def by_email(self, email: str) -> Profile | None:
        """Whose address this is."""
        plain = email.lower()
        for index in [self._emails.get(plain), *self._first_with(plain)]:
            profile = self.get(index)
            if profile is not None and profile.email == plain:
                return profile
        return None

    def create(self) -> Profile:
        """A new profile; it lasts only after `keep`."""
        self._next += 1
        return Profile(self._next - 1)

    def keep(self, profile: Profile) -> None:
        """Write a profile down."""
        profile.written = True
        self.kept[profile.index] = profile
        for identity in profile.identities:
            self._identities[_plain(identity)] = profile.index
        if profile.email is not None:
            self._emails[profile.email] = profile.index

    def forget(self, profile: Profile) -> None:
        """Delete a profile for good."""
        self.gone.add(profile.index)
        self.kept.pop(profile.index, None)

    def is_blocked(self, channel: str, value: str | None) -> bool:
        """Whether nobody may write to an address or number, whoever uses it."""
        if value is None or (channel, value) in self.blocked:
            return value is not None and self.blocked[channel, value]
        index = facts.index_in_email(value) if channel == "email" else None
        if index is None or index >= self.company.people:
            return False
        base = self.company.base(index)
        was_blocked = bool(has_profile(base)) and first_standing(base) == "dnd"
        return was_blocked and self.company.original(index).email == value

    def standing(self, profile: Profile) -> str:
        """In one word, whether e-mail may be sent: `subscribed`, `unsubscribed` or `dnd`."""
        if self.is_blocked("email", profile.email):
            return "dnd"
        return "unsubscribed" if profile.data.get("MSG-email") is False else "subscribed"

    def profiles(self, indexes: Iterable[int]) -> Iterator[Profile]:
        """The profiles with these indexes, those that are there."""
        for index in indexes:
            profile = self.get(index)
            if profile is not None:
                yield profile

    def _first_with(self, plain: str) -> list[int]:
        # Whose the identity could have been at the start.
        digits = plain.upper().removeprefix("C-")
        if digits.isascii() and digits.isdigit() and len(digits) < 12:
            return [int(digits) - 1]
        index = facts.index_in_email(plain)
        return [] if index is None else [index]


def _plain(identity: str) -> str:
    # Addresses are compared without case; other identities as they are.
    return identity.lower() if "@" in identity else identity
