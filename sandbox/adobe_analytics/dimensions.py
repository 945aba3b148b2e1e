"""Dimensions: which there are, and what each says about every hit."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np

from millstream.sandbox import facts
from millstream.sandbox.adobe_analytics import visits
from millstream.sandbox.adobe_analytics.visits import DAY, Devices, Flags, Hits, Longs, Visits
from millstream.sandbox.company import Company
from millstream.sandbox.draws import UInts, bases_of, draw, mix, share
from millstream.sandbox.names import COUNTRIES

UNSPECIFIED = "Unspecified"
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
EPOCH = date(1970, 1, 1)
HOUR = 3600
CHANNELS = ("Natural Search", "Direct", "Paid Search", "Email", "Social Networks", "Referring Domains")
EMAIL_CHANNEL = CHANNELS.index("Email")
CAMPAIGNS = {2: "ps_brand", 3: "em_weekly", 4: "so_prospecting"}
REFERRERS = (
    "https://www.google.example/",
    "",
    "https://www.google.example/aclk",
    "https://mail.example.net/",
    "https://photos.example.org/",
    "https://partner.example.net/offers",
)
KINDS = ("Other", "Mobile Phone", "Tablet")
BROWSERS = ("Chrome 142", "Safari 26", "Edge 142", "Firefox 145")
SYSTEMS = ("Windows 11", "Android 16", "iOS 26", "macOS 26")
PLANS = ("free", "plus")
GRAINS = ("minute", "hour", "day", "week", "month")


@dataclass(frozen=True, slots=True)
class Items:
    """A dimension's value for each hit: `codes` point into `values` and `ids`; -1 stands for no value."""

    codes: Longs
    values: Sequence[str]
    ids: Sequence[str]

    def find(self, item_id: str | None, value: str | None) -> int:
        """The code of an item, by id or by text; -1 for none, -2 where no hit has it."""
        if item_id == "0" or value == UNSPECIFIED:
            return -1
        places, wanted = (self.values, value) if item_id is None else (self.ids, item_id)
        return next((code for code, one in enumerate(places) if one == wanted), -2)


class Facts:
    """All hits of the company, and what each dimension says about them."""

    def __init__(self, company: Company) -> None:
        self._company = company
        self.devices: Devices = visits.make_devices(company)
        self.visits: Visits = visits.make_visits(company, self.devices)
        self.hits: Hits = visits.make_hits(self.devices, self.visits)
        self._items: dict[str, Items] = {}

    def items(self, dimension: str) -> Items:
        """One dimension of the catalogue, worked out when it is first asked for."""
        if dimension not in self._items:
            grain = dimension.removeprefix("daterange")
            self._items[dimension] = self._of_time(grain) if grain in GRAINS else _MAKERS[dimension](self)
        return self._items[dimension]

    @property
    def device(self) -> Longs:
        """Row of each hit's device."""
        return self.visits.device[self.hits.visit]

    def _of_time(self, grain: str) -> Items:
        starts, codes = np.unique(period_starts(self.hits.local, grain), return_inverse=True)
        texts = [period(grain, start) for start in starts.tolist()]
        return Items(codes.astype(np.int64), [text for _, text in texts], [item for item, _ in texts])

    def of_visit(self, shift: int, values: Sequence[str]) -> Items:
        """A value drawn for each visit."""
        codes = ((self.visits.bits >> np.uint64(shift)) % len(values)).astype(np.int64)
        return _items(codes[self.hits.visit], values)

    def of_device(self, shift: int, values: Sequence[str]) -> Items:
        """A value drawn for each device."""
        codes = ((self._device_bits() >> np.uint64(shift)) % len(values)).astype(np.int64)
        return _items(codes[self.device], values)

    def _device_bits(self) -> UInts:
        owners, numbers = self.devices.owner.astype(np.uint64), self.devices.number.astype(np.uint64)
        return mix(owners * np.uint64(8) + numbers)

    def channel(self) -> Items:
        """The marketing channel of the visit."""
        return self.of_visit(20, CHANNELS)

    def campaign(self) -> Items:
        """The tracking code of the visit, where its channel has one."""
        names = tuple(CAMPAIGNS.values())
        by_channel = np.asarray([names.index(CAMPAIGNS[one]) if one in CAMPAIGNS else -1 for one in range(6)])
        return _items(by_channel[self.channel().codes], names)

    def page(self) -> Items:
        """The page; nothing for a click on a link."""
        names = [*visits.PAGES, *(f"product: {name.lower()}" for name, _ in visits.PRODUCTS)]
        of_product = len(visits.PAGES) + self.hits.product
        return _items(np.where(self.hits.page == visits.PRODUCT_PAGE, of_product, self.hits.page), names)

    def product(self) -> Items:
        """The product looked at, put into the cart or bought."""
        return _items(self.hits.product, [name for name, _ in visits.PRODUCTS])

    def place(self, *, city: bool) -> Items:
        """Where a known visitor lives; anonymous ones are spread over the countries."""
        known = self.devices.owner >= 0
        bases = bases_of(self._company.key, np.maximum(self.devices.owner, 0).astype(np.uint64))
        bits = np.where(known, draw(bases, facts.PLACE), self._device_bits())
        country = (bits & np.uint64(0xFFFF)).astype(np.int64) % len(COUNTRIES)
        if not city:
            return _items(country[self.device], [one.title for one in COUNTRIES])
        counts = np.asarray([len(one.cities) for one in COUNTRIES])
        first = np.cumsum(counts) - counts
        codes = first[country] + share(bits, 1).astype(np.int64) % counts[country]
        return _items(codes[self.device], [name for one in COUNTRIES for name, _ in one.cities])

    def customer(self) -> Items:
        """eVar 5: the shop's own id of who has signed in."""
        return self._of_owner(self.hits.signed_in, lambda owner: f"C-{owner + 1:06d}")

    def hashed_email(self) -> Items:
        """eVar 6: what links of the newsletter carry."""
        from_email = self.channel().codes == EMAIL_CHANNEL

        def hashed(owner: int) -> str:
            return hashlib.sha256(self._company.original(owner).email.encode()).hexdigest()

        return self._of_owner(from_email & (self.devices.owner[self.device] >= 0), hashed)

    def plan(self) -> Items:
        """eVar 7: the plan of who has signed in."""
        codes = self.devices.owner[self.device] % len(PLANS)
        return _items(np.where(self.hits.signed_in, codes, -1), PLANS)

    def _of_owner(self, wanted: Flags, text: Callable[[int], str]) -> Items:
        owner = np.where(wanted, self.devices.owner[self.device], -1)
        owners, codes = np.unique(owner, return_inverse=True)
        shift = int(len(owners) > 0 and owners[0] == -1)
        return _items(codes.astype(np.int64) - shift, [text(one) for one in owners[shift:].tolist()])


