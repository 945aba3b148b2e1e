"""The register: who is on the list, from the company at first and from what clients wrote since.

A member has a position, which never changes and is the order of the default listing. Members nobody wrote to
are made from the company when they are looked at; only the others are kept. Status and last change of all stand
in arrays, so that lists of hundreds of thousands can be filtered and sorted.
"""

from __future__ import annotations

import hashlib
import re
import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from millstream.sandbox import facts, names
from millstream.sandbox.company import Company
from millstream.sandbox.draws import bases_of, choose_many, draw, share, topic
from millstream.sandbox.mailchimp.problems import RowRefused, looks_fake

STATUSES = ("subscribed", "unsubscribed", "cleaned", "pending", "transactional", "archived")
SUBSCRIBED, UNSUBSCRIBED, CLEANED, PENDING, TRANSACTIONAL, ARCHIVED = range(len(STATUSES))
WRITABLE = STATUSES[:5]
# Every fourth of the unsubscribed did it themselves; an API client cannot bring those back.
OWN_DOING = topic(520)

Indexes = NDArray[np.int64]
_ADDRESS = re.compile(r"[^@\s,;<>\"']+@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}")


def key_of(email: str) -> str:
    """The id of a member: MD5 of the address in lower case."""
    return hashlib.md5(email.lower().encode()).hexdigest()


def contact_id_of(position: int) -> str:
    """The id of a contact, which stays when the address changes."""
    return hashlib.md5(f"contact {position}".encode()).hexdigest()


def check_address(email: str) -> None:
    """Refuse what is no address, and what looks made up."""
    if not _ADDRESS.fullmatch(email) or ".." in email:
        raise RowRefused("Invalid Resource", "Please provide a valid email address.", "email_address")
    if email.partition("@")[0].lower() == "fake":
        raise looks_fake(email)


@dataclass(slots=True)
class Member:
    """One member.

    Attributes:
        position: Place in the default order.
        email: Address as it was written.
        status: One of `STATUSES`.
        merge_fields: Values by merge tag.
        in_compliance_state: Unsubscribed by own hand or bounced: no client may set `subscribed`.
        opted_out: Whether the last thing known about consent is that the member left or bounced.
        resubscribed: Whether a client ever set somebody who had left to subscribed.
        created_ms: When the member came onto the list.
        changed_ms: When anything about the member last changed.
    """

    position: int
    email: str
    status: str
    merge_fields: dict[str, object]
    created_ms: int
    changed_ms: int
    in_compliance_state: bool = False
    opted_out: bool = False
    resubscribed: bool = False
    language: str = "en"
    email_type: str = "html"
    vip: bool = False
    location: dict[str, float] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """MD5 of the address in lower case."""
        return key_of(self.email)

    @property
    def contact_id(self) -> str:
        """See `contact_id_of`."""
        return contact_id_of(self.position)


