"""Who was in the project before any sync: profiles of the company's people, and what they agreed to."""

from __future__ import annotations

from dataclasses import dataclass, field

from millstream.sandbox.company import Company
from millstream.sandbox.draws import Number, choose, cut, cuts, draw, share, topic

STANDING, DETAILS, SEGMENTS = topic(740), topic(741), topic(742)
PROFILE_CUT = cut(0.40)
PHONE_CUT, TYPE_CUT = cut(0.60), cut(0.40)
# Asked not to be written to as this person, or at this address whoever uses it.
STANDING_CUTS = cuts(0.72, 0.16)
STANDINGS = ("subscribed", "unsubscribed", "dnd")
SMS_OFF_CUT = cut(0.15)
CUSTOMER_TYPES = ("Gold", "Silver", "Platinum")
OBJECT_ID_START = "-sandbox"


@dataclass(slots=True)
class Profile:
    """One profile.

    Attributes:
        index: Of the company's person at first; profiles made since have one beyond its people.
        identities: What the client's own systems call the person; there may be several, an address among them.
        data: System and custom properties, `Email` and `Phone` among them, and the flags `MSG-...`.
        events: How often each event came, and the times of the first and the last.
        written: Whether a client ever wrote to it.
    """

    index: int
    identities: list[str] = field(default_factory=list)
    data: dict[str, object] = field(default_factory=dict)
    events: dict[str, list[int]] = field(default_factory=dict)
    written: bool = False

    @property
    def object_id(self) -> str:
        """CleverTap's own id."""
        return object_id_of(self.index)

    @property
    def email(self) -> str | None:
        """The address, in lower case."""
        value = self.data.get("Email")
        return value.lower() if isinstance(value, str) else None

    @property
    def phone(self) -> str | None:
        """The number in E.164."""
        value = self.data.get("Phone")
        return value if isinstance(value, str) else None


def object_id_of(index: int) -> str:
    """CleverTap's id of the profile with this index."""
    return f"{OBJECT_ID_START}{index:012d}"


def index_of(object_id: str) -> int | None:
    """The index an id belongs to (of a profile that may not exist); None for what is no id."""
    digits = object_id.removeprefix(OBJECT_ID_START)
    is_id = object_id.startswith(OBJECT_ID_START) and digits.isascii() and digits.isdigit() and len(digits) == 12
    return int(digits) if is_id else None


def has_profile(base: Number) -> Number:
    """Whether a person was in the project at the start (works on arrays, too)."""
    return share(draw(base, STANDING), 0) < PROFILE_CUT


def first_standing(base: int) -> str:
    """What a person had agreed to at the start."""
    return STANDINGS[choose(STANDING_CUTS, share(draw(base, STANDING), 1))]


def object_id_of_person(company: Company, index: int) -> str | None:
    """The id of the profile a person had at the start, if there was one."""
    there = index < company.people and has_profile(company.base(index))
    return object_id_of(index) if there else None


def make_profile(company: Company, index: int) -> Profile:
    """The profile a person had at the start: known by the shop's id, or else by the address."""
    person, base = company.original(index), company.base(index)
    details = draw(base, DETAILS)
    data: dict[str, object] = {"Name": f"{person.first_name} {person.last_name}", "Email": person.email}
    if person.phone is not None and share(details, 0) < PHONE_CUT:
        data["Phone"] = person.phone
        if share(details, 1) < SMS_OFF_CUT:
            data["MSG-sms"] = False
    if share(details, 2) < TYPE_CUT:
        data["Customer Type"] = CUSTOMER_TYPES[index % len(CUSTOMER_TYPES)]
    if first_standing(base) == "unsubscribed":
        data["MSG-email"] = False
    return Profile(index, [person.customer_id or person.email], data)
