"""Profiles: reading them, and writing one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import orjson
from pydantic import BaseModel, ConfigDict

from millstream.sandbox.klaviyo.attributes import FIELDS, ProfileRow, apply, mistakes
from millstream.sandbox.klaviyo.errors import duplicate, invalid, invalid_many, not_found
from millstream.sandbox.klaviyo.listing import (
    AFTER,
    EQUALS,
    Comparison,
    check_query,
    comparisons,
    links,
    names_in,
    page_of,
    picked,
    stamp,
)
from millstream.sandbox.klaviyo.people import Consent, Profile, index_of
from millstream.sandbox.klaviyo.register import IDENTIFIERS, Register, now_ms
from millstream.sandbox.system import Answer, Call, JsonObject

LARGEST_PROFILE = 100_000
LOCATION = ("address1", "address2", "city", "country", "latitude", "longitude", "region", "zip", "timezone", "ip")
SUPPRESSION_REASON = "subscriptions.email.marketing.suppression.reason"
FILTERS = {
    **dict.fromkeys(("id", *IDENTIFIERS), EQUALS),
    "created": ("greater-than", "less-than"),
    "updated": ("greater-than", "less-than"),
    SUPPRESSION_REASON: ("equals",),
    "subscriptions.email.marketing.suppression.timestamp": AFTER,
}
PARTS = ("email.marketing", "sms.marketing", "email.marketing.consent", "email.marketing.suppression")
FIELD_NAMES = (
    "id", *IDENTIFIERS, *FIELDS, "created", "updated", "last_event_date", "location", "properties", "subscriptions",
    "predictive_analytics", *(f"location.{name}" for name in LOCATION), "subscriptions.email", "subscriptions.sms",
    *(f"subscriptions.{part}" for part in PARTS),
)  # fmt: skip
SHAPING = ("additional-fields[profile]", "fields[profile]")


class ProfileBody(BaseModel):
    """Body of a write about one profile."""

    model_config = ConfigDict(extra="forbid")

    data: ProfileRow


def subscriptions(profile: Profile) -> JsonObject:
    """What a profile agreed to, as `additional-fields[profile]=subscriptions` shows it."""
    shown: JsonObject = {}
    if "email" in profile.identifiers:
        consent = profile.email_consent
        marketing: JsonObject = {
            "can_receive_email_marketing": not profile.suppressions,
            **_consent(consent),
            "custom_method_detail": consent.source,
            "double_optin": False,
            "suppression": [{"reason": reason, "timestamp": stamp(ms)} for reason, ms in profile.suppressions.items()],
            "list_suppressions": [
                {"list_id": list_id, "reason": "UNSUBSCRIBE", "timestamp": stamp(ms)}
                for list_id, ms in profile.list_suppressions.items()
            ],
        }
        shown["email"] = {"marketing": marketing}
    if "phone_number" in profile.identifiers:
        can = profile.sms_consent.state == "SUBSCRIBED"
        shown["sms"] = {"marketing": {"can_receive_sms_marketing": can, **_consent(profile.sms_consent)}}
    return shown


def _consent(consent: Consent) -> JsonObject:
    return {
        "consent": consent.state,
        "consent_timestamp": stamp(consent.at_ms),
        "last_updated": stamp(consent.at_ms),
        "method": consent.method,
        "method_detail": "",
    }


def shaper(call: Call) -> Callable[[Profile], JsonObject]:
    """How this request wants profiles shown."""
    more = names_in(call, "additional-fields[profile]", ("subscriptions", "predictive_analytics")) or []
    names = names_in(call, "fields[profile]", (*FIELD_NAMES, "joined_group_at"))

    def shape(profile: Profile) -> JsonObject:
        attributes: JsonObject = {
            **{kind: profile.identifiers.get(kind) for kind in IDENTIFIERS},
            **{name: profile.fields.get(name) for name in FIELDS},
            "created": stamp(profile.created_ms),
            "updated": stamp(profile.updated_ms),
            "last_event_date": None,
            "location": {name: profile.location.get(name) for name in LOCATION},
            "properties": dict(profile.properties),
        }
        attributes |= {"subscriptions": subscriptions(profile)} if "subscriptions" in more else {}
        attributes |= {"predictive_analytics": None} if "predictive_analytics" in more else {}
        own = f"{call.base_url}/api/profiles/{profile.profile_id}"
        return {
            "type": "profile",
            "id": profile.profile_id,
            "attributes": picked(attributes, names),
            "relationships": {
                kind: {"links": {"self": f"{own}/relationships/{kind}", "related": f"{own}/{kind}"}}
                for kind in ("lists", "segments", "push-tokens")
            },
            "links": {"self": own},
        }

    return shape


class Profiles:
    """Endpoints below `/profiles`, and `/profile-import`."""

    def __init__(self, register: Register) -> None:
        self._register = register

    def list_profiles(self, call: Call) -> Answer:
        """Profiles that meet a filter, oldest first."""
        check_query(call, *SHAPING, "filter", "page[cursor]", "page[size]", "sort")
        shape, conditions = shaper(call), comparisons(call, FILTERS)
        page, page_links = page_of(
            call, lambda after: self._matching(conditions, after), lambda profile: profile.index, 100, 20
        )
        return Answer({"data": [shape(profile) for profile in page], "links": page_links})

    def _matching(self, conditions: list[Comparison], after: int) -> Iterator[Profile]:
        named = next((one for one in conditions if one.operator in EQUALS and one.field in ("id", *IDENTIFIERS)), None)
        if named is None:
            candidates = self._register.after(after)
        else:
            indexes = {found for value in named.values if (found := self._index(named.field, value)) is not None}
            candidates = self._register.profiles(sorted(index for index in indexes if index > after))
        return (profile for profile in candidates if all(meets(profile, one) for one in conditions))

    def _index(self, kind: str, value: str) -> int | None:
        if kind == "id":
            return index_of(value)
        profile = self._register.find(kind, value)
        return None if profile is None else profile.index

    def get_profile(self, call: Call) -> Answer:
        """One profile."""
        check_query(call, *SHAPING, "include")
        profile = self.one(call)
        return Answer({"data": shaper(call)(profile), "links": links(call, None)})

    def one(self, call: Call) -> Profile:
        """The profile that the path names."""
        profile = self._register.get(index_of(call.params["id"]))
        if profile is None:
            raise not_found(f"A profile with id {call.params['id']}")
        return profile

    def create_profile(self, call: Call) -> Answer:
        """A new profile; one that is there already is refused with its id."""
        row = self._row(call)
        for profile in self._register.matches(row.attributes.identifiers):
            raise duplicate(profile.profile_id)
        return self._written(call, self._register.create({}), row, 201)

    def import_profile(self, call: Call) -> Answer:
        """Create or update: who is meant is found by id, or by any identifier."""
        row = self._row(call)
        found = self._register.matches(row.attributes.identifiers)
        if row.id is not None:
            by_id = self._register.get(index_of(row.id))
            if by_id is None:
                raise not_found(f"A profile with id {row.id}", "/data/id")
            found = [by_id, *(one for one in found if one.index != by_id.index)]
        if len(found) > 1:
            raise duplicate(found[1].profile_id)
        if found:
            return self._written(call, found[0], row, 200)
        return self._written(call, self._register.create({}), row, 201)

    def update_profile(self, call: Call) -> Answer:
        """Update one profile; a null clears."""
        profile = self.one(call)
        row = self._row(call, needs_identifier=False)
        if row.id != profile.profile_id:
            raise invalid("The id in the body must be the id in the path.", "/data/id")
        for other in self._register.matches(row.attributes.identifiers):
            if other.index != profile.index:
                raise duplicate(other.profile_id)
        return self._written(call, profile, row, 200)

    def _row(self, call: Call, *, needs_identifier: bool = True) -> ProfileRow:
        check_query(call, *SHAPING)
        shaper(call)
        if len(call.body) > LARGEST_PROFILE:
            raise invalid(f"The payload is larger than {LARGEST_PROFILE} bytes.")
        row = call.body_as(ProfileBody).data
        wrong = list(mistakes(row, "/data", needs_identifier=needs_identifier))
        if call.refuses(row.key):
            wrong.append(("/data/attributes", "This profile cannot be saved."))
        if wrong:
            raise invalid_many(wrong)
        return row

    def _written(self, call: Call, profile: Profile, row: ProfileRow, status: int) -> Answer:
        apply(profile, row, null_clears=True)
        profile.updated_ms = now_ms()
        self._register.keep(profile)
        return Answer({"data": shaper(call)(profile), "links": links(call, None)}, status)


def meets(profile: Profile, condition: Comparison) -> bool:
    """Whether a profile fulfils one condition of a filter."""
    if condition.field == "id":
        return profile.profile_id in condition.values
    if condition.field == "email":
        return profile.identifiers.get("email", "").lower() in {value.lower() for value in condition.values}
    if condition.field in IDENTIFIERS:
        return profile.identifiers.get(condition.field) in condition.values
    if condition.field == SUPPRESSION_REASON:
        return condition.values[0] in profile.suppressions
    if condition.field.endswith("suppression.timestamp"):
        return any(condition.holds_for(at_ms) for at_ms in profile.suppressions.values())
    return condition.holds_for(profile.created_ms if condition.field == "created" else profile.updated_ms)


def size_of(row: ProfileRow) -> int:
    """Bytes of a row, about as it was sent."""
    return len(orjson.dumps(row.model_dump(exclude_unset=True)))


class ListRef(BaseModel):
    """A reference to a list."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["list"]
    id: str
