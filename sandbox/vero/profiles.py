"""All profiles: those the company had from the start, made when they are looked at, and what clients wrote since."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from millstream.sandbox.company import Company
from millstream.sandbox.draws import choose, cut, cuts, draw, share, topic
from millstream.sandbox.person import Person
from millstream.sandbox.system import JsonObject

PROFILE, STANDING = topic(710), topic(711)
PROFILE_CUT = cut(0.40)
STANDING_CUTS = cuts(0.12, 0.04)
STANDINGS = ("unsubscribed", "bounced", "subscribed")
TAGS = {"vip": cut(0.15), "Trial users": cut(0.20)}
UNSUBSCRIBED_TAG = "unsubscribed"
"""Reserved by the vendor: whoever gets it is unsubscribed."""

SHOWN_UNTOUCHED = 500


@dataclass(slots=True)
class Profile:
    """One user.

    Attributes:
        user_id: The client's own id.
        email: Address, if one is known.
        phone: Number for text messages, if one is known.
        properties: Everything else, under the clients' names.
        standing: One of `STANDINGS`; who bounced gets no mail, as if unsubscribed.
        tags: In the order in which they came.
        channels: Devices, as they were given.
        written: Whether a client ever wrote to it.
        resubscribed: Whether a client ever subscribed it again.
    """

    user_id: str
    email: str | None = None
    phone: str | None = None
    properties: dict[str, object] = field(default_factory=dict)
    standing: str = "subscribed"
    tags: list[str] = field(default_factory=list)
    channels: list[object] = field(default_factory=list)
    written: bool = False
    resubscribed: bool = False

    def row(self) -> JsonObject:
        """What tests are shown."""
        return {
            "match": {"email": self.email, "external_id": self.user_id, "phone": self.phone},
            "id": self.user_id,
            "standing": self.standing,
            "fields": dict(self.properties),
            "audiences": list(self.tags),
            "written": self.written,
            "resubscribed": self.resubscribed,
        }


def user_id_of(company: Company, index: int) -> str | None:
    """The id of the profile a person had from the start: the shop's id, else the address."""
    if index >= company.people or share(draw(company.base(index), PROFILE), 0) >= PROFILE_CUT:
        return None
    person = company.original(index)
    return person.customer_id or person.email


def standing_of(company: Company, index: int) -> str:
    """How the person stands to mail, one of `STANDINGS`."""
    return STANDINGS[choose(STANDING_CUTS, share(draw(company.base(index), STANDING), 0))]


def truth_of(company: Company, index: int) -> JsonObject | None:
    """What the truth tells about a person's profile."""
    user_id = user_id_of(company, index)
    return None if user_id is None else {"id": user_id, "standing": standing_of(company, index)}


@dataclass(slots=True)
class Profiles:
    """The register of users.

    Attributes:
        deleted: Ids of profiles that were deleted and have not come back.
    """

    company: Company
    deleted: set[str] = field(default_factory=set)
    _kept: dict[str, Profile] = field(default_factory=dict)

    def find(self, user_id: str) -> Profile | None:
        """The user with this id. Changes to what is not kept yet last only after `keep`."""
        if user_id in self.deleted:
            return None
        kept = self._kept.get(user_id)
        return kept if kept is not None else self._original(user_id)

    def _original(self, user_id: str) -> Profile | None:
        find = self.company.find_by_email if "@" in user_id else self.company.find_by_customer_id
        person = find(user_id)
        if person is None or user_id_of(self.company, person.index) != user_id:
            return None
        return self._made(user_id, self.company.original(person.index))

    def _made(self, user_id: str, person: Person) -> Profile:
        bits = draw(self.company.base(person.index), STANDING)
        tags = [tag for slot, (tag, edge) in enumerate(TAGS.items(), 1) if share(bits, slot) < edge]
        return Profile(
            user_id,
            person.email,
            person.phone,
            {"first_name": person.first_name, "last_name": person.last_name, "city": person.city},
            standing_of(self.company, person.index),
            tags,
        )

    def keep(self, profile: Profile) -> None:
        """Write a user down."""
        profile.written = True
        self.deleted.discard(profile.user_id)
        self._kept[profile.user_id] = profile

    def identify(
        self, user_id: str, email: str | None, phone: str | None, channels: Sequence[object], data: Mapping[str, object]
    ) -> None:
        """Create or update a user. Whether it is subscribed stays as it is; a new one is."""
        profile = self.find(user_id) or Profile(user_id)
        profile.email, profile.phone = email or profile.email, phone or profile.phone
        profile.channels += [one for one in channels if one not in profile.channels]
        self.change(profile, data)

    def change(self, profile: Profile, data: Mapping[str, object]) -> None:
        """Set properties; null takes one away. The address and the number may stand among them."""
        for name, value in data.items():
            if name == "email":
                profile.email = None if value is None else str(value)
            elif name == "phone_number":
                profile.phone = None if value is None else str(value)
            elif value is None:
                profile.properties.pop(name, None)
            else:
                profile.properties[name] = value
        self.keep(profile)

    def tag(self, profile: Profile, add: Sequence[str], remove: Sequence[str]) -> None:
        """Set and take away tags."""
        profile.tags = [tag for tag in profile.tags if tag not in remove]
        profile.tags += [tag for tag in dict.fromkeys(add) if tag not in profile.tags]
        if UNSUBSCRIBED_TAG in add:
            profile.standing = "unsubscribed"
        self.keep(profile)

    def subscribe(self, profile: Profile) -> None:
        """Subscribe a user again, whatever they wanted."""
        profile.resubscribed |= profile.standing != "subscribed"
        profile.standing = "subscribed"
        self.keep(profile)

    def unsubscribe(self, profile: Profile) -> None:
        """Unsubscribe a user."""
        profile.standing = "unsubscribed"
        self.keep(profile)

    def reidentify(self, profile: Profile, new_id: str) -> None:
        """Give a user another id; if somebody has it, the two become one, unsubscribed if either was."""
        other = self.find(new_id)
        self.delete(profile.user_id)
        profile.user_id = new_id
        if other is not None:
            profile.email, profile.phone = other.email or profile.email, other.phone or profile.phone
            profile.properties |= other.properties
            profile.tags += [tag for tag in other.tags if tag not in profile.tags]
            profile.standing = other.standing if other.standing != "subscribed" else profile.standing
            profile.resubscribed |= other.resubscribed
        self.keep(profile)

    def delete(self, user_id: str) -> None:
        """Forget a user, with everything that was known, whether they had unsubscribed too."""
        self._kept.pop(user_id, None)
        self.deleted.add(user_id)

    def shown(self) -> list[Profile]:
        """Who was written to, and the first of the others."""
        ids = dict.fromkeys(self._kept)
        for index in range(min(self.company.people, SHOWN_UNTOUCHED)):
            user_id = user_id_of(self.company, index)
            if user_id is not None:
                ids.setdefault(user_id)
        found = [self.find(user_id) for user_id in ids]
        return [profile for profile in found if profile is not None]
