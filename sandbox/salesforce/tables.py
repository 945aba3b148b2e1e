"""Which records the org holds: arrays over the whole company, one table an object, ordered by time of change.

What is written is laid over these tables by `records.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace

import numpy as np
from numpy.typing import NDArray

from millstream.sandbox.company import Company
from millstream.sandbox.draws import UInts, bases_of, cut, draw, mix, share, topic

CONTACT, LEAD, SALES, MEMBER, NEWS = topic(630), topic(631), topic(632), topic(634), topic(637)
TASK = tuple(topic(635 + number) for number in range(2))
CONTACT_CUT, LEAD_CUT, TWICE_CUT, MERGED_CUT, DELETED_CUT = cut(0.5), cut(0.25), cut(0.06), cut(0.35), cut(0.02)
CONVERTED_CUT, LATER_CONVERTED_CUT, LATER_MERGED_CUT, LATER_DELETED_CUT = cut(0.35), cut(0.4), cut(0.5), cut(0.08)
SALE_CUTS = (cut(0.4), cut(0.15))
TASK_CUTS = (cut(0.35), cut(0.15))
MEMBER_CHANCE, RESPONSE_CHANCE = 36, 12  # in 256

OFFICES, CAMPAIGNS = 40, 6
DAY = 86_400
ARCHIVED_AFTER = 365 * DAY
Longs = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Table:
    """All records of one object by time of change, then by id.

    Attributes:
        index: Whose record it is, or which one where it is nobody's.
        number: The number behind the record's id.
        created: Seconds since 1970.
        stamp: Time of the last change, seconds since 1970.
        deleted: In the recycle bin.
        archived: Shown to `queryAll` only, though not deleted.
        bits: What the rest is made of.
    """

    index: Longs
    number: Longs
    created: Longs
    stamp: Longs
    deleted: Flags
    archived: Flags
    bits: UInts

    def __len__(self) -> int:
        return len(self.index)


@dataclass(slots=True)
class Tables:
    """Every object's table, as the company is now."""

    contacts: Table
    leads: Table
    converted: frozenset[int] = field(default_factory=frozenset)
    by_object: dict[str, Table] = field(default_factory=dict)


def make_tables(company: Company) -> Tables:
    """All records there are now."""
    changed = _changed_at(company)
    contacts = _contacts(company, changed)
    leads, converted = _leads(company, changed, contacts)
    sales = _sales(company, changed, contacts)
    by_object = {
        "Account": _accounts(company),
        "Campaign": _campaigns(company),
        "CampaignMember": _members(company, changed, contacts, leads),
        "Contact": contacts,
        "Lead": leads,
        "Opportunity": sales,
        "OpportunityContactRole": _roles(sales, contacts),
        "Task": _tasks(company, contacts, leads),
    }
    return Tables(contacts, leads, converted, by_object)


def _ordered(*parts: Table) -> Table:
    """The parts as one table, in order."""
    columns = {one.name: np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(Table)}
    columns["stamp"] = np.maximum(columns["stamp"], columns["created"])
    order = np.lexsort((columns["number"], columns["stamp"]))
    return Table(**{name: column[order] for name, column in columns.items()})


def _none(count: int) -> Flags:
    return np.zeros(count, np.bool_)


def _people(company: Company, about: int, at_most: int) -> tuple[UInts, Longs, Longs]:
    """Draws about everybody, who is there once or twice, and which of the two."""
    bits = draw(bases_of(company.key, np.arange(company.people, dtype=np.uint64)), about)
    once = np.flatnonzero(share(bits, 0) < at_most)
    twice = once[share(mix(bits[once]), 0) < TWICE_CUT]
    second = np.concatenate([np.zeros(len(once), np.int64), np.ones(len(twice), np.int64)])
    return bits, np.concatenate([once, twice]), second


def numbers_of(company: Company, index: int, name: str) -> tuple[int, ...]:
    """The numbers of one person's contacts or leads."""
    about, at_most = (CONTACT, CONTACT_CUT) if name == "Contact" else (LEAD, LEAD_CUT)
    if index >= company.people:
        return (index * 2,) if name == "Lead" else ()
    bits = draw(company.base(index), about)
    if share(bits, 0) >= at_most:
        return ()
    return (index * 2, index * 2 + 1) if share(mix(bits), 0) < TWICE_CUT else (index * 2,)


