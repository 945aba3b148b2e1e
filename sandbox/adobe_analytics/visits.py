"""Who visited the company's web site in the last 60 days, and what was done: the one base of reports and feed.

Every visit is by one of the company's devices, known or anonymous, and never goes on past midnight of the report
suite's clock, so that visits by day add up to all visits.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from millstream.sandbox import facts
from millstream.sandbox.company import Company
from millstream.sandbox.draws import GOLDEN, UInts, bases_of, cut, draw, mix, share, topic

ZONE = ZoneInfo("Europe/Berlin")
DAYS = 60
DAY = 86_400
MOST_VISITS = 6
LONGEST_VISIT = 600
VISITS, VISIT, ANONYMOUS, NEWS = (topic(number) for number in range(660, 664))
SIGN_IN_CUT, BOT_CUT, ORDER_CUT, LINK_CUT = cut(0.7), cut(0.01), cut(0.15), cut(0.08)
HIT_COUNTS = (1, 1, 2, 2, 3, 3, 4, 5)
FIRST_NEWS = 101
"""Number of the first visit that comes while the sandbox runs."""

PAGES = ("home", "sale", "blog: how to choose", "products", "search", "product", "cart", "order: thank you")
PRODUCT_PAGE, CART, ORDER = 5, 6, 7
PRODUCTS = (("Coffee grinder", 3990), ("Kettle", 2450), ("Travel mug", 1290), ("Filter papers", 499))

Longs = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Devices:
    """Every device of the company, the anonymous ones last.

    Attributes:
        owner: Whose it is; -1 for nobody known.
        number: Which of the owner's devices, or of all anonymous ones.
        signed_in: Whether its owner signs in on it.
        first_seen: Seconds since 1970.
    """

    owner: Longs
    number: Longs
    signed_in: Flags
    first_seen: Longs


@dataclass(frozen=True, slots=True)
class Visits:
    """Visits by device.

    Attributes:
        device: Row in `Devices`.
        number: Which of the device's visits, from 1.
        start: Seconds since 1970.
        received: When its hits reached Adobe, in seconds; later than they happened for what was sent from offline.
        bits: What the rest is made of.
    """

    device: Longs
    number: Longs
    start: Longs
    received: Longs
    bits: UInts


@dataclass(frozen=True, slots=True)
class Hits:
    """What was done, by time.

    Attributes:
        visit: Row in `Visits`.
        number: Which of the visit's hits, from 1.
        count: How many hits the visit has.
        time: Seconds since 1970.
        local: The same on the report suite's clock.
        page: Position in `PAGES`; -1 for a click on a link, which is no page view.
        product: Position in `PRODUCTS`; -1 for none.
        signed_in: Whether the visitor has signed in by then.
        sign_in: Whether this is the hit of the signing in.
        excluded: Whether Adobe took the visitor for a bot: in the feed, and in no report.
        bits: What the rest is made of.
    """

    visit: Longs
    number: Longs
    count: Longs
    time: Longs
    local: Longs
    page: Longs
    product: Longs
    signed_in: Flags
    sign_in: Flags
    excluded: Flags
    bits: UInts


def make_devices(company: Company) -> Devices:
    """All devices as arrays; the same as `Company.devices` and `Company.anonymous_device` give one by one."""
    counts = company.columns.device_count[: company.people]
    owner = np.repeat(np.arange(company.people), counts)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    bits = draw(bases_of(company.key, owner.astype(np.uint64)), facts.DEVICES)
    created = draw(bases_of(company.key, owner.astype(np.uint64)), facts.CREATED)
    history = np.minimum(facts.signup_age(created), np.uint64(facts.HISTORY_MS))
    age = (bits >> (number.astype(np.uint64) * np.uint64(8))) % history
    signed_in = (number == 0) | (((bits >> (number.astype(np.uint64) + np.uint64(56))) & np.uint64(1)) == 1)
    unknown = np.arange(company.anonymous_devices)
    unknown_age = mix(unknown.astype(np.uint64) + np.uint64(company.key)) % np.uint64(facts.HISTORY_MS // 6)
    ages = np.concatenate([age, unknown_age]).astype(np.int64)
    return Devices(
        owner=np.concatenate([owner, np.full(len(unknown), -1)]),
        number=np.concatenate([number, unknown]),
        signed_in=np.concatenate([signed_in, np.zeros(len(unknown), np.bool_)]),
        first_seen=(company.today_ms - 1 - ages) // 1000,
    )


def make_visits(company: Company, devices: Devices) -> Visits:
    """Every visit that has been received by now."""
    roots = _device_roots(company, devices)
    counts = (share(roots, 0) % MOST_VISITS + 1).astype(np.int64)
    device = np.repeat(np.arange(len(counts)), counts)
    place = np.arange(len(device)) - np.repeat(np.cumsum(counts) - counts, counts)
    bits = draw(roots[device] + (place.astype(np.uint64) + np.uint64(1)) * np.uint64(GOLDEN), VISIT)
    today = company.today_ms // 1000
    earliest = np.maximum(devices.first_seen, today - DAYS * DAY)[device]
    room = np.maximum(1, today - LONGEST_VISIT - earliest)
    start = before_midnight(earliest + (bits >> np.uint64(4)).astype(np.int64) % room)
    order = np.lexsort((start, device))
    visits = Visits(device, place + 1, start[order], start[order], bits[order])
    return _with_news(company, devices, visits)


def _device_roots(company: Company, devices: Devices) -> UInts:
    known = devices.owner >= 0
    owners, numbers = devices.owner[known].astype(np.uint64), devices.number.astype(np.uint64)
    roots = draw(bases_of(company.key, owners), VISITS) + numbers[known] * np.uint64(GOLDEN)
    unknown = draw(numbers[~known] * np.uint64(GOLDEN) + np.uint64(company.key), ANONYMOUS)
    return mix(np.concatenate([roots, unknown]))


def _with_news(company: Company, devices: Devices, visits: Visits) -> Visits:
    """Also what came with the changes of people: a visit at the moment, and one of two days before, sent late."""
    first = {owner: row for row, owner in reversed(list(enumerate(devices.owner.tolist()))) if owner >= 0}
    rows = []
    for person, change in sorted(company.changes.items()):
        if person in first and change.modified_ms is not None:
            at, bits = change.modified_ms // 1000 - LONGEST_VISIT, draw(company.base(person), NEWS)
            for late, days in enumerate((0, 2)):
                rows.append((first[person], FIRST_NEWS + late, at - days * DAY, at, mix(bits + late)))
    if not rows:
        return visits
    device, number, start, received = (np.asarray([row[place] for row in rows], np.int64) for place in range(4))
    return Visits(
        np.concatenate([visits.device, device]),
        np.concatenate([visits.number, number]),
        np.concatenate([visits.start, before_midnight(start)]),
        np.concatenate([visits.received, before_midnight(received)]),
        np.concatenate([visits.bits, np.asarray([row[4] for row in rows], np.uint64)]),
    )


def make_hits(devices: Devices, visits: Visits) -> Hits:
    """Every hit of these visits."""
    counts = np.asarray(HIT_COUNTS)[((visits.bits >> np.uint64(40)) % len(HIT_COUNTS)).astype(np.int64)]
    visit = np.repeat(np.arange(len(counts)), counts)
    number = np.arange(len(visit)) - np.repeat(np.cumsum(counts) - counts, counts) + 1
    bits = mix(visits.bits[visit] + number.astype(np.uint64) * np.uint64(GOLDEN))
    time = visits.start[visit] + (number - 1) * 70 + (share(bits, 0) % 60).astype(np.int64)
    page = _pages(visits.bits[visit], bits, number, counts[visit])
    with_product = np.isin(page, (PRODUCT_PAGE, CART, ORDER))
    product = np.where(with_product, (share(bits, 1) % len(PRODUCTS)).astype(np.int64), -1)
    signs_in = devices.signed_in[visits.device] & (share(mix(visits.bits), 0) < SIGN_IN_CUT)
    at = np.minimum(2, counts)[visit]
    order = np.lexsort((number, visit, time))
    return Hits(
        visit=visit[order],
        number=number[order],
        count=counts[visit][order],
        time=time[order],
        local=local_seconds(time)[order],
        page=page[order],
        product=product[order],
        signed_in=(signs_in[visit] & (number >= at))[order],
        sign_in=(signs_in[visit] & (number == at))[order],
        excluded=(share(mix(visits.bits), 1) < BOT_CUT)[visit][order],
        bits=bits[order],
    )


def _pages(of_visit: UInts, bits: UInts, number: Longs, count: Longs) -> Longs:
    landing = ((of_visit >> np.uint64(50)) % 4).astype(np.int64)
    later = np.asarray([0, 3, 3, 4, 5, 5, 5, 5, 5, 6])[(share(bits, 2) % 10).astype(np.int64)]
    page = np.where(number == 1, landing, later)
    page = np.where((number > 1) & (number < count) & (share(bits, 3) < LINK_CUT), -1, page)
    orders = (share(mix(of_visit), 2) < ORDER_CUT) & (count >= 3)
    return np.where(orders & (number == count), ORDER, np.where(orders & (number == count - 1), CART, page))


def before_midnight(start: Longs) -> Longs:
    """Starts moved back where the visit might otherwise go on past midnight."""
    late = local_seconds(start) % DAY > DAY - LONGEST_VISIT
    return np.where(late, start - LONGEST_VISIT, start)


def local_seconds(time: Longs) -> Longs:
    """Seconds since 1970 as the report suite's clock shows them."""
    hours, place = np.unique(time // 3600, return_inverse=True)
    offsets = [datetime.fromtimestamp(hour * 3600, UTC).astimezone(ZONE).utcoffset() for hour in hours.tolist()]
    seconds = np.asarray([int(offset.total_seconds()) if offset else 0 for offset in offsets], np.int64)
    return time + (seconds[place] if len(seconds) else 0)


def visitor_id(owner: int, number: int) -> str:
    """The Experience Cloud id of one device: 38 digits, of which the halves are the feed's two columns."""
    bits = mix((owner + 1) * 4 + number + 1) if owner >= 0 else mix(number + (1 << 40))
    return f"{bits % 10**19:019d}{mix(bits) % 10**19:019d}"


def visitors_of(company: Company, index: int) -> list[dict[str, str | None]]:
    """The visitor ids of one person and the customer id each knows, for the truth."""
    return [
        {"mcvisid": visitor_id(index, number), "customer_id": device.user_id}
        for number, device in enumerate(company.devices(index))
    ]
