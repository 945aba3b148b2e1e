"""The book of contacts: those of the company, and over them what clients wrote, archived, blocked and deleted.

Contacts that nobody wrote to stay what the company makes them; of the others only the difference is kept, so that
life going on shows in them too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from millstream.sandbox.company import MAX_PEOPLE, Company
from millstream.sandbox.draws import cut, draw, share, topic
from millstream.sandbox.intercom.people import (
    TAGS,
    Contact,
    contact_id,
    contact_row,
    has_contact,
    index_of,
    list_of,
    make_contact,
    tags_of,
)
from millstream.sandbox.person import Person
from millstream.sandbox.system import JsonObject

ARCHIVED = topic(760)
ARCHIVED_CUT = cut(0.06)
FIRST_NEW = MAX_PEOPLE * 2

State = Literal["active", "archived", "blocked", "deleted"]


@dataclass(slots=True)
class Entry:
    """What is different about one contact.

    Attributes:
        contact_id: Its id.
        index: Whose it is, or None where a client made it.
        state: Whether it can be seen.
        changes: Fields that a client set.
        custom: Custom attributes that a client set; None is one that was cleared.
        tags: Ids of the tags it has now.
        opted_out: Ids of the subscriptions it left.
        ready: Clock reading from which searches and lists know of it.
        written: Whether a client ever wrote to it.
    """

    contact_id: str
    index: int | None
    tags: list[str]
    state: State = "active"
    changes: JsonObject = field(default_factory=dict)
    custom: JsonObject = field(default_factory=dict)
    opted_out: set[str] = field(default_factory=set)
    ready: float = 0.0
    written: bool = False


class Book:
    """All contacts.

    Args:
        company: Whose contacts.
        people: The company's contacts as they are now.

    Attributes:
        lag: Seconds until searches and lists know of a contact that a client made.
    """

    def __init__(self, company: Company, people: Callable[[], list[Contact]]) -> None:
        self._company = company
        self._people = people
        self.lag = 0.0
        self.resubscribed: list[str] = []
        self._entries: dict[str, Entry] = {}
        self._by_external_id: dict[str, set[str]] = {}
        self._by_email: dict[str, set[str]] = {}
        self._made = 0

    # Finding

    def get(self, wanted: str) -> Entry | None:
        """The contact with an id, whatever its state; changes to it last only after `keep`."""
        if wanted in self._entries:
            return self._entries[wanted]
        index = index_of(wanted)
        if index is None:
            return None
        if has_contact(self._company, index):
            return Entry(wanted, index, tags_of(index))
        return Entry(wanted, index, [], state="archived") if self._was_archived(index) else None

    def _was_archived(self, index: int) -> bool:
        """Whether somebody who is not in the messenger was once."""
        known = index < self._company.people and not has_contact(self._company, index)
        return known and share(draw(self._company.base(index), ARCHIVED), 0) < ARCHIVED_CUT

    def archived_at_start(self, first: int) -> Iterator[Entry]:
        """The archived contacts among the company's first people whom nobody wrote to."""
        for index in range(min(first, self._company.people)):
            if self._was_archived(index) and contact_id(index) not in self._entries:
                yield Entry(contact_id(index), index, [], state="archived")

    def with_external_id(self, value: str) -> list[Entry]:
        """Contacts with a client's own id, deleted ones apart."""
        person = self._company.find_by_customer_id(value)
        return self._named("external_id", value, self._by_external_id.get(value, set()), person)

    def with_email(self, value: str) -> list[Entry]:
        """Contacts with an address in whatever spelling, deleted ones apart."""
        person = self._company.find_by_email(value)
        return self._named("email", value.lower(), self._by_email.get(value.lower(), set()), person)

    def _named(self, name: str, value: str, candidates: set[str], person: Person | None) -> list[Entry]:
        ids = candidates | ({contact_id(person.index)} if person is not None else set())
        found = [entry for entry in map(self.get, sorted(ids)) if entry is not None and entry.state != "deleted"]
        return [entry for entry in found if _folded(name, self.row(entry)[name]) == value]

    def tagged(self, tag_id: str) -> list[Entry] | None:
        """Contacts with a tag; None where only a look at everybody tells."""
        if tag_id in {known for known, _ in TAGS}:
            return None
        return [entry for entry in self._entries.values() if tag_id in entry.tags]

    def is_listed(self, entry: Entry) -> bool:
        """Whether searches and lists know of a contact."""
        return entry.state == "active" and entry.ready <= time.monotonic()

    def listed(self) -> Iterator[Entry]:
        """Every contact that searches and lists know of: the company's in its order, then the others."""
        seen = set()
        for contact in self._people():
            entry = self._entries.get(contact.contact_id) or Entry(
                contact.contact_id, contact.index, tags_of(contact.index)
            )
            seen.add(entry.contact_id)
            if self.is_listed(entry):
                yield entry
        yield from (entry for entry in self._entries.values() if entry.contact_id not in seen and self.is_listed(entry))

    @property
    def touched(self) -> list[Entry]:
        """Contacts that clients wrote to, or took out."""
        return list(self._entries.values())

    # Showing

    def row(self, entry: Entry) -> JsonObject:
        """A contact as the API gives it."""
        row = self._first_row(entry)
        if entry.contact_id not in self._entries and entry.state == "active" and not entry.written:
            return row
        attributes = row["custom_attributes"]
        merged = {**(attributes if isinstance(attributes, dict) else {}), **entry.custom}
        tags: list[JsonObject] = [{"type": "tag", "id": tag} for tag in entry.tags]
        return {
            **row,
            **entry.changes,
            "custom_attributes": {name: value for name, value in merged.items() if value is not None},
            "tags": list_of(entry.contact_id, "tags", tags),
        }

    def _first_row(self, entry: Entry) -> JsonObject:
        if entry.index is None:
            return _new_row(entry.contact_id)
        return contact_row(self._company, make_contact(self._company, entry.index))

    # Writing

    def create(self) -> Entry:
        """A contact that nobody has kept yet."""
        entry = Entry(contact_id(FIRST_NEW + self._made), None, [])
        self._made += 1
        now = int(time.time())
        entry.changes = {"created_at": now, "updated_at": now}
        entry.ready = time.monotonic() + self.lag if self.lag else 0.0
        return entry

    def keep(self, entry: Entry, *, changed: bool = True) -> None:
        """Write a contact down."""
        entry.written = True
        self._entries[entry.contact_id] = entry
        if changed:
            entry.changes["updated_at"] = int(time.time())
        row = self.row(entry)
        for name, places in (("external_id", self._by_external_id), ("email", self._by_email)):
            if row[name] is not None:
                places.setdefault(str(_folded(name, row[name])), set()).add(entry.contact_id)


def _folded(name: str, value: object) -> object:
    return str(value).lower() if name == "email" and value is not None else value


def _new_row(new_id: str) -> JsonObject:
    nothing = (
        "external_id", "email", "phone", "name", "avatar", "owner_id", "signed_up_at", "last_seen_at",
        "last_contacted_at", "browser", "os",
    )  # fmt: skip
    return {
        "type": "contact",
        "id": new_id,
        "workspace_id": "sandbox1",
        "role": "user",
        **dict.fromkeys(nothing),
        "has_hard_bounced": False,
        "marked_email_as_spam": False,
        "unsubscribed_from_emails": False,
        "location": {"type": "location", "country": None, "city": None, "region": None},
        "custom_attributes": {},
        "companies": list_of(new_id, "companies", []),
    }
