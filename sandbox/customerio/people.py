"""Who is in the workspace before anybody writes to it: a pure function of the company."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from millstream.sandbox.company import MAX_PEOPLE, Company
from millstream.sandbox.draws import choose, cut, cuts, draw, share, topic
from millstream.sandbox.system import JsonObject

PERSON, NEWSLETTER = topic(750), topic(751)
PERSON_CUT, NEWSLETTER_CUT = cut(0.4), cut(0.3)
STANDING_CUTS = cuts(0.03, 0.12, 0.10)
SUPPRESSED, UNSUBSCRIBED, PARTLY, SUBSCRIBED = (
    "suppressed",
    "unsubscribed",
    "unsubscribed_from_topics",
    "subscribed",
)
STANDINGS = (SUPPRESSED, UNSUBSCRIBED, PARTLY, SUBSCRIBED)
# Of those with an id of the shop: some are known by their address alone, some by their id alone.
KNOWN_BY_CUTS = cuts(0.15, 0.10)
PREFERENCES = "cio_subscription_preferences"
FIRST_NEW = MAX_PEOPLE * 2
_CIO_ID = re.compile(r"c10([0-9a-f]{7})")


@dataclass(slots=True)
class Profile:
    """One person of the workspace.

    Attributes:
        number: Its place: the person's index in the company, or a later number for those whom clients made.
        id: The client's own id, if it has one.
        email: Its address as it was written, if it has one.
        attributes: All other attributes.
        created: Seconds since 1970.
        ready: Clock reading (`time.monotonic`) from which lists and look-ups know of it.
        written: Whether a client ever wrote to it.
        stamps: When each attribute was last set, where the writes said so; in seconds since 1970.
    """

    number: int
    id: str | None
    email: str | None
    attributes: JsonObject
    created: int
    ready: float = 0.0
    written: bool = False
    stamps: dict[str, int] = field(default_factory=dict)

    @property
    def cio_id(self) -> str:
        """The vendor's own id, which never changes."""
        return cio_id_of(self.number)

    @property
    def standing(self) -> str:
        """What the person has said about being written to."""
        if means_yes(self.attributes.get("unsubscribed")):
            return UNSUBSCRIBED
        preferences = self.attributes.get(PREFERENCES)
        topics = preferences.get("topics") if isinstance(preferences, dict) else None
        return PARTLY if isinstance(topics, dict) and False in topics.values() else SUBSCRIBED

    def identifiers(self) -> JsonObject:
        """As the App API names somebody."""
        return {"email": self.email, "id": self.id, "cio_id": self.cio_id}


def means_yes(value: object) -> bool:
    """What counts as unsubscribed: true in any spelling, or 1. Everything else means subscribed."""
    return str(value).lower() in {"true", "1"}


def cio_id_of(number: int) -> str:
    """The vendor's id of a place."""
    return f"c10{number:07x}"


def number_of(cio_id: str) -> int | None:
    """The place that an id of the vendor's stands for."""
    match = _CIO_ID.fullmatch(cio_id.removeprefix("cio_"))
    return None if match is None else int(match[1], 16)


def standing_at_start(company: Company, index: int) -> str | None:
    """How a person stood before any write; None for somebody unknown."""
    if not 0 <= index < company.people:
        return None
    bits = draw(company.base(index), PERSON)
    return STANDINGS[choose(STANDING_CUTS, share(bits, 1))] if share(bits, 0) < PERSON_CUT else None


def identifiers_at_start(company: Company, index: int) -> tuple[str | None, str | None]:
    """The id and the address that a person was known by."""
    person, bits = company.original(index), draw(company.base(index), PERSON)
    by = 0 if person.customer_id is None else choose(KNOWN_BY_CUTS, share(bits, 2))
    spelled = person.email.capitalize() if index % 4 == 0 else person.email
    return None if by == 0 else person.customer_id, None if by == 1 else spelled


def profile_at_start(company: Company, index: int) -> Profile | None:
    """A person's profile before any write; whoever was suppressed has none."""
    standing = standing_at_start(company, index)
    if standing is None or standing == SUPPRESSED:
        return None
    person, (own_id, email) = company.original(index), identifiers_at_start(company, index)
    created = person.created_ms // 1000
    attributes: JsonObject = {
        "created_at": created,
        "first_name": person.first_name,
        "plan": ("free", "plus")[index % 2],
    }
    if index % 2 and person.phone is not None:
        attributes["phone"] = person.phone
    if standing == UNSUBSCRIBED:
        attributes["unsubscribed"] = True
    if standing == PARTLY:
        attributes[PREFERENCES] = {"topics": {"topic_1": False, "topic_2": True}}
    return Profile(index, own_id, email, attributes, created)


def entry_of(company: Company, index: int) -> JsonObject | None:
    """What the workspace knew of one person at the start, for the truth."""
    standing = standing_at_start(company, index)
    if standing is None:
        return None
    own_id, email = identifiers_at_start(company, index)
    return {"cio_id": cio_id_of(index), "id": own_id, "email": email, "standing": standing}