def _contacts(company: Company, changed: Longs) -> Table:
    everybody, whose, second = _people(company, CONTACT, CONTACT_CUT)
    bits, more = everybody[whose], mix(everybody[whose])
    news = draw(bases_of(company.key, whose.astype(np.uint64)), NEWS)
    has_twin = np.isin(whose, whose[second == 1])
    created = _ago(company, share(bits, 1) % 700 + 30, share(bits, 2)) + second * DAY
    stamp = created + _longs(share(bits, 3)) % (25 * DAY) + second
    gone = np.where(second == 1, share(more, 1) < MERGED_CUT, ~has_twin & (share(more, 2) < DELETED_CUT))
    stamp = np.where(gone, np.maximum(_ago(company, share(more, 3) % 13 + 1, share(more, 2)), created), stamp)
    touched = (changed[whose] > 0) & ~gone
    later = np.where(second == 1, share(news, 1) < LATER_MERGED_CUT, ~has_twin & (share(news, 0) < LATER_DELETED_CUT))
    stamp = np.where(touched, changed[whose] + second, stamp)
    deleted = gone | (touched & later)
    return _ordered(Table(whose, whose * 2 + second, created, stamp, deleted, _none(len(whose)), bits))


def _leads(company: Company, changed: Longs, contacts: Table) -> tuple[Table, frozenset[int]]:
    """The leads, and the numbers of those that were converted. Everybody who is new is a lead."""
    everybody, whose, second = _people(company, LEAD, LEAD_CUT)
    bits, more = everybody[whose], mix(everybody[whose])
    news = draw(bases_of(company.key, whose.astype(np.uint64)), NEWS)
    has_twin = np.isin(whose, whose[second == 1])
    created = _ago(company, share(bits, 1) % 400 + 30, share(bits, 2)) + second * DAY
    stamp = created + _longs(share(bits, 3)) % (25 * DAY) + second
    gone = np.where(second == 1, share(more, 1) < MERGED_CUT, ~has_twin & (share(more, 2) < DELETED_CUT))
    stamp = np.where(gone, np.maximum(_ago(company, share(more, 3) % 13 + 1, share(more, 2)), created), stamp)
    touched = (changed[whose] > 0) & ~gone
    stamp = np.where(touched, changed[whose] + second, stamp)
    # Only who is a contact can have been converted into one.
    is_contact = np.isin(whose, contacts.index[~contacts.deleted & (contacts.number % 2 == 0)])
    early = share(bits, 1) < CONVERTED_CUT
    converted = is_contact & ~gone & (second == 0) & (early | (touched & (share(news, 2) < LATER_CONVERTED_CUT)))
    new = np.arange(company.people, company.population, dtype=np.int64)
    fresh = draw(bases_of(company.key, new.astype(np.uint64)), LEAD)
    known = Table(whose, whose * 2 + second, created, stamp, gone, _none(len(whose)), bits)
    latest = Table(new, new * 2, changed[new], changed[new], _none(len(new)), _none(len(new)), fresh)
    return _ordered(known, latest), frozenset((whose * 2)[converted].tolist())


