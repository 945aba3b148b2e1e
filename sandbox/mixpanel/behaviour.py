"""What people did in the company's app: events as arrays over everybody, and profiles.

An event's time says when it happened, its processing time when it arrived: some come days late, and some twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from millstream.sandbox.company import Company
from millstream.sandbox.draws import GOLDEN, UInts, bases_of, cut, draw, mix, share, topic
from millstream.sandbox.person import Person
from millstream.sandbox.system import JsonObject

IN_APP, EVENTS, NEWS = topic(580), topic(581), topic(582)
IN_APP_CUT, TWICE_CUT, LATE_CUT, ANONYMOUS_CUT = cut(0.35), cut(0.02), cut(0.03), cut(0.3)
DAY = 86_400
DAYS = 90
MOST_EVENTS = 12
FIRST_NEWS = 100
"""Number of the first event that comes while the sandbox runs."""

NAMES = ("App Opened", "Product Viewed", "Product Added", "product_viewed", "Search", "Signed Up", "Order Completed")
PRODUCTS = ("Coffee grinder", "Kettle", "Travel mug", "Filter papers")
Longs = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Events:
    """Events by the second they happened.

    Attributes:
        index: Who did it.
        number: Which of the person's events it is; a repeated one bears the number of the first.
        time: Seconds since 1970.
        arrived: Milliseconds since 1970.
        bits: What the rest is made of.
    """

    index: Longs
    number: Longs
    time: Longs
    arrived: Longs
    bits: UInts


def people_in_app(company: Company) -> Longs:
    """Who uses the app."""
    bits = draw(bases_of(company.key, np.arange(company.people, dtype=np.uint64)), IN_APP)
    return np.flatnonzero(share(bits, 0) < IN_APP_CUT)


def make_events(company: Company) -> Events:
    """Everything that happened and has arrived by now."""
    people = people_in_app(company)
    roots = draw(bases_of(company.key, people.astype(np.uint64)), EVENTS)
    counts = (share(roots, 0) % (MOST_EVENTS - 1) + 2).astype(np.int64)
    index, root = np.repeat(people, counts), np.repeat(roots, counts)
    number = np.arange(len(index)) - np.repeat(np.cumsum(counts) - counts, counts)
    bits = mix(root + (number.astype(np.uint64) + np.uint64(1)) * np.uint64(GOLDEN))
    time = company.today_ms // 1000 - 1 - (bits % (DAYS * DAY)).astype(np.int64)
    more = mix(bits)
    late = share(more, 0) < LATE_CUT
    delay = np.where(late, (more >> 20) % (4 * DAY * 1000), (more >> 20) % 60_000).astype(np.int64)
    arrived = np.minimum(time * 1000 + delay, company.today_ms - 1)
    twice = np.flatnonzero(share(more, 1) < TWICE_CUT)
    parts = [(index, number, time, arrived, bits)]
    parts.append((index[twice], number[twice], time[twice], arrived[twice] + 700, bits[twice]))
    parts.append(_news(company, set(people.tolist())))
    columns = [np.concatenate([part[place] for part in parts]) for place in range(5)]
    order = np.lexsort((columns[3], columns[1], columns[0], columns[2]))
    return Events(*(column[order] for column in columns))


def _news(company: Company, in_app: set[int]) -> tuple[Longs, Longs, Longs, Longs, UInts]:
    """What came with the changes of people: one event at the moment, and one that is two days old."""
    rows = []
    for person, change in sorted(company.changes.items()):
        if person in in_app and change.modified_ms is not None:
            bits = draw(company.base(person), NEWS)
            at = change.modified_ms // 1000
            rows.append((person, FIRST_NEWS, at, change.modified_ms, bits))
            rows.append((person, FIRST_NEWS + 1, at - 2 * DAY, change.modified_ms, mix(bits)))
    if not rows:
        empty = np.zeros(0, np.int64)
        return empty, empty, empty, empty, np.zeros(0, np.uint64)
    index, number, time, arrived = (np.asarray([row[place] for row in rows], np.int64) for place in range(4))
    return index, number, time, arrived, np.asarray([row[4] for row in rows], np.uint64)


def event_row(company: Company, events: Events, place: int, *, milliseconds: bool) -> JsonObject:
    """One line of the export."""
    index, number, bits = int(events.index[place]), int(events.number[place]), int(events.bits[place])
    person, time = company.person(index), int(events.time[place])
    device = device_id(index, share(bits, 2) & 1)
    signed_in = person.customer_id if share(bits, 1) >= ANONYMOUS_CUT else None
    properties: JsonObject = {
        "time": time * 1000 if milliseconds else time,
        "distinct_id": distinct_id(person),
        "$insert_id": f"{index:07x}{number:03x}{bits & 0xFFFF:04x}",
        "$device_id": device,
        "$city": person.city,
        "$os": ("iOS", "Android")[share(bits, 2) & 1],
        "$app_version_string": "4.2",
        "mp_country_code": person.country_code,
        "mp_processing_time_ms": int(events.arrived[place]),
        "utm_source": ("undefined", "newsletter", "<null>", "google")[bits >> 62],
    }
    if signed_in is not None:
        properties["$user_id"] = signed_in
    name = NAMES[share(bits, 3) % len(NAMES)]
    if "roduct" in name:
        properties["product"] = PRODUCTS[share(bits, 0) % len(PRODUCTS)]
    if name == "Order Completed":
        properties |= {"revenue": round(5 + share(bits, 0) / 300, 2), "currency": "EUR", "order_id": f"A-{bits >> 40}"}
    return {"event": name, "properties": properties}


def device_id(index: int, number: int) -> str:
    """One of two devices of a person."""
    return f"{mix(index * 2 + number + 1):016x}-{index:06x}"


def distinct_id(person: Person) -> str:
    """The canonical id: the shop's own where the person has ever signed in, else the first device's."""
    return person.customer_id or f"$device:{device_id(person.index, 0)}"


def distinct_id_of(company: Company, index: int) -> str | None:
    """The canonical id of one person, for the truth; None for somebody who does not use the app."""
    in_app = index < company.people and share(draw(company.base(index), IN_APP), 0) < IN_APP_CUT
    return distinct_id(company.person(index)) if in_app else None


def profile_row(company: Company, index: int, last_seen: str) -> JsonObject:
    """The profile of a person who has one."""
    person = company.person(index)
    properties: JsonObject = {
        "$email": "undefined" if index % 11 == 0 else person.email.upper() if index % 5 == 0 else person.email,
        "$first_name": person.first_name,
        "$last_name": person.last_name,
        "$city": person.city,
        "$country_code": person.country_code,
        "$last_seen": last_seen,
        "plan": ("free", "plus")[index % 2],
    }
    if person.phone is not None and index % 3 == 0:
        properties["$phone"] = person.phone
    return {"$distinct_id": distinct_id(person), "$properties": properties}
