"""The shop's own customer club: files of members and what they did, so that every shipped trait has data.

It is one more system of the sandbox's company: who is a member and what members did follows from its seed alone.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from millstream.sandbox.company import Company
from millstream.sandbox.person import Person

DAY_MS = 86_400_000
CATEGORIES = ("Coffee", "Tea", "Kitchen", None)
PRODUCTS = tuple(
    {
        "product_id": f"P-{number:02d}",
        **({} if number == 23 else {"name": f"Product {number:02d}"}),
        **({} if CATEGORIES[number // 6] is None else {"category": CATEGORIES[number // 6]}),
        **({} if number % 7 == 6 else {"price": 4.99 + 3 * number}),
    }
    for number in range(24)
)
"""Six products of each category; one has no name, those of the last category have none, and some have no price."""

COMMENTS = (
    "Wonderful coffee, I love it!",
    "Terrible, it arrived broken.",
    "It is a kettle.",
    "Der Kaffee ist nicht gut.",
)
REFERRERS = (
    "https://search.example.org/?q=coffee",
    "https://www.club.example.com/start",
    "",
    "https://news.example.net/a",
)
CAMPAIGNS = ("", "", "spring", "autumn")
COUNTRIES = ("Austria", "Germany", "", "Spain")

Row = dict[str, Any]


@dataclass(frozen=True)
class Club:
    """Members, and what they did, as the files say it.

    Attributes:
        members: One row a member.
        acts: One row for each thing done; ``index`` (not in the files) says by whom.
    """

    members: tuple[Row, ...]
    acts: tuple[Row, ...]

    def write(self, folder: Path) -> None:
        """Write both files, and the rates of exchange beside them."""
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / "members.jsonl", self.members)
        _write(folder / "acts.jsonl", self.acts)


def make_club(company: Company) -> Club:
    """The club of a company: nine in ten people are members, and some who are none act under their address."""
    members, acts = [], []
    for index in range(company.people):
        person, luck = company.person(index), random.Random(f"{company.seed}/{index}")
        if index % 10 != 9:
            members.append(_member(person, company.today, luck))
        acts += [
            {"id": f"{index}-{number}", "index": index, "email": person.email} | act
            for number, act in enumerate(_acts(company, person, luck))
        ]
    return Club(tuple(members), tuple(acts))


def moment(ms: float) -> datetime:
    """A time of milliseconds since 1970."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=round(ms))


def _write(file: Path, rows: tuple[Row, ...]) -> None:
    lines = (
        {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in row.items()
            if name != "index"
        }
        for row in rows
    )
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")


def _member(person: Person, today: date, luck: random.Random) -> Row:
    return {
        "member": f"M-{person.index}",
        "email": person.email,
        "customer_id": person.customer_id,
        "birth_date": _born(person, today).isoformat() if person.index % 6 else None,
        "sms": luck.choice(("yes", "no", "")),
        "tier": luck.choice(("gold", "silver", "none")),
    }


def _born(person: Person, today: date) -> date:
    """The birthday: of some one of these days, so that a week always has some, and of a few on 29 February."""
    if person.index % 25 == 4:
        return date(1988, 2, 29)
    if person.index % 12 != 5:
        return person.birth_date
    soon = today + timedelta(days=person.index % 11 - 1)
    return date(1980, soon.month, soon.day)


def _acts(company: Company, person: Person, luck: random.Random) -> Iterator[Row]:
    today, known = company.today_ms, company.today_ms - person.created_ms
    yield from _orders(today, known, person, luck)
    for _ in range(luck.randrange(10)):
        yield _page(today - luck.uniform(1, luck.choice((2, 25, 85, 400)) * DAY_MS), luck)
    if luck.random() < 0.05:
        # A clock that is wrong: nothing later than the run may count.
        yield _page(today + 40 * DAY_MS, luck)
    yield from _cart(today, luck)
    yield from _messages(today, luck)
    yield from _service(today, luck)


