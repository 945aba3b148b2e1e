"""Who is a lead before any sync, and in which standing: a pure function of the company."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from millstream.sandbox.company import Company
from millstream.sandbox.draws import bases_of, choose, cut, cuts, draw, share, topic
from millstream.sandbox.marketo.values import Value
from millstream.sandbox.system import JsonObject

LEAD, STANDING = topic(700), topic(701)
LEAD_CUT, TWIN_CUT = cut(0.40), cut(0.06)
STANDING_CUTS = cuts(0.12, 0.05, 0.03, 0.03)
STANDINGS = ("unsubscribed", "bounced", "blacklisted", "suspended", "subscribed")
LIST_CUTS = (cut(0.30), cut(0.12))
"""The chances of a lead to be on the first and on the second of the lists that are there from the start."""

FIRST_LEAD_ID, TWIN_LEAD_ID, NEW_LEAD_ID = 3_000_001, 600_000_001, 1_200_000_001

Indexes = NDArray[np.int64]


def lead_ids_of(company: Company, index: int) -> list[int]:
    """The ids of a person's leads: none, one, or two with the same address."""
    bits = draw(company.base(index), LEAD)
    if index >= company.people or share(bits, 0) >= LEAD_CUT:
        return []
    return [FIRST_LEAD_ID + index, *([TWIN_LEAD_ID + index] if share(bits, 1) < TWIN_CUT else [])]


def index_of(company: Company, lead_id: int) -> int | None:
    """Whose lead this was from the start."""
    index = lead_id - (TWIN_LEAD_ID if lead_id >= TWIN_LEAD_ID else FIRST_LEAD_ID)
    return index if 0 <= index < company.people and lead_id in lead_ids_of(company, index) else None


def standing_of(company: Company, index: int) -> str:
    """How the person stands to mail, one of `STANDINGS`."""
    return STANDINGS[choose(STANDING_CUTS, share(draw(company.base(index), STANDING), 0))]


def values_of(company: Company, index: int) -> dict[str, Value]:
    """The fields of the person's leads that are not empty."""
    person, standing = company.original(index), standing_of(company, index)
    bits = draw(company.base(index), STANDING)
    values: dict[str, Value] = {
        "email": person.email.upper() if bits >> 61 == 0 else person.email,
        "firstName": person.first_name,
        "lastName": person.last_name,
        "phone": person.phone,
        "city": person.city,
        "country": person.country,
        "customerId": person.customer_id,
        "shopCustomer": person.customer_id is not None,
        "leadScore": share(bits, 3) % 100,
        "unsubscribed": standing == "unsubscribed",
        "emailInvalid": standing == "bounced",
        "blackListed": standing == "blacklisted",
        "marketingSuspended": standing == "suspended",
        "unsubscribedReason": "Clicked the link in the newsletter" if standing == "unsubscribed" else None,
        "emailInvalidCause": "550 mailbox unavailable" if standing == "bounced" else None,
    }
    return values


def first_members(company: Company, slot: int) -> set[int]:
    """The leads that are on one of the lists from the start."""
    bases = bases_of(company.key, np.arange(company.people, dtype=np.uint64))
    leads: Indexes = np.flatnonzero(share(draw(bases, LEAD), 0) < LEAD_CUT)
    listed = share(draw(bases[leads], STANDING), 1 + slot) < LIST_CUTS[slot]
    return {FIRST_LEAD_ID + index for index in leads[listed].tolist()}


def truth_of(company: Company, index: int) -> JsonObject | None:
    """What the truth tells about a person's leads."""
    ids = lead_ids_of(company, index)
    return {"lead_ids": ids, "standing": standing_of(company, index)} if ids else None
