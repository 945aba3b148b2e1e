"""Users, tickets, events and ratings as Zendesk writes them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from millstream.sandbox import facts
from millstream.sandbox.company import Company
from millstream.sandbox.draws import mix, share
from millstream.sandbox.person import Person
from millstream.sandbox.system import JsonObject
from millstream.sandbox.zendesk.people import FIRST_USER_ID, LATEST, Tickets, Users

AGENTS = ((800_000_001, "Robin Agent"), (800_000_002, "Sam Agent"), (800_000_003, "Alex Agent"))
ORGANIZATIONS = 40
SUBJECTS = ("Where is my order?", "A return", "Wrong size", "Question about delivery", "Invoice", "Broken on arrival")
STATUSES = ("closed", "closed", "solved", "open", "pending")
CHANNELS = ("email", "web", "chat", "voice")
TILL_PHONE = "+12025550100"
"""What staff type where they have no number of the customer's own."""


def stamp(seconds: int) -> str:
    """A time as Zendesk writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def user_row(company: Company, users: Users, place: int) -> JsonObject:
    """One end user. A duplicate has the other address, or no address but the phone number."""
    person = company.person(int(users.index[place]))
    duplicate, active = bool(users.duplicate[place]), bool(users.active[place])
    email, phone, external = contact_of(person, duplicate=duplicate)
    return {
        "id": FIRST_USER_ID + person.index * 2 + int(duplicate),
        "url": None,
        "name": f"{person.first_name} {person.last_name}",
        "email": email,
        "phone": phone,
        "shared_phone_number": phone == TILL_PHONE or None,
        "external_id": external,
        "organization_id": None if person.index % 9 else organization_id(person.index),
        "role": "end-user",
        "verified": not duplicate,
        "active": active,
        "suspended": False,
        "locale": "en-US",
        "time_zone": "UTC",
        "tags": ["vip"] if person.lifecycle_stage == "customer" and person.index % 7 == 0 else [],
        "user_fields": {"city": person.city},
        "created_at": stamp(int(users.created[place])),
        "updated_at": stamp(int(users.updated[place])),
    }


def contact_of(person: Person, *, duplicate: bool) -> tuple[str | None, str | None, str | None]:
    """Address, number and external id of a person's user."""
    if duplicate:
        return (None, person.phone, None) if person.second_email is None else (person.second_email, None, None)
    phone = TILL_PHONE if person.phone is None and person.index % 5 == 0 else person.phone
    return person.email, phone, person.customer_id if person.index % 3 else None


def agent_row(number: int, created: int) -> JsonObject:
    """One of the shop's own people."""
    agent_id, name = AGENTS[number]
    return {
        "id": agent_id,
        "url": None,
        "name": name,
        "email": f"{name.split()[0].lower()}@support.shop.box.example",
        "phone": None,
        "shared_phone_number": None,
        "external_id": None,
        "organization_id": None,
        "role": "admin" if number == 0 else "agent",
        "verified": True,
        "active": True,
        "suspended": False,
        "locale": "en-US",
        "time_zone": "UTC",
        "tags": [],
        "user_fields": {"city": None},
        "created_at": stamp(created),
        "updated_at": stamp(created + number),
    }