_MAKERS: dict[str, Callable[[Facts], Items]] = {
    "page": Facts.page,
    "product": Facts.product,
    "marketingchannel": Facts.channel,
    "campaign": Facts.campaign,
    "mobiledevicetype": lambda it: it.of_device(0, KINDS),
    "browser": lambda it: it.of_device(8, BROWSERS),
    "operatingsystem": lambda it: it.of_device(16, SYSTEMS),
    "geocountry": lambda it: it.place(city=False),
    "geocity": lambda it: it.place(city=True),
    "evar5": Facts.customer,
    "evar6": Facts.hashed_email,
    "evar7": Facts.plan,
}


def item_id(value: str) -> str:
    """An item's id, which stays the same while its text may be classified anew."""
    return str(int.from_bytes(hashlib.blake2b(value.encode(), digest_size=6).digest()) + 1)


def _items(codes: Longs, values: Sequence[str]) -> Items:
    return Items(np.asarray(codes, dtype=np.int64), values, [item_id(value) for value in values])


def period_starts(local: Longs, grain: str) -> Longs:
    """The start of the minute, hour, ... that each moment is in, all on the suite's clock."""
    if grain in {"minute", "hour", "day"}:
        length = {"minute": 60, "hour": HOUR, "day": DAY}[grain]
        return local // length * length
    days = local // DAY
    if grain == "week":
        # The first day of 1970 was a Thursday; weeks begin on Sundays.
        return (days - (days + 4) % 7) * DAY
    found, place = np.unique(days, return_inverse=True)
    firsts = [(date.fromordinal(EPOCH.toordinal() + day).replace(day=1) - EPOCH).days for day in found.tolist()]
    return np.asarray(firsts, np.int64)[place] * DAY if len(found) else days


def periods(grain: str, start: int, end: int) -> list[int]:
    """Starts of all periods that lie in a stretch of time, empty ones included."""
    at = int(period_starts(np.asarray([start]), grain)[0])
    found = []
    while at < end:
        found.append(at)
        length = {"minute": 60, "hour": HOUR, "day": DAY, "week": 7 * DAY}.get(grain, 32 * DAY)
        at = int(period_starts(np.asarray([at + length]), grain)[0])
    return found


def period(grain: str, start: int) -> tuple[str, str]:
    """Id and text of the item for one period: the year from 1900 and the month from 0, then day, hour and minute."""
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=start)
    day_id = f"{at.year - 1900}{at.month - 1:02d}{at.day:02d}"
    day_text = f"{MONTHS[at.month - 1]} {at.day}, {at.year}"
    if grain == "minute":
        return f"{day_id}{at:%H%M}", f"{at:%H:%M %Y-%m-%d}"
    if grain == "hour":
        return f"{day_id}{at:%H}", f"{at:%H:%M %Y-%m-%d}"
    return (day_id, f"{MONTHS[at.month - 1]} {at.year}") if grain == "month" else (day_id, day_text)
