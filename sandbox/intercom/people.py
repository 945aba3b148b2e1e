"""Who is a contact of the messenger, what they wrote, and what they did: a pure function of the company."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from millstream.sandbox.company import Company
from millstream.sandbox.draws import bases_of, cut, draw, mix, share, topic
from millstream.sandbox.facts import DAY_MS
from millstream.sandbox.person import Person
from millstream.sandbox.system import JsonObject

CONTACT, TALK, NEWS, BOUNCED = topic(620), topic(621), topic(622), topic(761)
CONTACT_CUT, MERGED_CUT, LEAD_CUT, NEWS_CUT = cut(0.4), cut(0.06), cut(0.5), cut(0.3)
BOUNCED_CUT = cut(0.04)
COMPANIES = 25
TAGS = (("7001", "vip"), ("7002", "trial"), ("7003", "beta"))
EVENT_NAMES = ("invited-friend", "placed-order", "viewed_pricing", "upgraded-plan")
QUESTIONS = ("How do I return this?", "Do you deliver on Saturdays?", "Is the kettle back in stock?")


@dataclass(frozen=True, slots=True)
class Contact:
    """One contact.

    Attributes:
        index: Whose it is.
        merged: Ids of leads that were merged into it; they are gone from every list.
        created: Seconds since 1970.
        updated: Seconds since 1970.
    """

    index: int
    merged: tuple[str, ...]
    created: int
    updated: int

    @property
    def contact_id(self) -> str:
        """Its id."""
        return contact_id(self.index)


def contact_id(index: int, which: int = 0) -> str:
    """24 hexadecimal digits: the person's contact, or a lead that was merged into it."""
    return f"{mix(index * 2 + which + 17) & 0xFFFFFFFFFFFF:012x}{which}{index:011x}"


def index_of(text: str) -> int | None:
    """Whose contact an id would be."""
    try:
        index = int(text[13:], 16)
    except ValueError:
        return None
    return index if len(text) == 24 and contact_id(index) == text else None


def make_contacts(company: Company) -> list[Contact]:
    """Every contact there is now, by the person's number."""
    bits = draw(bases_of(company.key, np.arange(company.people, dtype=np.uint64)), CONTACT)
    return [make_contact(company, int(index)) for index in np.flatnonzero(share(bits, 0) < CONTACT_CUT)]


def make_contact(company: Company, index: int) -> Contact:
    """The contact of a person who has one."""
    bits = draw(company.base(index), CONTACT)
    changed = company.changes[index].modified_ms if index in company.changes else None
    created = company.today_ms - (share(bits, 1) % 500 + 40) * DAY_MS + share(bits, 2) * 1000
    updated = created + share(bits, 3) % 38 * DAY_MS + (bits >> 20) % 3_600_000
    merged = share(mix(bits), 0) < MERGED_CUT and role(company.person(index)) == "user"
    return Contact(
        index, (contact_id(index, 1),) if merged else (), created // 1000, max(updated, changed or 0) // 1000
    )


def has_contact(company: Company, index: int) -> bool:
    """Whether a person is in the messenger."""
    return index < company.people and share(draw(company.base(index), CONTACT), 0) < CONTACT_CUT


def has_bounced(company: Company, index: int) -> bool:
    """Whether mail to a contact came back for good, which no client can change."""
    return share(draw(company.base(index), BOUNCED), 0) < BOUNCED_CUT


def role(person: Person) -> str:
    """Who has an id of the shop is a user; others stay leads."""
    return "lead" if person.customer_id is None else "user"


def contact_row(company: Company, contact: Contact) -> JsonObject:
    """A contact as the API gives it."""
    person = company.person(contact.index)
    spelled = person.email.capitalize() if contact.index % 4 == 0 else person.email
    company_ids = [company_id(contact.index)] if contact.index % 6 == 0 else []
    return {
        "type": "contact",
        "id": contact.contact_id,
        "workspace_id": "sandbox1",
        "external_id": person.customer_id,
        "role": role(person),
        "email": None if person.customer_id is None and contact.index % 3 == 0 else spelled,
        "phone": person.phone if contact.index % 2 else None,
        "name": f"{person.first_name} {person.last_name}",
        "avatar": None,
        "owner_id": None,
        "has_hard_bounced": has_bounced(company, contact.index),
        "marked_email_as_spam": False,
        "unsubscribed_from_emails": person.subscription == "UNSUBSCRIBED",
        "created_at": contact.created,
        "updated_at": contact.updated,
        "signed_up_at": contact.created if person.customer_id else None,
        "last_seen_at": contact.updated - 60,
        "last_contacted_at": None,
        "browser": "chrome",
        "os": "Linux",
        "location": {"type": "location", "country": person.country, "city": person.city, "region": None},
        "custom_attributes": {"plan": ("free", "plus")[contact.index % 2]},
        "tags": list_of(contact.contact_id, "tags", [{"type": "tag", "id": tag} for tag in tags_of(contact.index)]),
        "companies": list_of(contact.contact_id, "companies", [{"type": "company", "id": one} for one in company_ids]),
    }


def list_of(contact_id: str, name: str, data: list[JsonObject]) -> JsonObject:
    """What hangs on a contact, as the API gives it."""
    return {
        "type": "list",
        "data": data,
        "url": f"/contacts/{contact_id}/{name}",
        "total_count": len(data),
        "has_more": False,
    }


def tags_of(index: int) -> list[str]:
    """The ids of a contact's tags."""
    return [TAGS[0][0]] if index % 7 == 0 else [TAGS[2][0]] if index % 11 == 0 else []


