"""Contacts: the company's people as HubSpot shows them, and what was written to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from millstream.sandbox import facts, names
from millstream.sandbox.draws import draw, topic
from millstream.sandbox.hubspot.properties import OWNER_IDS
from millstream.sandbox.hubspot.tables import (
    PEOPLE_PER_COMPANY,
    Arrays,
    Properties,
    Record,
    Table,
    company_name,
    iso,
)
from millstream.sandbox.person import Person

if TYPE_CHECKING:
    from millstream.sandbox.company import Company

FIRST_WRITTEN_ID = 900_000_000_001
MERGED_CONTACT_ID = 300_000_001
SPELLING = topic(500)


@dataclass(slots=True)
class Written:
    """What was written to a contact through the API since the start.

    Attributes:
        properties: Values that replace the original ones.
        modified_ms: Time of the last write.
        created_ms: When the contact was created through the API, None for one of the company's own.
        archived_ms: When it was archived, if it was.
        erased: Whether it was erased for good.
        writes: How often it was written.
    """

    properties: dict[str, str]
    modified_ms: int
    created_ms: int | None = None
    archived_ms: int | None = None
    erased: bool = False
    writes: int = 0


class Contacts(Table):
    """The company's people as contacts, with what was written to them; `version` counts the writes."""

    def __init__(self, company: Company, now_ms: Callable[[], int]) -> None:
        super().__init__(
            "contacts",
            "contact",
            "0-1",
            "lastmodifieddate",
            ("createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname"),
        )
        self._company = company
        self._now_ms = now_ms
        self._loaded_at = -1
        self.written: dict[int, Written] = {}
        self._created: list[int] = []
        self._created_ms: list[int] = []
        self._modified_ms: list[int] = []
        self._gone: set[int] = set()
        self.version = 0
        self._id_by_email: dict[str, int] = {}
        self.blocked_emails: set[str] = set()

    @property
    def arrays(self) -> Arrays:
        """As in every table, but made anew when the company has changed."""
        if self._loaded_at != self._company.advances:
            self._loaded_at = self._company.advances
            self._arrays = self.load()
        return super().arrays

    def load(self) -> Arrays:
        """First contacts, then second contacts; writes so far are patched in."""
        columns = self._company.columns
        first, second = np.flatnonzero(columns.contact_count), np.flatnonzero(columns.contact_count == 2)
        ids = np.concatenate([first + facts.FIRST_CONTACT_ID, second + facts.SECOND_CONTACT_ID])
        created = np.concatenate([columns.created_ms[first], columns.duplicate_created_ms[second]])
        modified = np.concatenate([columns.modified_ms[first], columns.duplicate_modified_ms[second]])
        for record_id, written in self.written.items():
            if written.created_ms is None:
                at = np.searchsorted(ids, record_id)
                modified[at] = max(int(modified[at]), written.modified_ms)
        return ids, created, modified

    def read(self, record_id: int) -> Record | None:
        """The contact as it is now; None also for one that was erased."""
        written = self.written.get(record_id)
        if written is not None and written.erased:
            return None
        record = self._original(record_id)
        if record is None:
            if written is None or written.created_ms is None:
                return None
            record = Record(record_id, {"hs_object_id": str(record_id)}, written.created_ms, 0)
            record.properties["createdate"] = iso(written.created_ms)
        if written is not None:
            record.properties.update({name: value or None for name, value in written.properties.items()})
            record.modified_ms = max(record.modified_ms, written.modified_ms)
            record.archived_ms = written.archived_ms
            record.properties["lastmodifieddate"] = iso(record.modified_ms)
        return record

    def _original(self, record_id: int) -> Record | None:
        person = self._company.find_by_contact_id(record_id)
        if person is None:
            return None
        bits = draw(self._company.base(person.index), SPELLING)
        if record_id == person.contact_ids[0]:
            properties = _first_contact(person, bits)
            created, modified = person.created_ms, person.modified_ms
        else:
            original = self._company.original(person.index)
            properties = _second_contact(original, bits)
            created, modified = original.duplicate_created_ms, original.duplicate_modified_ms
        properties["hs_email_optout"] = "true" if person.email_optout else None if bits & 1 else "false"
        properties["hs_object_id"] = str(record_id)
        properties["createdate"] = iso(created)
        properties["lastmodifieddate"] = iso(modified)
        properties["hs_marketable_status"] = "false"
        return Record(record_id, properties, created, modified)

    def is_live(self, record_id: int) -> bool:
        """Whether a contact that exists is neither archived nor erased."""
        return record_id not in self._gone

    def later_ids(self) -> list[int]:
        """Contacts created through the API."""
        return self._created

    def later_arrays(self) -> Arrays:
        """The arrays of the contacts created through the API."""
        lists = (self._created, self._created_ms, self._modified_ms)
        ids, created, modified = (np.asarray(values, dtype=np.int64) for values in lists)
        return ids, created, modified

    def gone_ids(self) -> set[int]:
        """Contacts that were archived or erased."""
        return self._gone

    def archived_ids(self) -> list[int]:
        """Contacts that were archived and not erased."""
        return sorted(
            record_id
            for record_id, written in self.written.items()
            if written.archived_ms is not None and not written.erased
        )

    def find(self, id_property: str | None, value: str) -> int | None:
        """The live contact that a row names by record id, by e-mail or by a unique property."""
        if id_property in {None, "hs_object_id"}:
            record_id: int | None = int(value) if value.isascii() and value.isdigit() else None
        elif id_property == "email":
            record_id = self._find_by_email(value.strip().lower())
        else:
            record_id = self._find_written(id_property or "", value)
        if record_id is None or not self.is_live(record_id) or not self._exists(record_id):
            return None
        return record_id

    def _exists(self, record_id: int) -> bool:
        return record_id in self.written or self._company.find_by_contact_id(record_id) is not None

    def _find_by_email(self, email: str) -> int | None:
        if email in self._id_by_email:
            return self._id_by_email[email]
        person = self._company.find_by_email(email)
        if person is None or not person.contact_ids:
            return None
        if email == person.second_email and len(person.contact_ids) == 1:
            return person.contact_ids[0]  # an additional address leads to its contact too
        record_id = person.contact_ids[1] if email == person.second_email else person.contact_ids[0]
        written = self.written.get(record_id)
        return None if written is not None and "email" in written.properties else record_id

    def _find_written(self, name: str, value: str) -> int | None:
        for record_id, written in self.written.items():
            if written.properties.get(name) == value and record_id not in self._gone:
                return record_id
        return None

    def write(self, record_id: int | None, properties: dict[str, str]) -> int:
        """Write values to a contact, or to a new one; gives its id."""
        now = self._now_ms()
        self.version += 1
        if record_id is None:
            record_id = FIRST_WRITTEN_ID + len(self._created)
            self._created.append(record_id)
            self._created_ms.append(now)
            self._modified_ms.append(now)
            self.written[record_id] = Written({"lifecyclestage": "lead"}, now, created_ms=now)
        written = self.written.setdefault(record_id, Written({}, now))
        if "email" in properties:
            email = properties["email"].strip().lower()
            properties = {**properties, "email": email}
            self._id_by_email[email] = record_id
        written.properties.update(properties)
        written.writes += 1
        self._touch(record_id, written, now)
        return record_id

    def _touch(self, record_id: int, written: Written, now: int) -> None:
        written.modified_ms = now
        if written.created_ms is not None:
            self._modified_ms[record_id - FIRST_WRITTEN_ID] = now
        elif self._arrays is not None:
            ids, _, modified = self._arrays
            modified[np.searchsorted(ids, record_id)] = now

    def archive(self, record_id: int) -> None:
        """Move a contact to the bin."""
        now = self._now_ms()
        written = self.written.setdefault(record_id, Written({}, now))
        written.archived_ms = now
        self._gone.add(record_id)
        self.version += 1

    def erase(self, record_id: int) -> None:
        """Erase a contact for good; its addresses cannot be added again."""
        record = self.read(record_id)
        if record is not None:
            emails = [record.properties.get("email"), *_split(record.properties.get("hs_additional_emails"))]
            self.blocked_emails.update(email.lower() for email in emails if email)
        written = self.written.setdefault(record_id, Written({}, self._now_ms()))
        written.properties.clear()
        written.erased = True
        self._gone.add(record_id)
        self.version += 1


