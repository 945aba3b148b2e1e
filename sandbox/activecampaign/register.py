"""All contacts: those of the company, made when they are looked at, and what clients wrote since."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from millstream.sandbox.activecampaign.people import (
    BOUNCED,
    CONTACT,
    CONTACT_CUT,
    CUSTOMERS,
    CUSTOMERS_CUTS,
    CUSTOMERS_STATUSES,
    NEWSLETTER,
    NEWSLETTER_CUTS,
    NEWSLETTER_STATUSES,
    NOT_ON_LIST,
    TAGS,
    first_lists,
    first_tags,
    has_contact,
)
from millstream.sandbox.company import Company
from millstream.sandbox.draws import bases_of, choose_many, draw, share
from millstream.sandbox.facts import index_in_email

FIRST_NEW_CONTACT = 5_000_001
FIRST_NEW_CONTACT_TAG = 100_000_001
_ADDRESS = re.compile(r"[^@\s,;<>\"'()]+@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}")

Numbers = NDArray[np.int64]


def is_address(email: str) -> bool:
    """Whether this has the form of an address."""
    return _ADDRESS.fullmatch(email) is not None and ".." not in email


@dataclass(slots=True)
class Contact:
    """One contact.

    Attributes:
        number: Its id.
        lists: Status by list id.
        tags: Id of the contact's tag by tag id.
        fields: Value by field id.
        resubscribed: Lists a client made active again after the contact had left them or bounced.
        written: Whether a client ever wrote it.
    """

    number: int
    email: str
    first_name: str = ""
    last_name: str = ""
    phone: str = ""
    account_name: str = ""
    fields: dict[int, str] = field(default_factory=dict)
    lists: dict[int, int] = field(default_factory=dict)
    tags: dict[int, int] = field(default_factory=dict)
    resubscribed: set[int] = field(default_factory=set)
    created_ms: int = 0
    updated_ms: int = 0
    written: bool = False


class Register:
    """All contacts of the account."""

    def __init__(self, company: Company) -> None:
        self._company = company
        self.reset()

    def reset(self) -> None:
        """Back to the contacts the company has."""
        self._kept: dict[int, Contact] = {}
        self._by_email: dict[str, int] = {}
        self._gone: set[int] = set()
        self._first: _FirstContacts | None = None
        self._next_contact = FIRST_NEW_CONTACT
        self._next_contact_tag = FIRST_NEW_CONTACT_TAG
        self._tagged: dict[int, int] = {}
        # How often an automation was set off, by what set it off.
        self.automations: dict[str, int] = {}

    # Finding

    def contact(self, number: int) -> Contact | None:
        """The contact with an id. Changes to it last only after `keep`."""
        if number in self._kept:
            return self._kept[number]
        if number in self._gone or not has_contact(self._company, number - 1):
            return None
        return self._original(number)

    def by_email(self, email: str) -> Contact | None:
        """Whose address this is, in whatever case."""
        address = email.strip().lower()
        number = self._by_email.get(address)
        if number is None:
            index = index_in_email(address)
            number = 0 if index is None else index + 1
        found = self.contact(number)
        return found if found is not None and found.email.lower() == address else None

    def by_contact_tag(self, number: int) -> tuple[Contact, int] | None:
        """The contact and the tag id behind the id of a contact's tag."""
        owner = self._tagged.get(number, number // 10)
        contact = self.contact(owner)
        for tag, own in contact.tags.items() if contact is not None else ():
            if own == number and contact is not None:
                return contact, tag
        return None

    def _original(self, number: int) -> Contact:
        person = self._company.original(number - 1)
        values = {1: person.city, 2: person.birth_date.isoformat(), 4: person.customer_id or ""}
        return Contact(
            number=number,
            email=person.email,
            first_name=person.first_name,
            last_name=person.last_name,
            phone=person.phone or "",
            fields={field: value for field, value in values.items() if value},
            lists=first_lists(self._company, number - 1),
            tags={tag: number * 10 + tag for tag in first_tags(self._company, number - 1)},
            created_ms=person.created_ms,
            updated_ms=person.created_ms,
        )

    # Writing

    def create(self, email: str) -> Contact:
        """A new contact, not yet kept."""
        now = int(time.time() * 1000)
        return Contact(self._next_contact, email.strip(), created_ms=now)

    def keep(self, contact: Contact) -> None:
        """Write a contact down, as changed now."""
        contact.written = True
        contact.updated_ms = int(time.time() * 1000)
        if contact.number == self._next_contact:
            self._next_contact += 1
        self._kept[contact.number] = contact
        self._by_email[contact.email.lower()] = contact.number

    def rename(self, contact: Contact, email: str) -> None:
        """Give a contact another address."""
        self._by_email.pop(contact.email.lower(), None)
        contact.email = email

    def forget(self, contact: Contact) -> None:
        """Delete a contact; the same address comes back as another contact."""
        self._gone.add(contact.number)
        self._kept.pop(contact.number, None)
        self._by_email.pop(contact.email.lower(), None)

    def add_tag(self, contact: Contact, tag: int, *, automations: bool = True) -> int:
        """Tag a contact: the id of the contact's tag, which stays the same when it is tagged again."""
        if tag not in contact.tags:
            contact.tags[tag] = self._next_contact_tag
            self._tagged[self._next_contact_tag] = contact.number
            self._next_contact_tag += 1
            self._set_off("tag added", automations=automations)
        return contact.tags[tag]

    def remove_tag(self, contact: Contact, tag: int) -> None:
        """Take a tag off a contact."""
        self._tagged.pop(contact.tags.pop(tag), None)
        self._set_off("tag removed", automations=True)

    def set_list(self, contact: Contact, number: int, status: int, *, automations: bool = True) -> None:
        """Give a contact a status on a list, whatever it was before."""
        before = contact.lists.get(number, NOT_ON_LIST)
        if status == before:
            return
        if status == 1 and before in {2, BOUNCED}:
            contact.resubscribed.add(number)
        contact.lists[number] = status
        self._set_off("subscribed" if status == 1 else "unsubscribed", automations=automations)

    def _set_off(self, trigger: str, *, automations: bool) -> None:
        if automations:
            self.automations[trigger] = self.automations.get(trigger, 0) + 1

    # Listing

    @property
    def kept(self) -> Iterator[Contact]:
        """The contacts that were written, in the order in which that first happened."""
        return iter(self._kept.values())

    def matching(
        self, listid: int | None, status: int | None, tag: int | None, also: Callable[[Contact], bool] | None = None
    ) -> list[int]:
        """Ids of the contacts on a list, with a status there (or on any), with a tag; in ascending order.

        Args:
            listid: Only contacts that have to do with this list.
            status: Only with this status there; without a list, on any of theirs.
            tag: Only with this tag.
            also: What else must hold; it is asked of every contact left, so it is slow.
        """
        if self._first is None:
            self._first = _FirstContacts(self._company)
        touched = self._gone | self._kept.keys()
        found = [number for number in self._first.matching(listid, status, tag).tolist() if number not in touched]
        found += [number for number, one in self._kept.items() if fits(one, listid, status, tag)]
        if also is not None:
            found = [number for number in found if (one := self.contact(number)) is not None and also(one)]
        return sorted(found)


def fits(contact: Contact, listid: int | None, status: int | None, tag: int | None) -> bool:
    """Whether a contact has to do with a list, has a status there (or on any), and has a tag."""
    if tag is not None and tag not in contact.tags:
        return False
    if listid is None:
        return status is None or status in contact.lists.values()
    return listid in contact.lists and status in {None, contact.lists[listid]}


class _FirstContacts:
    """The contacts of the start as columns, so that hundreds of thousands can be filtered at once."""

    def __init__(self, company: Company) -> None:
        bits = draw(bases_of(company.key, np.arange(company.people, dtype=np.uint64)), CONTACT)
        people = np.flatnonzero(share(bits, 0) < CONTACT_CUT)
        self._numbers: Numbers = people.astype(np.int64) + 1
        bits = bits[people]
        newsletter = np.asarray(NEWSLETTER_STATUSES)[choose_many(NEWSLETTER_CUTS, share(bits, 1))]
        customers = np.asarray(CUSTOMERS_STATUSES)[choose_many(CUSTOMERS_CUTS, share(bits, 2))]
        customers[(newsletter == BOUNCED) & (customers != NOT_ON_LIST)] = BOUNCED
        self._lists = {NEWSLETTER: newsletter, CUSTOMERS: customers}
        self._tags = {
            tag: (bits >> np.uint64(place)) & np.uint64(0xFF) < chance for tag, (chance, place) in TAGS.items()
        }

    def matching(self, listid: int | None, status: int | None, tag: int | None) -> Numbers:
        """As `Register.matching`, before anything was written."""
        nobody = np.zeros(len(self._numbers), dtype=np.bool_)
        wanted = ~nobody if tag is None else self._tags.get(tag, nobody)
        if listid is not None:
            there = self._lists.get(listid)
            on_list = nobody if there is None else (there != NOT_ON_LIST if status is None else there == status)
            wanted = wanted & on_list
        elif status is not None:
            wanted = wanted & ((self._lists[NEWSLETTER] == status) | (self._lists[CUSTOMERS] == status))
        return self._numbers[wanted]
