"""Who is in the directory and on which mailing list: a pure function of the company."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from millstream.sandbox.company import Company
from millstream.sandbox.draws import bases_of, cut, draw, share, topic
from millstream.sandbox.person import Person
from millstream.sandbox.qualtrics.surveys import OWNER_ID, stamp
from millstream.sandbox.system import JsonObject

KNOWN, SECOND, LIFE = topic(650), topic(651), topic(652)
KNOWN_CUT, SECOND_CUT = cut(0.4), cut(0.08)
NO_EMAIL_CUT, REFERENCE_CUT, UNSUBSCRIBED_CUT, BOUNCED_CUT = cut(0.08), cut(0.75), cut(0.7), cut(0.04)
DELETED_CUT = cut(0.1)

DIRECTORY_ID = "POOL_sandbox00000001"
CUSTOMERS, NEWSLETTER = "CG_sandboxCustom01", "CG_sandboxNewsle01"
LISTS = {CUSTOMERS: "Customers", NEWSLETTER: "Newsletter"}


@dataclass(frozen=True, slots=True)
class Contact:
    """One entry of the directory. A person may have two: whoever is imported twice is there twice."""

    index: int
    second: bool

    @property
    def number(self) -> int:
        """What its ids are made of: entries made later have higher numbers."""
        return self.index * 2 + self.second

    @property
    def contact_id(self) -> str:
        """Its id in the directory."""
        return f"CID_{self.number:015d}"

    def lookup_id(self, list_id: str) -> str:
        """Its id on one list."""
        return f"CGC_{list(LISTS).index(list_id)}{self.number:014d}"


def contacts(company: Company) -> list[Contact]:
    """Everybody in the directory now, in the order of their ids."""
    bases = bases_of(company.key, np.arange(company.population, dtype=np.uint64))
    known = np.flatnonzero(share(draw(bases, KNOWN), 0) < KNOWN_CUT)
    twice = set(np.flatnonzero(share(draw(bases, SECOND), 0) < SECOND_CUT).tolist())
    found = []
    for index in known.tolist():
        found += (
            _entries(company, index, index in twice)
            if index in twice or index in company.changes
            else [Contact(index, second=False)]
        )
    return found


def contacts_of(company: Company, index: int) -> list[Contact]:
    """One person's entries now."""
    base = company.base(index)
    if share(draw(base, KNOWN), 0) >= KNOWN_CUT:
        return []
    return _entries(company, index, share(draw(base, SECOND), 0) < SECOND_CUT)


def _entries(company: Company, index: int, twice: bool) -> list[Contact]:
    """A change deletes some entries, and merges the second entry of a person into the first."""
    first, second = Contact(index, second=False), Contact(index, second=True)
    if index not in company.changes:
        return [first, second] if twice and index < company.people else [first]
    newcomer = index >= company.people
    deleted = not newcomer and share(draw(company.base(index), LIFE), 0) < DELETED_CUT
    return [] if deleted else [first]


def contact_ids_of(company: Company, index: int) -> list[str]:
    """The ids of one person's entries, for the truth."""
    return [contact.contact_id for contact in contacts_of(company, index)]


@dataclass(frozen=True, slots=True)
class Card:
    """What an entry says about a person."""

    person: Person
    email: str
    phone: str
    reference: str
    directory_unsubscribed: bool
    list_unsubscribed: bool
    bounced: bool
    created_ms: int
    modified_ms: int


def _lists_of(has_customer_id: bool, bits: int) -> tuple[str, ...]:
    if has_customer_id:
        return (CUSTOMERS, NEWSLETTER) if bits & 1 else (CUSTOMERS,)
    return (NEWSLETTER,)


def lists_of(company: Company, contact: Contact) -> tuple[str, ...]:
    """The lists an entry is on."""
    person = company.person(contact.index)
    return _lists_of(person.customer_id is not None, draw(company.base(contact.index), LIFE) >> 60 & 1)


def card(company: Company, contact: Contact) -> Card:
    """The entry's contents. One without an address has a phone number, and the till's number is on some."""
    person = company.person(contact.index)
    bits = draw(company.base(contact.index), SECOND if contact.second else KNOWN)
    phone = person.phone or ("" if contact.second else person.contact_phone or "")
    email = person.emails[-1] if contact.second else person.email
    if person.phone is not None and share(bits, 1) < NO_EMAIL_CUT:
        email = ""
    refers = share(bits, 2) < REFERENCE_CUT
    refused = person.subscription == "UNSUBSCRIBED"
    return Card(
        person=person,
        email=email.upper() if bits >> 56 & 15 == 0 else email,
        phone=phone,
        reference=(person.customer_id or "") if refers else "",
        directory_unsubscribed=refused and share(draw(company.base(contact.index), LIFE), 1) < UNSUBSCRIBED_CUT,
        list_unsubscribed=refused,
        bounced=bool(email) and share(bits, 3) < BOUNCED_CUT,
        created_ms=person.created_ms,
        modified_ms=person.modified_ms,
    )


def embedded_of(person: Person) -> JsonObject:
    """The fields of the shop's own that its import gave to an entry; all are text."""
    made: JsonObject = {"city": person.city, "country": person.country_code}
    if person.contact_ids:
        made["crm_id"] = str(person.contact_ids[0])
    return made


def listed(company: Company, contact: Contact, embedded: bool) -> JsonObject:
    """An entry as the directory lists it."""
    entry = card(company, contact)
    made: JsonObject = {
        "contactId": contact.contact_id,
        "firstName": entry.person.first_name,
        "lastName": entry.person.last_name,
        "email": entry.email or None,
        "phone": entry.phone or None,
        "extRef": entry.reference or None,
        "language": "en",
        "unsubscribed": entry.directory_unsubscribed,
    }
    return made | {"embeddedData": embedded_of(entry.person)} if embedded else made


def listed_on(company: Company, contact: Contact, list_id: str, embedded: bool) -> JsonObject:
    """An entry as one of its mailing lists shows it."""
    return {
        **listed(company, contact, embedded),
        "mailingListUnsubscribed": card(company, contact).list_unsubscribed,
        "contactLookupId": contact.lookup_id(list_id),
    }


def opted_out(company: Company, contact: Contact) -> JsonObject:
    """An entry that left the directory's mail, as the list of those shows it."""
    made = listed(company, contact, embedded=False)
    made.pop("unsubscribed")
    when = stamp(card(company, contact).modified_ms)
    return made | {"directoryUnsubscribed": True, "directoryUnsubscribeDate": when}


def whole(company: Company, contact: Contact) -> JsonObject:
    """An entry on its own, the only place that tells when it changed."""
    entry = card(company, contact)
    left = stamp(entry.modified_ms) if entry.list_unsubscribed else None
    made = listed(company, contact, embedded=True)
    made.pop("unsubscribed")
    return {
        **made,
        "emailDomain": entry.email.rpartition("@")[2] or None,
        "creationDate": entry.created_ms,
        "lastModified": entry.modified_ms,
        "transactionData": [],
        "stats": {"lastInviteXDaysAgo": None, "responseCount": 0, "invitesXDays": 0},
        "directoryUnsubscribed": entry.directory_unsubscribed,
        "directoryUnsubscribeDate": entry.modified_ms if entry.directory_unsubscribed else None,
        "mailingListMembership": {
            list_id: {
                "contactLookupId": contact.lookup_id(list_id),
                "name": LISTS[list_id],
                "ownerId": OWNER_ID,
                "unsubscribed": entry.list_unsubscribed,
                "unsubscribeDate": left,
            }
            for list_id in lists_of(company, contact)
        },
    }
