"""All profiles: those of the company, made when they are looked at, and what clients wrote since."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from millstream.sandbox import names
from millstream.sandbox.braze.people import (
    ALIAS_LABEL,
    BOUNCED,
    SUBSCRIBED,
    UNSUBSCRIBED,
    braze_id_of,
    email_state,
    group_states,
    has_profile,
    index_of,
    is_vip,
)
from millstream.sandbox.company import Company
from millstream.sandbox.facts import index_in_email

Alias = tuple[str, str]
FIRST_NEW_ID = 0x6F0000000000000000000000


@dataclass(slots=True)
class Profile:
    """One profile.

    Attributes:
        aliases: (label, name) of each; a label occurs once.
        standard: The vendor's own attributes, by name.
        custom: Custom attributes by name.
        email_state: `opted_in`, `subscribed` or `unsubscribed`.
        bounced: Whether the address bounced for good.
        groups: State by subscription group.
        events: How often each event and purchase was recorded.
        resubscribed: Whether a client ever made somebody who had left reachable again, by whatever way.
        updated: Rises with every write, so that the latest can be told.
    """

    braze_id: str
    external_id: str | None = None
    aliases: dict[str, str] = field(default_factory=dict)
    standard: dict[str, object] = field(default_factory=dict)
    custom: dict[str, object] = field(default_factory=dict)
    email_state: str = SUBSCRIBED
    push_state: str = SUBSCRIBED
    bounced: bool = False
    groups: dict[str, str] = field(default_factory=dict)
    cohorts: set[str] = field(default_factory=set)
    events: dict[str, int] = field(default_factory=dict)
    purchases: dict[str, int] = field(default_factory=dict)
    created_ms: int = 0
    unsubscribed_ms: int | None = None
    resubscribed: bool = False
    updated: int = 0
    written: bool = False

    @property
    def email(self) -> str | None:
        """The address."""
        found = self.standard.get("email")
        return found if isinstance(found, str) else None

    @property
    def phone(self) -> str | None:
        """The number."""
        found = self.standard.get("phone")
        return found if isinstance(found, str) else None

    @property
    def standing(self) -> str:
        """The state of e-mail, or that the address bounced."""
        return BOUNCED if self.bounced else self.email_state


class Profiles:
    """All profiles of the workspace."""

    def __init__(self, company: Company) -> None:
        self._company = company
        self.reset()

    def reset(self) -> None:
        """Back to the profiles the company has."""
        self._kept: dict[str, Profile] = {}
        self._gone: set[str] = set()
        self._by_external_id: dict[str, str] = {}
        self._by_alias: dict[Alias, str] = {}
        self._by_email: dict[str, set[str]] = {}
        self._by_phone: dict[str, set[str]] = {}
        # States of addresses that belong to nobody yet.
        self.waiting_states: dict[str, str] = {}
        self._next_id = FIRST_NEW_ID
        self._writes = 0

    # Finding

    def by_braze_id(self, braze_id: str) -> Profile | None:
        """The profile with an id. Changes to it last only after `keep`."""
        if braze_id in self._kept:
            return self._kept[braze_id]
        index = index_of(braze_id)
        if index is None or braze_id in self._gone or not has_profile(self._company, index):
            return None
        return self._original(index)

    def by_external_id(self, external_id: str) -> Profile | None:
        """Whose external id this is; upper and lower case are different ids."""
        if external_id in self._by_external_id:
            return self.by_braze_id(self._by_external_id[external_id])
        digits = external_id.removeprefix("C-")
        index = int(digits) - 1 if digits.isascii() and digits.isdigit() and len(digits) < 9 else -1
        found = self.by_braze_id(braze_id_of(index)) if index >= 0 else None
        return found if found is not None and found.external_id == external_id else None

    def by_alias(self, label: str, name: str) -> Profile | None:
        """Whose alias this is."""
        if (label, name) in self._by_alias:
            return self.by_braze_id(self._by_alias[label, name])
        index = index_in_email(name) if label == ALIAS_LABEL else None
        found = None if index is None else self.by_braze_id(braze_id_of(index))
        return found if found is not None and found.aliases.get(label) == name else None

    def all_by_email(self, email: str) -> list[Profile]:
        """Everybody with this address, in whatever case."""
        address = email.strip().lower()
        ids = set(self._by_email.get(address, ()))
        index = index_in_email(address)
        if index is not None:
            ids.add(braze_id_of(index))
        found = (self.by_braze_id(braze_id) for braze_id in sorted(ids))
        return [one for one in found if one is not None and (one.email or "").lower() == address]

    def all_by_phone(self, phone: str) -> list[Profile]:
        """Everybody with this number."""
        ids = set(self._by_phone.get(phone, ()))
        ids |= {braze_id_of(index) for index in names.indexes_in_phone(phone, self._company.people)}
        found = (self.by_braze_id(braze_id) for braze_id in sorted(ids))
        return [one for one in found if one is not None and one.phone == phone]

    def _original(self, index: int) -> Profile:
        person = self._company.original(index)
        state = email_state(self._company, index)
        standard: dict[str, object] = {
            "first_name": person.first_name,
            "last_name": person.last_name,
            "email": person.email,
            "home_city": person.city,
            "country": person.country_code,
            "dob": person.birth_date.isoformat(),
        }
        if person.phone is not None:
            standard["phone"] = person.phone
        left = state in {UNSUBSCRIBED, BOUNCED}
        return Profile(
            braze_id=braze_id_of(index),
            external_id=person.customer_id,
            aliases={} if person.customer_id else {ALIAS_LABEL: person.email},
            standard=standard,
            custom={"vip": True, "interests": ["coffee", "tea"]} if is_vip(self._company, index) else {},
            email_state=UNSUBSCRIBED if left else state,
            bounced=state == BOUNCED,
            groups=group_states(self._company, person),
            created_ms=person.created_ms,
            unsubscribed_ms=person.created_ms if left else None,
        )

    @property
    def kept(self) -> Iterator[Profile]:
        """The profiles that were written."""
        return iter(self._kept.values())

    def everybody(self) -> Iterator[Profile]:
        """The profiles that were written, and then those nobody touched."""
        yield from list(self._kept.values())
        for index in range(self._company.people):
            if braze_id_of(index) not in self._kept:
                found = self.by_braze_id(braze_id_of(index))
                if found is not None:
                    yield found

    # Writing

    def create(self) -> Profile:
        """A new profile, not yet kept; it is subscribed, as everybody is who never said anything."""
        self._next_id += 1
        return Profile(f"{self._next_id:024x}", created_ms=int(time.time() * 1000))

    def keep(self, profile: Profile) -> None:
        """Write a profile down, as the latest that was changed."""
        self._writes += 1
        profile.updated, profile.written = self._writes, True
        self._kept[profile.braze_id] = profile
        if profile.external_id is not None:
            self._by_external_id[profile.external_id] = profile.braze_id
        for alias in profile.aliases.items():
            self._by_alias[alias] = profile.braze_id
        # What is left of earlier addresses does no harm: finders compare.
        if profile.email is not None:
            self._by_email.setdefault(profile.email.lower(), set()).add(profile.braze_id)
        if profile.phone is not None:
            self._by_phone.setdefault(profile.phone, set()).add(profile.braze_id)

    def forget(self, profile: Profile) -> None:
        """Delete a profile for good."""
        self._gone.add(profile.braze_id)
        self._kept.pop(profile.braze_id, None)