def company_id(index: int) -> str:
    """The id of the company of a contact who has one."""
    return f"{0xC0FFEE000000 + index % COMPANIES:024x}"


def company_row(company: Company, number: int) -> JsonObject:
    """One company."""
    created = (company.today_ms - (600 - number) * DAY_MS) // 1000
    return {
        "type": "company",
        "id": f"{0xC0FFEE000000 + number:024x}",
        "company_id": f"K-{number:03d}",
        "name": f"Roastery {number:02d} Ltd",
        "plan": {},
        "monthly_spend": 100 * number,
        "user_count": 1 + number % 4,
        "created_at": created,
        "updated_at": created + number,
        "custom_attributes": {},
    }


@dataclass(frozen=True, slots=True)
class Conversation:
    """One conversation of a contact."""

    index: int
    number: int
    created: int
    updated: int
    bits: int

    @property
    def conversation_id(self) -> str:
        """Its id."""
        return str(5_000_000 + self.index * 4 + self.number)


def make_conversations(company: Company, contacts: list[Contact]) -> list[Conversation]:
    """Every conversation there is now."""
    found = []
    for contact in contacts:
        root = draw(company.base(contact.index), TALK)
        for number in range(share(root, 0) % 3):
            bits = mix(root + number + 1)
            created = company.today_ms - (share(bits, 0) % 200 + 10) * DAY_MS + share(bits, 1) * 1000
            updated = created + (share(bits, 2) % (8 * 86_400)) * 1000
            found.append(Conversation(contact.index, number, created // 1000, updated // 1000, bits))
        changed = company.changes[contact.index].modified_ms if contact.index in company.changes else None
        news = draw(company.base(contact.index), NEWS)
        if changed is not None and share(news, 0) < NEWS_CUT:
            found.append(Conversation(contact.index, 3, changed // 1000, changed // 1000, news))
    return found


def conversation_row(company: Company, talk: Conversation, *, whole: bool) -> JsonObject:
    """A conversation; its parts only when it is asked for alone."""
    person = company.person(talk.index)
    author: JsonObject = {
        "type": role(person),
        "id": contact_id(talk.index),
        "name": f"{person.first_name} {person.last_name}",
        "email": person.email,
    }
    row: JsonObject = {
        "type": "conversation",
        "id": talk.conversation_id,
        "title": None,
        "created_at": talk.created,
        "updated_at": talk.updated,
        "open": share(talk.bits, 3) % 4 == 0,
        "state": "open" if share(talk.bits, 3) % 4 == 0 else "closed",
        "read": True,
        "priority": "not_priority",
        "source": {
            "type": "conversation",
            "id": f"{talk.conversation_id}0",
            "delivered_as": "customer_initiated",
            "subject": "",
            "body": f"<p>{QUESTIONS[talk.bits % len(QUESTIONS)]}</p>",
            "author": author,
            "url": None,
        },
        "contacts": {
            "type": "contact.list",
            "contacts": [{"type": "contact", "id": contact_id(talk.index), "external_id": person.customer_id}],
        },
        "teammates": {"type": "admin.list", "teammates": [{"type": "admin", "id": "814860"}]},
        "conversation_rating": _rating(talk),
        "statistics": {"type": "conversation_statistics", "time_to_admin_reply": 300, "count_replies": 2},
        "tags": {"type": "tag.list", "tags": []},
    }
    if whole:
        row["conversation_parts"] = _parts(talk, author)
    return row


def _rating(talk: Conversation) -> JsonObject | None:
    if share(talk.bits, 0) % 3:
        return None
    return {"rating": share(talk.bits, 1) % 5 + 1, "remark": "", "created_at": talk.updated}


def _parts(talk: Conversation, author: JsonObject) -> JsonObject:
    admin = {"type": "admin", "id": "814860", "name": "Robin Agent", "email": "robin@support.shop.box.example"}
    parts = [
        {
            "type": "conversation_part",
            "id": f"{talk.conversation_id}{place + 1}",
            "part_type": "comment",
            "body": body,
            "created_at": at,
            "updated_at": at,
            "author": who,
        }
        for place, (who, body, at) in enumerate(
            [(admin, "<p>We look.</p>", talk.created), (author, "<p>Thank you</p>", talk.updated)]
        )
    ]
    return {"type": "conversation_part.list", "conversation_parts": parts, "total_count": len(parts)}


def event_rows(company: Company, index: int) -> list[JsonObject]:
    """What a contact did in the last 90 days, the newest first."""
    person, root = company.person(index), draw(company.base(index), topic(623))
    rows: list[JsonObject] = []
    for number in range(share(root, 0) % 4):
        bits = mix(root + number + 1)
        rows.append(
            {
                "type": "event",
                "id": f"{bits & 0xFFFFFFFF:08x}-{number}",
                "event_name": EVENT_NAMES[share(bits, 1) % len(EVENT_NAMES)],
                "created_at": (company.today_ms - (share(bits, 2) % 85 + 1) * DAY_MS) // 1000 + share(bits, 3),
                "user_id": person.customer_id,
                "intercom_user_id": contact_id(index),
                "email": person.email,
                "metadata": {"order_number": {"value": f"A-{bits % 10_000}"}},
            }
        )
    return sorted(rows, key=lambda row: -int(str(row["created_at"])))


def contact_ids_of(company: Company, index: int) -> list[str]:
    """The ids of one person's contact, those merged into it too, for the truth."""
    if not has_contact(company, index):
        return []
    contact = make_contact(company, index)
    return [contact.contact_id, *contact.merged]
