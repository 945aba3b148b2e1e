"""What records say of people, beside events: birthdays, places, devices, when somebody was first seen, consents."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import pandas as pd

from millstream.sandbox.company import Company
from millstream.sandbox.mixpanel import behaviour
from millstream.sandbox.shift4shop import trade
from millstream.sandbox.zendesk import people as desk
from tests.truth.club import moment
from tests.truth.facts import shop_time
from tests.truth.project import Ran


@dataclass
class Said:
    """What a profile's records come to.

    Attributes:
        people: Whose records they are, by their number in the company.
        seen: Times at which they were true.
        places: When a record told a place, with country and city.
    """

    people: set[int] = field(default_factory=set)
    seen: list[datetime] = field(default_factory=list)
    places: list[tuple[datetime, str, str]] = field(default_factory=list)
    birth_date: date | None = None
    devices: set[str] = field(default_factory=set)
    email: set[str] = field(default_factory=set)
    sms: set[str] = field(default_factory=set)


def all_records(ran: Ran, facts: pd.DataFrame) -> pd.DataFrame:
    """What records say, by profile."""
    company, found = ran.sandbox.company, defaultdict[str, Said](Said)
    for profile, person, at, said in zip(facts.profile, facts.person, facts["at"], facts.properties, strict=True):
        found[profile].people.add(person)
        found[profile].seen.append(at.to_pydatetime())
        if "device_id" in said:
            found[profile].devices.add(said["device_id"])
    for place, person, at, more in [*_contacts(company), *_shop(company), *_app(company), *_desk(company), *_club(ran)]:
        said = found[ran.profile_of_record[place]]
        said.people.add(person)
        said.seen.append(at if at is not None else ran.described_at)
        if "city" in more and at is not None:
            said.places.append((at, more["country"], more["city"]))
        said.birth_date = more.get("birth_date", said.birth_date)
        said.email |= {more["email"]} if "email" in more else set()
        said.sms |= {more["sms"]} if "sms" in more else set()
    for index in range(company.people):
        _subscriptions(ran, company, index, found)
    rows = {profile: _row(said) for profile, said in found.items()}
    told = pd.DataFrame.from_dict(rows, orient="index", dtype=object)
    return told.where(told.notna(), None)


def _row(said: Said) -> dict[str, Any]:
    latest = max(said.places, default=(None, None, None))
    return {
        "people": frozenset(said.people),
        "first_seen": pd.Timestamp(min(said.seen)),
        "country": latest[1],
        "region": None,
        "city": latest[2],
        "birth_date": said.birth_date,
        "devices": len(said.devices),
        "may_be_mailed": "SUBSCRIBED" in said.email and "UNSUBSCRIBED" not in said.email,
        "may_be_texted": said.sms == {"yes"},
    }


Record = tuple[str, int, datetime | None, dict[str, Any]]


def _contacts(company: Company) -> Iterator[Record]:
    for index in range(company.people):
        person = company.person(index)
        changed = (person.modified_ms, person.duplicate_modified_ms)
        for contact, at in zip(person.contact_ids, changed, strict=False):
            yield f"hubspot.contacts:{contact}", index, moment(at), {"country": person.country, "city": person.city}


def _shop(company: Company) -> Iterator[Record]:
    """Who has an account and is not on its mailing list has said no."""
    for customer in trade.make_customers(company):
        index, place = customer.index, f"shift4shop.customers:{customer.customer_id}"
        listed = company.person(index).subscription == "SUBSCRIBED"
        more = _of(company, index) | {"email": "SUBSCRIBED" if listed else "UNSUBSCRIBED"}
        yield place, index, shop_time(customer.updated_ms), more
    for order in trade.make_orders(company):
        yield f"shift4shop.orders:{order.order_id}", order.index, shop_time(order.placed_ms), _of(company, order.index)


def _app(company: Company) -> Iterator[Record]:
    """A profile of everybody who ever signed in."""
    events = behaviour.make_events(company)
    last = {int(index): int(time) for index, time in zip(events.index, events.time, strict=True)}
    for index in map(int, behaviour.people_in_app(company)):
        person = company.person(index)
        if person.customer_id is not None:
            yield f"mixpanel.profiles:{person.customer_id}", index, moment(last[index] * 1000), _of(company, index)


def _desk(company: Company) -> Iterator[Record]:
    users = desk.make_users(company)
    for place, user in enumerate(map(int, users.ids)):
        if users.active[place]:
            yield f"zendesk.users:{user}", int(users.index[place]), moment(int(users.updated[place]) * 1000), {}


def _club(ran: Ran) -> Iterator[Record]:
    for member in ran.club.members:
        born = member["birth_date"]
        more = {"sms": member["sms"]} | ({"birth_date": date.fromisoformat(born)} if born else {})
        yield f"club.members:{member['member']}", int(member["member"].removeprefix("M-")), None, more


def _of(company: Company, index: int) -> dict[str, Any]:
    person = company.person(index)
    return {"country": person.country_code, "city": person.city}


def _subscriptions(ran: Ran, company: Company, index: int, found: dict[str, Said]) -> None:
    """HubSpot's consent, told of each address of a contact; its opt-out outweighs all."""
    person = company.person(index)
    for contact in person.contact_ids:
        said = found[ran.profile_of_record[f"hubspot.contacts:{contact}"]]
        said.email |= {person.subscription} | ({"UNSUBSCRIBED"} if person.email_optout else set())