def _first_contact(person: Person, bits: int) -> Properties:
    phone_field, other = ("mobilephone", "phone") if person.phone_is_mobile else ("phone", "mobilephone")
    additional = person.second_email if len(person.contact_ids) == 1 else None
    merged = str(MERGED_CONTACT_ID + person.index) if bits >> 8 & 0xFF < 5 else None
    return {
        "email": facts.odd_case(person.email, 4 + (bits >> 4 & 3)) if bits >> 16 & 0xFF < 26 else person.email,
        "firstname": person.first_name,
        "lastname": person.last_name,
        phone_field: person.contact_phone,
        other: None,
        "city": person.city,
        "country": person.country,
        "date_of_birth": person.birth_date.isoformat(),
        "customer_id": person.customer_id,
        "lifecyclestage": person.lifecycle_stage,
        "hubspot_owner_id": OWNER_IDS[(bits >> 24) % len(OWNER_IDS)],
        "company": company_name(person.index // PEOPLE_PER_COMPANY),
        "hs_additional_emails": None if additional is None else facts.odd_case(additional, bits >> 32),
        "hs_merged_object_ids": merged,
    }


def _second_contact(person: Person, bits: int) -> Properties:
    """A duplicate: another main address, and one identifier in common with the first contact."""
    link = person.duplicate_link
    return {
        "email": person.second_email,
        "firstname": f"{person.first_name[0]}." if bits >> 40 & 1 else person.first_name,
        "lastname": person.last_name,
        "phone": _other_spelling(person) if link == "phone" else None,
        "mobilephone": None,
        "city": None,
        "country": person.country,
        "date_of_birth": None,
        "customer_id": person.customer_id if link == "customer_id" else None,
        "lifecyclestage": person.duplicate_lifecycle_stage,
        "hubspot_owner_id": None,
        "company": None,
        "hs_additional_emails": facts.odd_case(person.email, 4 + (bits >> 48 & 3))
        if link == "additional_email"
        else None,
        "hs_merged_object_ids": None,
    }


def _other_spelling(person: Person) -> str | None:
    if person.phone_national is None:
        return None
    country = next(country for country in names.COUNTRIES if country.code == person.country_code)
    spellings = (names.written_phone(country, person.phone_national, style) for style in (2, 1))
    return next(spelling for spelling in spellings if spelling != person.contact_phone)


def _split(value: str | None) -> list[str]:
    return value.split(";") if value else []