def identities_of(company: Company, user_id: int) -> list[JsonObject]:
    """What a user is known by: addresses and numbers, the main one first."""
    index, duplicate = divmod(user_id - FIRST_USER_ID, 2)
    person = company.person(index)
    email, phone, _ = contact_of(person, duplicate=bool(duplicate))
    found: list[tuple[str, str]] = []
    found += [("email", email)] if email else []
    if not duplicate and person.second_email is not None and person.index % 2:
        found.append(("email", person.second_email))
    found += [("phone_number", phone)] if phone else []
    return [
        {
            "id": user_id * 10 + number,
            "user_id": user_id,
            "type": kind,
            "value": value,
            "primary": number == 0,
            "verified": True,
            "created_at": stamp(person.created_ms // 1000),
            "updated_at": stamp(person.created_ms // 1000),
        }
        for number, (kind, value) in enumerate(found)
    ]


def ticket_row(tickets: Tickets, place: int) -> JsonObject:
    """One ticket."""
    bits, index = int(tickets.bits[place]), int(tickets.index[place])
    created, generated = int(tickets.created[place]), int(tickets.generated[place])
    deleted = bool(tickets.deleted[place])
    return {
        "id": int(tickets.ids[place]),
        "external_id": None,
        "subject": SUBJECTS[share(bits, 0) % len(SUBJECTS)],
        "description": "The customer's own words.",
        "type": "question",
        "priority": ("low", "normal", "high", None)[share(bits, 1) % 4],
        "status": "deleted" if deleted else _status(tickets, place),
        "requester_id": requester_id(tickets, place),
        "submitter_id": requester_id(tickets, place),
        "assignee_id": AGENTS[index % len(AGENTS)][0],
        "organization_id": None if index % 9 else organization_id(index),
        "group_id": 700_000_001,
        "via": {"channel": CHANNELS[share(bits, 2) % len(CHANNELS)], "source": {"from": {}, "to": {}, "rel": None}},
        "tags": ["vip"] if index % 7 == 0 else [],
        "custom_fields": [{"id": 27642, "value": str(share(bits, 3))}],
        "satisfaction_rating": _rating_in_ticket(tickets, place),
        "created_at": stamp(created),
        "updated_at": stamp(max(created, generated - 30)),
        "generated_timestamp": generated,
    }


def requester_id(tickets: Tickets, place: int) -> int:
    """The person's first user, whoever opened it."""
    return FIRST_USER_ID + int(tickets.index[place]) * 2


def _status(tickets: Tickets, place: int) -> str:
    if int(tickets.number[place]) == LATEST:
        return "new"
    return STATUSES[share(int(tickets.bits[place]), 3) % len(STATUSES)]


def score_of(tickets: Tickets, place: int) -> str:
    """What the requester thinks of a rated ticket."""
    return ("good", "good", "bad", "offered")[share(mix(int(tickets.bits[place])), 2) % 4]


def _rating_in_ticket(tickets: Tickets, place: int) -> JsonObject:
    return {"score": score_of(tickets, place) if tickets.rated[place] else "unoffered"}


def rating_row(tickets: Tickets, place: int) -> JsonObject:
    """The satisfaction rating of a rated ticket."""
    score, ticket_id = score_of(tickets, place), int(tickets.ids[place])
    return {
        "id": 30_000_000 + ticket_id,
        "url": None,
        "assignee_id": AGENTS[int(tickets.index[place]) % len(AGENTS)][0],
        "group_id": 700_000_001,
        "requester_id": requester_id(tickets, place),
        "ticket_id": ticket_id,
        "score": score,
        "comment": "Thank you" if score == "good" and ticket_id % 2 else None,
        "reason": "The issue took too long to resolve" if score == "bad" else None,
        "reason_code": 5 if score == "bad" else 0,
        "created_at": stamp(int(tickets.created[place]) + 30),
        "updated_at": stamp(int(tickets.generated[place])),
    }


def event_rows(tickets: Tickets, place: int) -> Iterator[tuple[int, JsonObject]]:
    """What happened to a ticket, with the second it happened: opened, answered, changed."""
    created, generated = int(tickets.created[place]), int(tickets.generated[place])
    status, agent = _status(tickets, place), AGENTS[int(tickets.index[place]) % len(AGENTS)][0]
    steps: list[tuple[int, int, JsonObject]] = [
        (created, requester_id(tickets, place), {"event_type": "Create", "status": "new"}),
        (
            min(created + 40, generated),
            agent,
            {"event_type": "Comment", "comment_public": True, "body": "We look into it."},
        ),
    ]
    if status != "new" and generated > created:
        steps.append((generated, agent, {"event_type": "Change", "status": status, "previous_value": "new"}))
    for number, (at, updater, child) in enumerate(steps):
        event_id = int(tickets.ids[place]) * 10 + number
        yield (
            at,
            {
                "id": event_id,
                "ticket_id": int(tickets.ids[place]),
                "timestamp": at,
                "created_at": stamp(at),
                "updater_id": updater,
                "via": "Web form" if number == 0 else "Web",
                "system": {"client": "Mozilla/5.0", "location": None},
                "event_type": "Audit",
                "child_events": [{"id": event_id * 10, "via": "Web", **child}],
            },
        )


def organization_id(index: int) -> int:
    """The organization of a person who has one."""
    return 600_000_000 + index % ORGANIZATIONS


def organization_row(company: Company, number: int) -> JsonObject:
    """One organization; they came a day apart, long ago."""
    created = (company.today_ms - (800 - number) * facts.DAY_MS) // 1000
    return {
        "id": 600_000_000 + number,
        "url": None,
        "name": f"Office {number:02d} Ltd",
        "domain_names": [f"office{number:02d}.example.net"],
        "external_id": None,
        "tags": [],
        "organization_fields": {},
        "created_at": stamp(created),
        "updated_at": stamp(created),
        "deleted_at": None,
    }