def _orders(today: int, known: int, person: Person, luck: random.Random) -> Iterator[Row]:
    """Orders at a rate of the person's own, until they leave for good; each product list leans to one category."""
    if luck.random() < 0.12:
        return
    weekly, leaves, spends = luck.gammavariate(0.9, 0.12), luck.betavariate(0.7, 4.0), luck.gammavariate(4.0, 12.0)
    favourite, at = luck.randrange(4), today - luck.uniform(0.2, 1.0) * known
    for number in range(60):
        order_id, value = f"K-{person.index}-{number}", round(luck.gammavariate(6.0, spends / 6.0), 2)
        currency = luck.choices(("EUR", "USD", "XTS"), (90, 8, 2))[0]
        order = {"order_id": order_id, "value": value, "currency": currency, "products": _basket(favourite, luck)}
        yield {"event": "Order Completed", "at": moment(at)} | order | _campaign(luck)
        if luck.random() < 0.04:
            # Told twice: what is told last counts.
            at += luck.uniform(60_000, 3_600_000)
            yield {"event": "Order Completed", "at": moment(min(at, today - 1))} | order | {"value": value + 1}
        if luck.random() < 0.05:
            later = moment(min(at + luck.uniform(1, 20) * DAY_MS, today - 1))
            yield {"event": "Order Cancelled", "at": later, "order_id": order_id, "value": value, "currency": currency}
        if luck.random() < 0.08:
            later = moment(min(at + luck.uniform(1, 20) * DAY_MS, today - 1))
            amount = luck.choice((None, round(value / 2, 2)))
            given = {} if amount is None else {"value": amount, "currency": currency}
            yield {"event": "Order Refunded", "at": later, "order_id": order_id} | given
        at += luck.expovariate(weekly) * 7 * DAY_MS
        if at >= today or luck.random() < leaves:
            return


def _basket(favourite: int, luck: random.Random) -> list[Row]:
    chosen = {favourite * 6 + luck.randrange(6) if luck.random() < 0.8 else luck.randrange(24) for _ in range(3)}
    return [dict(PRODUCTS[one]) | ({"quantity": luck.randrange(1, 4)} if luck.random() < 0.7 else {}) for one in chosen]


def _campaign(luck: random.Random) -> Row:
    return {"campaign": luck.choice(CAMPAIGNS) or None}


def _page(at: float, luck: random.Random) -> Row:
    found = {
        "event": "Page Viewed",
        "at": moment(at),
        "url": "https://www.club.example.com/page",
        "referrer": luck.choice(REFERRERS) or None,
        "device_type": luck.choice(("phone", "desktop", None)),
        "browser": luck.choice(("Firefox", "Safari", None)),
        "os": luck.choice(("Linux", "iOS", None)),
        "plan": luck.choice(("free", "pro")),
    }
    if luck.random() < 0.3:
        found |= {"utm_source": luck.choice(("news", "ads")), "utm_medium": luck.choice(("cpc", "email", None))}
        found |= {"utm_campaign": luck.choice(("winter", None))}
    if luck.random() < 0.3:
        found |= {"country": luck.choice(COUNTRIES) or None, "region": luck.choice(("North", "South", None))}
        found |= {"city": luck.choice(("Linz", None, None, None))}
    return found


def _cart(today: int, luck: random.Random) -> Iterator[Row]:
    if luck.random() < 0.25:
        at = today - luck.uniform(0.01, 5) * DAY_MS
        yield {"event": "Product Added", "at": moment(at), "plan": luck.choice(("free", "pro"))}
        if luck.random() < 0.4:
            bought = {"event": "Order Completed", "order_id": f"C-{at:.0f}", "value": 20.5, "currency": "EUR"}
            yield bought | {"at": moment(at + luck.uniform(-0.9, 1.0) * (today - at))}


def _messages(today: int, luck: random.Random) -> Iterator[Row]:
    """Text messages with and without a sending, and push notifications; some react."""
    tells_sending = luck.random() < 0.5
    for channel, chance in (("SMS", 0.5), ("Push Notification", 0.5)):
        if luck.random() > chance:
            continue
        for _ in range(luck.randrange(1, 6)):
            at = today - luck.uniform(0.5, luck.choice((20, 100, 500))) * DAY_MS
            if channel == "SMS" and tells_sending:
                yield {"event": "SMS Sent", "at": moment(at)}
            yield {
                "event": "SMS Delivered" if channel == "SMS" else "Push Notification Received",
                "at": moment(at + 9_000),
            }
            if luck.random() < 0.45:
                reaction = "SMS Link Clicked" if channel == "SMS" else "Push Notification Tapped"
                yield {"event": reaction, "at": moment(at + luck.uniform(20_000, 10_000_000))}


def _service(today: int, luck: random.Random) -> Iterator[Row]:
    """Tickets of the club's own desk, some opened again; and what was said in its survey."""
    for number in range(luck.choices((0, 1, 2, 4), (75, 15, 6, 4))[0]):
        at, ticket = today - luck.uniform(4, 150) * DAY_MS, {"ticket_id": f"T{number}"}
        yield {"event": "Ticket Opened", "at": moment(at)} | ticket
        for event, chance in (("Ticket Solved", 0.7), ("Ticket Reopened", 0.4), ("Ticket Solved", 0.5)):
            if luck.random() > chance:
                break
            at += luck.uniform(0.1, 1) * DAY_MS
            yield {"event": event, "at": moment(at)} | ticket
    if luck.random() < 0.3:
        said = {"nps_score": luck.randrange(11), "comment": luck.choice(COMMENTS)}
        yield {
            "event": "Survey Responded",
            "at": moment(today - luck.uniform(1, 300) * DAY_MS),
            "survey_id": "club",
        } | said
