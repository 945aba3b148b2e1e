"""Who is a lead or a contact, what was sold to them, and what is gone: a pure function of the company."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from millstream.sandbox.company import Company
from millstream.sandbox.draws import bases_of, cut, cuts, draw, mix, share, topic

STANDING, SALES = topic(640), topic(641)
# A contact; a lead; a lead that became a contact.
STANDING_CUTS = cuts(0.30, 0.15, 0.05)
DUPLICATE_CUT, DELETED_CUT = cut(0.06), cut(0.03)
# What a change of the person does: a contact is deleted, a lead is converted, a deal is won.
DELETE_CUT, CONVERT_CUT, WON_CUT, NEWCOMER_CUT = cut(0.10), cut(0.35), cut(0.40), cut(0.50)

ORGANISATION = 5_725_767_000_000_000_000
FIRST_CONTACT, FIRST_LEAD, FIRST_ACCOUNT, FIRST_DEAL = (ORGANISATION + number * 100_000_000 for number in range(1, 5))
ACCOUNTS = 30
DAY = 86_400
MODULES = ("Leads", "Contacts", "Accounts", "Deals")


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a module. Times are seconds since 1970.

    Attributes:
        number: Its id.
        index: Whose it is; of an account, its own number.
        which: Second contact of the same person, or the deal's number.
        created: When it was made.
        modified: When it last changed.
        deleted: When it was deleted, if it was.
        permanent: Deleted so that it is in no recycle bin; so are those that were merged into another.
        converted: When the lead became a contact, if it did.
        bits: What the rest is made of.
    """

    number: int
    index: int
    which: int
    created: int
    modified: int
    deleted: int | None = None
    permanent: bool = False
    converted: int | None = None
    bits: int = 0


def make_records(company: Company) -> dict[str, list[Record]]:
    """Every record there is now or was, by module."""
    leads: list[Record] = []
    contacts: list[Record] = []
    for index in _chosen(company):
        lead, own = records_of(company, index)
        leads += lead
        contacts += own
    deals = [deal for contact in contacts if contact.which == 0 for deal in _deals(company, contact)]
    accounts = [_account(company, number) for number in range(ACCOUNTS)]
    return {"Leads": leads, "Contacts": contacts, "Accounts": accounts, "Deals": deals}


def _chosen(company: Company) -> list[int]:
    """Everybody the CRM knows; newcomers come last."""
    bits = draw(bases_of(company.key, np.arange(company.population, dtype=np.uint64)), STANDING)
    known = share(bits, 0) < STANDING_CUTS[-1]
    new = np.arange(company.population) >= company.people
    return [int(index) for index in np.flatnonzero(np.where(new, share(bits, 0) < NEWCOMER_CUT, known))]


def records_of(company: Company, index: int) -> tuple[list[Record], list[Record]]:
    """The leads and the contacts of a person the CRM knows."""
    bits = draw(company.base(index), STANDING)
    changed = _changed_at(company, index)
    created = company.today_ms // 1000 - (share(bits, 1) % 500 + 40) * DAY + share(bits, 2)
    updated = created + share(bits, 3) % 38 * DAY + (bits >> 20) % 3_600
    if index >= company.people:
        return [Record(FIRST_LEAD + index, index, 0, changed or created, changed or created, bits=bits)], []
    if share(bits, 0) < STANDING_CUTS[0]:
        return [], _contacts(index, bits, created, updated, changed)
    converted = updated if share(bits, 0) >= STANDING_CUTS[1] else None
    if converted is None and changed is not None and share(mix(bits), 3) < CONVERT_CUT:
        converted = changed
    lead = Record(FIRST_LEAD + index, index, 0, created, converted or changed or updated, None, False, converted, bits)
    if converted is None:
        return [lead], []
    return [lead], [Record(FIRST_CONTACT + index * 2, index, 0, converted, changed or converted, bits=bits)]


def _contacts(index: int, bits: int, created: int, updated: int, changed: int | None) -> list[Record]:
    more = mix(bits)
    first = Record(FIRST_CONTACT + index * 2, index, 0, created, changed or updated, bits=bits)
    if share(more, 1) < DELETED_CUT:
        return [replace(first, modified=updated, deleted=updated, permanent=share(more, 2) % 2 == 0)]
    if share(more, 0) < DUPLICATE_CUT:
        second = Record(first.number + 1, index, 1, created + DAY, updated + 1, bits=bits)
        # A change of the person is somebody noticing the duplicate: the second one is merged into the first.
        return [first, second if changed is None else replace(second, deleted=changed, permanent=True)]
    if changed is not None and share(more, 3) < DELETE_CUT:
        return [replace(first, modified=updated, deleted=changed)]
    return [first]


def _deals(company: Company, contact: Record) -> list[Record]:
    root = draw(company.base(contact.index), SALES)
    changed = _changed_at(company, contact.index)
    found = []
    for number in range(share(root, 0) % 3):
        bits = mix(root + number + 1)
        created = contact.created + share(bits, 0) % 30 * 3600
        modified = created + share(bits, 1) % 240 * 60
        won = number == 0 and changed is not None and share(bits, 2) < WON_CUT
        found.append(
            Record(FIRST_DEAL + contact.index * 2 + number, contact.index, number, created,
                   changed if won and changed else modified, bits=bits)
        )  # fmt: skip
    return found


def _account(company: Company, number: int) -> Record:
    created = company.today_ms // 1000 - (700 - number) * DAY
    return Record(FIRST_ACCOUNT + number, number, 0, created, created + number * 60)


def was_won(company: Company, deal: Record) -> bool:
    """Whether a change of the person won their first deal."""
    changed = _changed_at(company, deal.index)
    return deal.which == 0 and changed is not None and share(deal.bits, 2) < WON_CUT


def _changed_at(company: Company, index: int) -> int | None:
    change = company.changes.get(index)
    return None if change is None or change.modified_ms is None else change.modified_ms // 1000


def account_number(index: int) -> int | None:
    """The account of a person who has one."""
    return index % ACCOUNTS if index % 6 == 0 else None


def ids_of(company: Company, index: int) -> dict[str, list[str]]:
    """The ids of one person's records, gone ones too, for the truth."""
    limit = STANDING_CUTS[-1] if index < company.people else NEWCOMER_CUT
    if share(draw(company.base(index), STANDING), 0) >= limit:
        return {"leads": [], "contacts": []}
    leads, contacts = records_of(company, index)
    return {"leads": [str(lead.number) for lead in leads], "contacts": [str(contact.number) for contact in contacts]}
