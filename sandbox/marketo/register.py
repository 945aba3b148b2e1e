"""All leads: those the company had from the start, made when they are looked at, and what clients wrote since.

Marketo remembers for each address whether it unsubscribed ("durable unsubscribe"): the flag is shared by all leads
with that address, outlives them, and comes back on whoever gets the address.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from millstream.sandbox.company import Company
from millstream.sandbox.marketo.people import NEW_LEAD_ID, index_of, lead_ids_of, standing_of, values_of
from millstream.sandbox.marketo.values import Value
from millstream.sandbox.system import JsonObject

SHOWN_UNTOUCHED = 500


@dataclass(slots=True)
class Lead:
    """One lead.

    Attributes:
        lead_id: Its id.
        values: What its fields hold; a field that is not there is empty.
        created_ms: When it was made.
        updated_ms: When it last changed.
        written: Whether a client ever wrote to it.
        resubscribed: Whether a client ever took back that it had unsubscribed.
    """

    lead_id: int
    values: dict[str, Value]
    created_ms: int
    updated_ms: int
    written: bool = False
    resubscribed: bool = False

    @property
    def email(self) -> str:
        """The address in lower case; empty where there is none."""
        return str(self.values.get("email") or "").lower()

    @property
    def standing(self) -> str:
        """How the lead stands to mail, worst first."""
        flags = (("blackListed", "blacklisted"), ("unsubscribed", "unsubscribed"), ("emailInvalid", "bounced"),
                 ("marketingSuspended", "suspended"))  # fmt: skip
        return next((name for flag, name in flags if self.values.get(flag)), "subscribed")


@dataclass(slots=True)
class Register:
    """All leads of the instance.

    Attributes:
        deleted: Ids of those deleted, which never come back.
    """

    company: Company
    deleted: set[int] = field(default_factory=set)
    _kept: dict[int, Lead] = field(default_factory=dict)
    _by_email: dict[str, set[int]] = field(default_factory=dict)
    _unsubscribed: dict[str, bool] = field(default_factory=dict)
    _made: int = 0

    # Finding

    def get(self, lead_id: int) -> Lead | None:
        """One lead by its id; changes to it last only through `write`."""
        if lead_id in self.deleted:
            return None
        kept = self._kept.get(lead_id)
        return kept if kept is not None else self._original(lead_id)

    def _original(self, lead_id: int) -> Lead | None:
        index = index_of(self.company, lead_id)
        if index is None:
            return None
        person = self.company.original(index)
        lead = Lead(lead_id, values_of(self.company, index), person.created_ms, person.modified_ms)
        if lead.email in self._unsubscribed:
            lead.values["unsubscribed"] = self._unsubscribed[lead.email]
        return lead

    def find(self, name: str, value: str) -> list[int]:
        """Ids of the leads whose field holds this value, whatever its case."""
        if name == "id":
            known = value.isdecimal() and self.get(int(value)) is not None
            return [int(value)] if known else []
        if name == "email":
            return self._of_address(value.lower())
        wanted = value.lower()
        found = {number for number, lead in self._kept.items() if str(lead.values.get(name) or "").lower() == wanted}
        if name == "customerId":
            person = self.company.find_by_customer_id(value.upper())
            if person is not None and self.company.original(person.index).customer_id == person.customer_id:
                found |= set(self._untouched(person.index))
        return sorted(found)

    def _of_address(self, email: str) -> list[int]:
        found = set(self._by_email.get(email, ()))
        person = self.company.find_by_email(email)
        if person is not None and self.company.original(person.index).email == email:
            found |= set(self._untouched(person.index))
        return sorted(found)

    def _untouched(self, index: int) -> list[int]:
        ids = lead_ids_of(self.company, index)
        return [number for number in ids if number not in self._kept and number not in self.deleted]

    def is_unsubscribed(self, email: str) -> bool:
        """Whether the address has unsubscribed, be there a lead with it or not."""
        known = self._unsubscribed.get(email)
        if known is not None or not email:
            return bool(known)
        person = self.company.find_by_email(email)
        if person is None or self.company.original(person.index).email != email:
            return False
        return (
            bool(lead_ids_of(self.company, person.index)) and standing_of(self.company, person.index) == "unsubscribed"
        )

    # Writing

    def create(self, values: dict[str, Value]) -> Lead:
        """A new lead. Who unsubscribed before stays so, whatever is written."""
        self._made += 1
        now = int(time.time() * 1000)
        lead = Lead(NEW_LEAD_ID + self._made - 1, {}, now, now)
        email = str(values.get("email") or "").lower()
        flag = {"unsubscribed": True} if self.is_unsubscribed(email) else {}
        self.write(lead, {"unsubscribed": False, "emailInvalid": False, **values, **flag})
        return lead

    def write(self, lead: Lead, values: dict[str, Value]) -> None:
        """Change a lead; a new address brings its own standing along."""
        before, address = lead.values.get("unsubscribed") is True, lead.email
        self._by_email.get(address, set()).discard(lead.lead_id)
        lead.values.update(values)
        if lead.email != address and "unsubscribed" not in values:
            lead.values["unsubscribed"] = self.is_unsubscribed(lead.email)
        if lead.email != address and "emailInvalid" not in values:
            lead.values["emailInvalid"] = False
        lead.updated_ms, lead.written = int(time.time() * 1000), True
        self._kept[lead.lead_id] = lead
        self._by_email.setdefault(lead.email, set()).add(lead.lead_id)
        if "unsubscribed" in values:
            lead.resubscribed |= before and not values["unsubscribed"]
            self._share_flag(lead.email, unsubscribed=bool(values["unsubscribed"]))

    def _share_flag(self, email: str, *, unsubscribed: bool) -> None:
        if not email:
            return
        self._unsubscribed[email] = unsubscribed
        for number in self._by_email.get(email, ()):
            other = self._kept[number]
            other.resubscribed |= other.values.get("unsubscribed") is True and not unsubscribed
            other.values["unsubscribed"] = unsubscribed

    def delete(self, lead: Lead) -> None:
        """Forget a lead; whether its address unsubscribed is remembered."""
        self._kept.pop(lead.lead_id, None)
        self._by_email.get(lead.email, set()).discard(lead.lead_id)
        self.deleted.add(lead.lead_id)

    # For tests

    def shown(self, members: set[int]) -> list[Lead]:
        """Who was written to, who is in `members`, and the first of the others."""
        ids = set(self._kept) | members
        for index in range(min(self.company.people, SHOWN_UNTOUCHED)):
            ids |= set(lead_ids_of(self.company, index))
        leads = [self.get(number) for number in sorted(ids)]
        return [lead for lead in leads if lead is not None]


def lead_row(lead: Lead, names: list[str]) -> JsonObject:
    """A lead as the API gives it: the fields asked for, empty ones as null, and always the id."""
    system: JsonObject = {
        "id": lead.lead_id,
        "createdAt": stamp(lead.created_ms),
        "updatedAt": stamp(lead.updated_ms),
        "leadPartitionId": 1,
    }
    return {"id": lead.lead_id} | {name: system.get(name, lead.values.get(name)) for name in names}


def stamp(ms: int) -> str:
    """A moment as the lead database writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ms / 1000))