def _sales(company: Company, changed: Longs, contacts: Table) -> Table:
    """Opportunities of those who are contacts, up to two each; a change of the person wins the first."""
    main = np.flatnonzero(contacts.number % 2 == 0)
    base = draw(bases_of(company.key, contacts.index[main].astype(np.uint64)), SALES)
    made = []
    for number, chance in enumerate(SALE_CUTS):
        chosen = share(base, number) < chance
        whose, bits, first = contacts.index[main][chosen], mix(base[chosen] + np.uint64(number)), contacts.created[main]
        created = np.minimum(first[chosen] + _longs(share(bits, 0)) * 300, company.today_ms // 1000 - DAY)
        stamp = np.minimum(created + _longs(share(bits, 1)) * 20, company.today_ms // 1000 - 60)
        at = changed[whose] if number == 0 else np.zeros(len(whose), np.int64)
        gone = (share(bits, 2) < DELETED_CUT) & (at == 0)
        stamp = np.where(gone, _ago(company, share(bits, 1) % 12 + 2, share(bits, 0)), np.where(at > 0, at, stamp))
        opened = np.minimum(created, stamp)
        made.append(Table(whose, whose * 2 + number, opened, stamp, gone, _none(len(whose)), bits))
    return _ordered(*made)


def _roles(sales: Table, contacts: Table) -> Table:
    """Who an opportunity is about: the person's first contact. The role is gone with either of the two."""
    stamps = dict(zip(contacts.number.tolist(), contacts.stamp.tolist(), strict=True))
    left = np.asarray([stamps.get(number, 0) for number in (sales.index * 2).tolist()], dtype=np.int64)
    lost = np.isin(sales.index * 2, contacts.number[contacts.deleted])
    created = np.minimum(sales.created + 5, sales.stamp)
    stamp = np.where(lost, np.maximum(left, created), np.where(sales.deleted, sales.stamp, created))
    return _ordered(replace(sales, created=created, stamp=stamp, deleted=sales.deleted | lost))


def _members(company: Company, changed: Longs, contacts: Table, leads: Table) -> Table:
    """Who is in which campaign, with the first contact or else the first lead; gone with it."""
    parts = (contacts.number % 2 == 0, (leads.number % 2 == 0) & (leads.index < company.people))
    parts = (parts[0], parts[1] & ~np.isin(leads.index, contacts.index))
    whose, left, gone = (
        np.concatenate([getattr(table, name)[part] for table, part in zip((contacts, leads), parts, strict=True)])
        for name in ("index", "stamp", "deleted")
    )
    as_lead = np.repeat(np.arange(2, dtype=np.int64), [int(part.sum()) for part in parts])
    base = draw(bases_of(company.key, whose.astype(np.uint64)), MEMBER)
    made = []
    for campaign in range(CAMPAIGNS):
        part = (base >> (8 * campaign)) & 255
        chosen = part < MEMBER_CHANCE
        people = whose[chosen]
        created = campaign_start(company, campaign) + _longs(mix(base[chosen]) % (5 * DAY))
        stamp = created + np.where(part[chosen] < RESPONSE_CHANCE, _longs(mix(base[chosen]) % (9 * DAY)), 0)
        stamp = np.where((changed[people] > 0) & (campaign == CAMPAIGNS - 1), changed[people], stamp)
        stamp = np.where(gone[chosen], np.maximum(left[chosen], created), stamp)
        number = people * 16 + as_lead[chosen] * 8 + campaign
        made.append(Table(people, number, created, stamp, gone[chosen], _none(len(people)), part[chosen]))
    return _ordered(*made)


def _tasks(company: Company, contacts: Table, leads: Table) -> Table:
    """Calls and e-mails of the sales team, with a contact (numbers 0 and 1 of a person) or a lead (2 and 3)."""
    made = []
    for offset, table in ((0, contacts), (2, leads)):
        main = np.flatnonzero((table.number % 2 == 0) & (table.index < company.people))
        for number, chance in enumerate(TASK_CUTS):
            base = draw(bases_of(company.key, table.index[main].astype(np.uint64)), TASK[number])
            chosen = share(mix(base + np.uint64(offset)), 0) < chance
            whose, bits = table.index[main][chosen], mix(base[chosen] + np.uint64(offset))
            created = np.minimum(
                table.created[main][chosen] + _longs(share(bits, 1)) * 200, company.today_ms // 1000 - DAY
            )
            stamp = np.minimum(created + _longs(share(bits, 2)) * 10, company.today_ms // 1000 - 60)
            old = stamp < company.today_ms // 1000 - ARCHIVED_AFTER
            gone = (share(bits, 3) < DELETED_CUT) & (stamp > company.today_ms // 1000 - 15 * DAY)
            made.append(Table(whose, whose * 4 + offset + number, created, stamp, gone, old, bits))
    return _ordered(*made)


def _accounts(company: Company) -> Table:
    """The offices, and one that was merged into the first."""
    number = np.arange(OFFICES + 1, dtype=np.int64)
    created = company.today_ms // 1000 - (800 - number) * DAY
    stamp = created + 3600
    stamp[OFFICES] = company.today_ms // 1000 - 3 * DAY
    bits = bases_of(company.key, number.astype(np.uint64))
    return _ordered(Table(number, number, created, stamp, number == OFFICES, _none(OFFICES + 1), bits))


def _campaigns(company: Company) -> Table:
    number = np.arange(CAMPAIGNS, dtype=np.int64)
    created = np.asarray([campaign_start(company, one) - 10 * DAY for one in range(CAMPAIGNS)], dtype=np.int64)
    bits = bases_of(company.key, number.astype(np.uint64))
    nothing = _none(CAMPAIGNS)
    return _ordered(Table(number, number, created, created + 9 * DAY, nothing, nothing, bits))


def campaign_start(company: Company, number: int) -> int:
    """When a campaign began, in seconds since 1970: one every two months, the last a month ago."""
    return company.today_ms // 1000 - (30 + 60 * (CAMPAIGNS - 1 - number)) * DAY


def _changed_at(company: Company) -> Longs:
    """When each person last changed while the sandbox runs, in seconds; 0 for those who did not."""
    changed = np.zeros(company.population, np.int64)
    for index, change in company.changes.items():
        changed[index] = (change.modified_ms or 0) // 1000
    return changed


def _ago(company: Company, days: UInts, seconds: UInts) -> Longs:
    return company.today_ms // 1000 - _longs(days) * DAY + _longs(seconds)


def _longs(numbers: UInts) -> Longs:
    return np.asarray(numbers).astype(np.int64)
