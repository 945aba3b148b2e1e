"""Who is a user of the help desk, and which tickets they opened: arrays over the whole company.

A user is one row of `Users`, a ticket one row of `Tickets`; both are ordered as the incremental exports give them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from millstream.sandbox.company import Company
from millstream.sandbox.draws import UInts, bases_of, cut, draw, mix, share, topic

USER, TICKETS, CHANGED = topic(560), topic(561), topic(562)
TICKET = tuple(topic(565 + number) for number in range(3))
USER_CUT, DUPLICATE_CUT, DELETED_CUT = cut(0.45), cut(0.05), cut(0.02)
DELETED_TICKET_CUT, RATED_CUT, NEW_TICKET_CUT = cut(0.02), cut(0.35), cut(0.4)
FIRST_USER_ID, FIRST_TICKET_ID = 900_000_000, 1_000_000
TICKETS_PER_PERSON = 4
LATEST = 3
"""Number of the ticket that a change of the person opens."""

DAY = 86_400
Longs = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Users:
    """End users, by the time of their last change.

    Attributes:
        index: Whose user it is.
        duplicate: 1 for the second user of the same person.
        created: Seconds since 1970.
        updated: Seconds since 1970.
        active: False for one that was deleted.
    """

    index: Longs
    duplicate: Longs
    created: Longs
    updated: Longs
    active: Flags

    @property
    def ids(self) -> Longs:
        """The users' ids."""
        return np.asarray(FIRST_USER_ID + self.index * 2 + self.duplicate, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Tickets:
    """Tickets, by the time of their last change.

    Attributes:
        index: Whose ticket it is.
        number: Which one of the person's.
        created: Seconds since 1970.
        generated: When it last changed, also for changes that `updated_at` does not show; seconds since 1970.
        bits: What the rest is made of.
    """

    index: Longs
    number: Longs
    created: Longs
    generated: Longs
    bits: UInts

    @property
    def ids(self) -> Longs:
        """The tickets' ids."""
        return np.asarray(FIRST_TICKET_ID + self.index * TICKETS_PER_PERSON + self.number, dtype=np.int64)

    @property
    def rated(self) -> Flags:
        """Which tickets a rating was asked for."""
        return np.asarray(share(mix(self.bits), 0) < RATED_CUT, dtype=np.bool_)

    @property
    def deleted(self) -> Flags:
        """Which tickets were deleted."""
        return np.asarray(share(mix(self.bits), 1) < DELETED_TICKET_CUT, dtype=np.bool_)


def make_users(company: Company) -> Users:
    """Every end user there is now."""
    bits = draw(bases_of(company.key, np.arange(company.people, dtype=np.uint64)), USER)
    more = mix(bits)
    index = np.flatnonzero(share(bits, 0) < USER_CUT)
    twice = index[share(more[index], 0) < DUPLICATE_CUT]
    whose = np.concatenate([index, twice])
    duplicate = np.concatenate([np.zeros(len(index), np.int64), np.ones(len(twice), np.int64)])
    created = _ago(company, share(bits, 1)[whose] % 700 + 30, share(bits, 2)[whose])
    updated = created + _longs(share(bits, 3)[whose] % (25 * DAY)) + duplicate
    active = (share(more, 1)[whose] >= DELETED_CUT) | (duplicate == 1)
    changed = _changed_at(company, whose)
    updated = np.where(changed > 0, changed + duplicate, updated)
    order = np.lexsort((duplicate, whose, updated))
    return Users(whose[order], duplicate[order], created[order], updated[order], active[order])


def user_ids_of(company: Company, index: int) -> list[int]:
    """The ids of one person's users, for the truth."""
    bits = draw(company.base(index), USER)
    if index >= company.people or share(bits, 0) >= USER_CUT:
        return []
    first = FIRST_USER_ID + index * 2
    return [first, first + 1] if share(mix(bits), 0) < DUPLICATE_CUT else [first]


def make_tickets(company: Company, users: Users) -> Tickets:
    """Every ticket there is now; only people who are users open tickets."""
    people = np.unique(users.index)
    bases = bases_of(company.key, people.astype(np.uint64))
    counts = _longs(share(draw(bases, TICKETS), 0) % 4)
    parts = [_numbered(company, people[counts > number], number) for number in range(LATEST)]
    parts.append(_latest(company, people))
    index, number, created, generated = (np.concatenate([part[place] for part in parts]) for place in range(4))
    bits = np.concatenate([part[4] for part in parts])
    order = np.lexsort((number, index, generated))
    return Tickets(index[order], number[order], created[order], generated[order], bits[order])


def _numbered(company: Company, people: Longs, number: int) -> tuple[Longs, Longs, Longs, Longs, UInts]:
    bits = draw(bases_of(company.key, people.astype(np.uint64)), TICKET[number])
    created = _ago(company, share(bits, 0) % 400 + 25, share(bits, 1))
    generated = created + _longs(share(bits, 2) % (20 * DAY)) + 60
    if number == 0:
        # What a change of the person does to their first ticket: it is touched once more.
        changed = _changed_at(company, people)
        generated = np.where(changed > 0, changed, generated)
    return people, np.full(len(people), number, np.int64), created, generated, bits


def _latest(company: Company, people: Longs) -> tuple[Longs, Longs, Longs, Longs, UInts]:
    changed = _changed_at(company, people)
    bits = draw(bases_of(company.key, people.astype(np.uint64)), CHANGED)
    opened = (changed > 0) & (share(bits, 0) < NEW_TICKET_CUT)
    at = changed[opened]
    return people[opened], np.full(len(at), LATEST, np.int64), at, at, bits[opened]


def _changed_at(company: Company, people: Longs) -> Longs:
    """When each person last changed while the sandbox runs, in seconds; 0 for those who did not."""
    at = {index: (change.modified_ms or 0) // 1000 for index, change in company.changes.items()}
    if not at:
        return np.zeros(len(people), np.int64)
    return np.asarray([at.get(index, 0) for index in people.tolist()], dtype=np.int64)


def _ago(company: Company, days: UInts, seconds: UInts) -> Longs:
    return company.today_ms // 1000 - _longs(days) * DAY + _longs(seconds)


def _longs(numbers: UInts) -> Longs:
    return numbers.astype(np.int64)
