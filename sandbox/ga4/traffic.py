"""What happened on the company's web site in the last 60 days, as a cube that every report is cut from.

A cell is one hour, channel, kind of device, country and kind of visitor, and holds what can be added up. Other
dimensions follow from a cell, so any combination of dimensions adds up to the same totals. People are the
exception, as in the vendor's reports: who came on several days counts once (see `people_of_groups`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from millstream.sandbox.company import Company
from millstream.sandbox.draws import UInts, draw, topic
from millstream.sandbox.names import COUNTRIES

DAYS = 60
CHANNELS = (
    # channel, source, medium, campaign, share
    ("Organic Search", "google", "organic", "(organic)", 0.32),
    ("Direct", "(direct)", "(none)", "(direct)", 0.24),
    ("Paid Search", "google", "cpc", "brand", 0.14),
    ("Email", "newsletter", "email", "weekly news", 0.12),
    ("Organic Social", "instagram", "social", "(referral)", 0.07),
    ("Paid Social", "facebook", "paid_social", "prospecting", 0.05),
    ("Referral", "partner.example.net", "referral", "(referral)", 0.04),
    ("Unassigned", "(not set)", "(not set)", "(not set)", 0.02),
)
DEVICES = (("desktop", 0.45), ("mobile", 0.48), ("tablet", 0.07))
SYSTEMS = ("Windows", "Android", "iOS", "Macintosh")
BROWSERS = ("Chrome", "Safari", "Edge", "Firefox")
VISITORS = (("new", 0.38), ("returning", 0.62))
PAGES = (("/", "Home"), ("/products", "Products"), ("/sale", "Sale"), ("/blog/how-to-choose", "How to choose"))
LANDING_PAGES = (*(path for path, _ in PAGES), "(not set)")
ITEMS = ("Coffee grinder", "Kettle", "Travel mug", "Filter papers")
PLANS = ("(not set)", "free", "plus")
EVENTS = ("page_view", "session_start", "user_engagement", "first_visit", "add_to_cart", "purchase")
WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
HOURS = tuple(0.2 + max(0.0, 1 - abs(hour - 15) / 9) for hour in range(24))

VISITS, KINDS, BUYS = topic(530), topic(531), topic(532)
SHAPE = (DAYS, 24, len(CHANNELS), len(DEVICES), len(COUNTRIES), len(VISITORS))
# Of people who come on several days, this part of the visits after the busiest day is by other people.
STRANGERS = 0.6

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Dimension:
    """Value of a dimension for each cell: `codes` point into `values`."""

    codes: Ints
    values: tuple[str, ...]


class Traffic:
    """The cube of one company. Arrays hold only the cells in which something happened.

    Attributes:
        day: Day of each cell, counted from 0 for 60 days before the company's present.
        sums: What adds up: sessions, engaged, duration (s), engagement (s), views, users, new_users, carts,
            purchases, revenue (cents), events.
    """

    def __init__(self, company: Company) -> None:
        self.first_day = company.today - timedelta(days=DAYS)
        self._places = np.indices(SHAPE).reshape(len(SHAPE), -1)
        cells = np.arange(self._places.shape[1], dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        bits = draw(cells + np.uint64(company.key), VISITS)
        sessions = self._sessions(company, bits)
        busy = np.flatnonzero(sessions)
        self._places = self._places[:, busy]
        self._kinds: UInts = draw(bits[busy], KINDS)
        self.day: Ints = self._places[0]
        self.sums = self._measure(sessions[busy], draw(bits[busy], BUYS))
        self._dimensions: dict[str, Dimension] = {}

    def _sessions(self, company: Company, bits: UInts) -> Ints:
        day, hour, channel, device, country, visitor = self._places
        weekday = np.asarray([(self.first_day + timedelta(days=number)).weekday() for number in range(DAYS)])
        daily = (20 + company.people / 20) * np.where(weekday >= 5, 0.8, 1.08)
        rate = (
            daily[day]
            * _shares(HOURS)[hour]
            * _shares(tuple(one[-1] for one in CHANNELS))[channel]
            * _shares(tuple(one[1] for one in DEVICES))[device]
            * np.full(len(COUNTRIES), 1 / len(COUNTRIES))[country]
            * _shares(tuple(one[1] for one in VISITORS))[visitor]
        )
        lucky = (bits & 0xFFFF) / 65536
        expected = rate * (0.5 + ((bits >> 16) & 0xFFFF) / 65536)
        return np.asarray(np.floor(expected + lucky), dtype=np.int64)

    def _measure(self, sessions: Ints, bits: UInts) -> dict[str, Ints]:
        def part(of: Ints, probability: float, slot: int) -> Ints:
            # A share of a count, rounded up or down by chance so that small counts come out right on average.
            return np.floor(of * probability + ((bits >> (16 * slot)) & 0xFFFF) / 65536).astype(np.int64)

        returning = self._places[5] == 1
        engaged = np.minimum(part(sessions, 0.62, 0), sessions)
        purchases = np.minimum(part(sessions, 0.03, 1), engaged)
        carts = purchases + part(engaged - purchases, 0.12, 2)
        views = sessions + part(engaged, 2.6, 3)
        users = np.where(returning, np.maximum(1, part(sessions, 0.85, 0)), sessions)
        new_users = np.where(returning, 0, sessions)
        engagement = engaged * (25 + ((bits >> 8) & 0x7F).astype(np.int64))
        return {
            "sessions": sessions,
            "engaged": engaged,
            "duration": engagement + sessions * 12,
            "engagement": engagement,
            "views": views,
            "users": np.minimum(users, sessions),
            "new_users": new_users,
            "carts": carts,
            "purchases": purchases,
            "revenue": purchases * (1_990 + ((bits >> 20) % 12_000).astype(np.int64)),
            "events": views + sessions + engaged + new_users + carts + purchases,
        }

    def by_event(self) -> tuple[Ints, Ints, dict[str, Ints]]:
        """The cube with a row for each cell and event: cell, event code, and what adds up."""
        sums = self.sums
        counts = np.stack([sums[name] for name in ("views", "sessions", "engaged", "new_users", "carts", "purchases")])
        event, cell = np.nonzero(counts)
        count = counts[event, cell]
        some = {name: np.minimum(sums[name][cell], count) for name in ("sessions", "engaged", "users")}
        only = {
            "views": "page_view",
            "duration": "user_engagement",
            "engagement": "user_engagement",
            "new_users": "first_visit",
            "carts": "add_to_cart",
            "purchases": "purchase",
            "revenue": "purchase",
        }
        alone = {name: np.where(event == EVENTS.index(owner), sums[name][cell], 0) for name, owner in only.items()}
        return cell.astype(np.int64), event.astype(np.int64), {**some, **alone, "events": count}

    def dimension(self, name: str) -> Dimension:
        """A dimension's value in each cell (`eventName` is not one of a cell's)."""
        if name not in self._dimensions:
            self._dimensions[name] = self._make(name)
        return self._dimensions[name]

    def _make(self, name: str) -> Dimension:
        day, hour, channel, device, country, visitor = self._places
        if name in _OF_DATE:
            return self._of_date(_OF_DATE[name])
        if name in _OF_CHANNEL:
            return Dimension(channel, tuple(_OF_CHANNEL[name](number) for number in range(len(CHANNELS))))
        if name == "dateHour":
            values = tuple(f"{date_:%Y%m%d}{number:02d}" for date_ in self._dates() for number in range(24))
            return Dimension(day * 24 + hour, values)
        if name == "city":
            cities = [city for one in COUNTRIES for city, _ in one.cities]
            first = np.cumsum([0, *(len(one.cities) for one in COUNTRIES[:-1])])
            count = np.asarray([len(one.cities) for one in COUNTRIES])
            return Dimension(first[country] + self._pick(16, count[country]), tuple(cities))
        simple = {
            "hour": (hour, tuple(f"{number:02d}" for number in range(24))),
            "deviceCategory": (device, tuple(one[0] for one in DEVICES)),
            "operatingSystem": (np.where(device == 0, self._pick(0, 2) * 3, 1 + self._pick(0, 2)), SYSTEMS),
            "browser": (self._pick(8, len(BROWSERS)), BROWSERS),
            "country": (country, tuple(one.title for one in COUNTRIES)),
            "countryId": (country, tuple(one.code for one in COUNTRIES)),
            "newVsReturning": (visitor, tuple(one[0] for one in VISITORS)),
            "landingPage": (self._pick(24, len(LANDING_PAGES)), LANDING_PAGES),
            "pagePath": (self._pick(36, len(PAGES)), tuple(path for path, _ in PAGES)),
            "pageTitle": (self._pick(36, len(PAGES)), tuple(title for _, title in PAGES)),
            "language": (np.maximum(country - 1, 0), ("English", "German", "French")),
            "platform": (np.zeros_like(day), ("web",)),
            "hostName": (np.zeros_like(day), ("shop.example.com",)),
            "itemName": (self._pick(32, len(ITEMS)), ITEMS),
            "customEvent:plan": (self._pick(40, len(PLANS)), PLANS),
            "firstUserDefaultChannelGroup": (
                np.where(visitor == 0, channel, self._pick(48, len(CHANNELS))),
                tuple(one[0] for one in CHANNELS),
            ),
        }
        codes, values = simple[name]
        return Dimension(np.asarray(codes, dtype=np.int64), values)

    def _pick(self, shift: int, choices: int | Ints) -> Ints:
        picked = ((self._kinds >> shift) & 0xFF).astype(np.int64) % choices
        return np.asarray(picked, dtype=np.int64)

    def _dates(self) -> list[date]:
        return [self.first_day + timedelta(days=number) for number in range(DAYS)]

    def _of_date(self, text: Callable[[date], str]) -> Dimension:
        texts = [text(one) for one in self._dates()]
        values = tuple(sorted(set(texts)))
        return Dimension(np.asarray([values.index(one) for one in texts], dtype=np.int64)[self.day], values)


_OF_DATE: dict[str, Callable[[date], str]] = {
    "date": lambda one: f"{one:%Y%m%d}",
    "day": lambda one: f"{one:%d}",
    "month": lambda one: f"{one:%m}",
    "year": lambda one: f"{one:%Y}",
    "yearMonth": lambda one: f"{one:%Y%m}",
    "dayOfWeek": lambda one: str((one.weekday() + 1) % 7),
    "dayOfWeekName": lambda one: WEEKDAYS[(one.weekday() + 1) % 7],
}
_OF_CHANNEL: dict[str, Callable[[int], str]] = {
    "sessionDefaultChannelGroup": lambda number: CHANNELS[number][0],
    "sessionSource": lambda number: CHANNELS[number][1],
    "sessionMedium": lambda number: CHANNELS[number][2],
    "sessionSourceMedium": lambda number: f"{CHANNELS[number][1]} / {CHANNELS[number][2]}",
    "sessionCampaignName": lambda number: CHANNELS[number][3],
}


def people_of_groups(groups: Ints, count: int, day: Ints, users: Ints) -> NDArray[np.float64]:
    """How many different people each group of cells has: at least those of its busiest day, at most all."""
    total = np.bincount(groups, users, count)
    pairs, place = np.unique(groups * DAYS + day, return_inverse=True)
    daily = np.bincount(place, users)
    busiest = np.zeros(count)
    np.maximum.at(busiest, pairs // DAYS, daily)
    return np.asarray(np.floor(busiest + STRANGERS * (total - busiest)), dtype=np.float64)


def _shares(weights: tuple[float, ...]) -> NDArray[np.float64]:
    found = np.asarray(weights)
    return np.asarray(found / found.sum(), dtype=np.float64)