class Register:
    """All members of the one list."""

    def __init__(self, company: Company) -> None:
        self._company = company
        self.version = 0
        self.reset()

    def reset(self) -> None:
        """Back to the members the company has."""
        company = self._company
        self.version += 1
        self.forgotten: set[str] = set()
        self._kept: dict[int, Member] = {}
        self._by_key: dict[str, int] = {}
        self._gone: set[int] = set()
        self._all_keys = False
        self._seen_changes = 0
        bases = bases_of(company.key, np.arange(company.people, dtype=np.uint64))
        bits = draw(bases, facts.MAILCHIMP)
        self._people: Indexes = np.flatnonzero(share(bits, 0) < facts.MAILCHIMP_CUT).astype(np.int64)
        self._bits = bits[self._people]
        self.size = len(self._people)
        places = choose_many(facts.MAILCHIMP_STATUS_CUTS, share(self._bits, 1))
        codes = [STATUSES.index(status) for status in facts.MAILCHIMP_STATUSES]
        self._status: NDArray[np.int8] = np.asarray(codes, dtype=np.int8)[places]
        age = facts.signup_age(draw(bases[self._people], facts.CREATED)).astype(np.int64)
        self._changed: Indexes = company.today_ms - age + ((self._bits >> 10).astype(np.int64) % age)

    @property
    def statuses(self) -> NDArray[np.int8]:
        """Status code of each position; -1 where nobody is any more."""
        return self._status[: self.size]

    @property
    def changed(self) -> Indexes:
        """Last change of each position, in ms."""
        return self._changed[: self.size]

    def first_tagged(self, slot: int) -> set[int]:
        """Positions that have the company's tag number `slot` from the start."""
        edge = (26, 38)[slot]  # as in `facts.make_mailchimp_member`; a test compares
        return set(np.flatnonzero((self._bits >> (32 + 8 * slot)) & 0xFF < edge).tolist())

    # Life going on

    def person_of(self, position: int) -> int:
        """Index of the company's person at a position; members that clients made have one beyond its people."""
        return int(self._people[position]) if position < len(self._people) else self._company.people + position

    def advanced_ms(self, position: int) -> int | None:
        """When `advance` last changed the person at a position; None if it never did."""
        change = self._company.changes.get(self.person_of(position))
        return None if change is None else change.modified_ms

    def take_news(self) -> None:
        """Let members show the time at which `advance` changed them; what they are stays as clients left it."""
        if self._seen_changes == len(self._company.changes):
            return
        self._seen_changes = len(self._company.changes)
        for position in range(len(self._people)):
            at_ms = self.advanced_ms(position)
            if at_ms is not None and at_ms > self._changed[position] and position not in self._gone:
                member = self.member(position)
                member.changed_ms = at_ms
                self._kept[position] = member
                self._changed[position] = at_ms
        self.version += 1

    # Finding

    def member(self, position: int) -> Member:
        """The member at a position. Changes to it last only after `keep`."""
        kept = self._kept.get(position)
        return self._original(position) if kept is None else kept

    def _original(self, position: int) -> Member:
        index = int(self._people[position])
        person, entry = self._company.original(index), self._company.mailchimp_member(index)
        if entry is None:
            raise LookupError(f"person {index} is not on the list")
        own_doing = draw(self._company.base(index), OWN_DOING) % 4 == 0
        return Member(
            position=position,
            email=entry.email_address,
            status=entry.status,
            merge_fields={"FNAME": person.first_name, "LNAME": person.last_name, "PHONE": person.phone or ""},
            created_ms=entry.opted_in_ms,
            changed_ms=entry.changed_ms,
            opted_out=entry.status != "subscribed",
            in_compliance_state=entry.status == "cleaned" or (entry.status == "unsubscribed" and own_doing),
        )

    def by_email(self, email: str) -> Member | None:
        """Whose address this is, archived members included."""
        key = key_of(email)
        position = self._by_key.get(key)
        if position is None:
            person = self._company.find_by_email(email)
            if person is None or person.email != email.lower():
                return None
            position = int(np.searchsorted(self._people, person.index))
            if position == len(self._people) or self._people[position] != person.index:
                return None
        return self._present(position, key)

    def find(self, name: str) -> Member | None:
        """A member by MD5, address or contact id, as paths take them."""
        if "@" in name:
            return self.by_email(name)
        position = self._by_key.get(name.lower())
        if position is None and not self._all_keys:
            self._learn_keys()
            position = self._by_key.get(name.lower())
        return None if position is None else self._present(position, None)

    def _present(self, position: int, key: str | None) -> Member | None:
        if position in self._gone:
            return None
        member = self.member(position)
        return member if key is None or member.key == key else None

    def _learn_keys(self) -> None:
        # Nobody can tell whose address an MD5 is of, so all are worked out the first time one is asked for.
        self._all_keys = True
        bits = draw(bases_of(self._company.key, self._people.astype(np.uint64)), facts.NAME)
        for position, (index, name) in enumerate(zip(self._people.tolist(), bits.tolist(), strict=True)):
            if position in self._kept or position in self._gone:
                continue
            # As in `facts.make_person`, of which nothing else is needed here.
            first = names.FIRST_NAMES[name % len(names.FIRST_NAMES)]
            last = names.LAST_NAMES[(name >> 16) % len(names.LAST_NAMES)]
            self._by_key[key_of(facts.make_email(name, first, last, index))] = position
            self._by_key[contact_id_of(position)] = position

    # Writing

    def create(self, email: str, status: str) -> Member:
        """A new member, not yet kept."""
        now = int(time.time() * 1000)
        return Member(self.size, email, status, {}, now, now)

    def keep(self, member: Member) -> None:
        """Write a member down, as changed now."""
        member.changed_ms = int(time.time() * 1000)
        if member.position == self.size:
            self._make_room()
            self.size += 1
        self._kept[member.position] = member
        self._by_key[member.key] = member.position
        self._by_key[member.contact_id] = member.position
        self._status[member.position] = STATUSES.index(member.status)
        self._changed[member.position] = member.changed_ms
        self.version += 1

    def rename(self, member: Member, email: str) -> None:
        """Give a member another address, and so another id."""
        self._by_key.pop(member.key, None)
        member.email = email

    def forget(self, member: Member) -> None:
        """Delete a member for good: the address can never come back through the API."""
        self.forgotten.add(member.key)
        self._gone.add(member.position)
        self._kept.pop(member.position, None)
        self._by_key.pop(member.key, None)
        self._by_key.pop(member.contact_id, None)
        self._status[member.position] = -1
        self.version += 1

    def _make_room(self) -> None:
        if self.size == len(self._status):
            room = max(1024, self.size)
            self._status = np.concatenate([self._status, np.zeros(room, dtype=np.int8)])
            self._changed = np.concatenate([self._changed, np.zeros(room, dtype=np.int64)])
