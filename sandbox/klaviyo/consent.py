"""Consent: subscribing, unsubscribing and suppressing, with all they do beside what their names say.

Subscribing lifts suppressions, so that people who left are written to again. Unsubscribing from a list that somebody is
not on unsubscribes from everything.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from millstream.sandbox.klaviyo.attributes import is_email, is_phone
from millstream.sandbox.klaviyo.errors import invalid, invalid_many
from millstream.sandbox.klaviyo.listing import check_query
from millstream.sandbox.klaviyo.lists import Lists
from millstream.sandbox.klaviyo.people import Consent, Profile, index_of
from millstream.sandbox.klaviyo.profiles import ListRef
from millstream.sandbox.klaviyo.register import Register, now_ms
from millstream.sandbox.later import Later
from millstream.sandbox.system import Answer, Call

MOST_SUBSCRIBED, MOST_UNSUBSCRIBED = 1000, 100
ROWS = "/data/attributes/profiles/data"
LIFTED = ("UNSUBSCRIBE", "SPAM_COMPLAINT", "USER_SUPPRESSED")
NEEDED = {"email": "email", "sms": "phone_number"}


class Wish(BaseModel):
    """What is to become of one kind of message on a channel."""

    model_config = ConfigDict(extra="forbid")

    consent: Literal["SUBSCRIBED", "UNSUBSCRIBED"]
    consented_at: str | None = None


class Channel(BaseModel):
    """One channel."""

    model_config = ConfigDict(extra="forbid")

    marketing: Wish | None = None
    transactional: Wish | None = None
    open_tracking: Wish | None = None


class Channels(BaseModel):
    """`subscriptions` of a row."""

    model_config = ConfigDict(extra="forbid")

    email: Channel | None = None
    sms: Channel | None = None

    def wishes(self) -> Iterator[tuple[str, Wish]]:
        """The wishes about marketing, by channel."""
        for name, channel in (("email", self.email), ("sms", self.sms)):
            if channel is not None and channel.marketing is not None:
                yield name, channel.marketing


class WishAttributes(BaseModel):
    """Attributes of a row: nothing but who, and what about them."""

    model_config = ConfigDict(extra="forbid")

    email: str | None = None
    phone_number: str | None = None
    subscriptions: Channels
    age_gated_date_of_birth: str | None = None

    @property
    def identifiers(self) -> dict[str, str]:
        """The identifiers that were given."""
        given = {"email": self.email, "phone_number": self.phone_number}
        return {kind: value for kind, value in given.items() if value}


class WishRow(BaseModel):
    """One person of a job."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["profile"]
    id: str | None = None
    attributes: WishAttributes


class WishRows(BaseModel):
    """The people of a job."""

    model_config = ConfigDict(extra="forbid")

    data: Annotated[list[WishRow], Field(min_length=1)]


class JobAttributes(BaseModel):
    """Attributes of a job; the last two only when subscribing."""

    model_config = ConfigDict(extra="forbid")

    profiles: WishRows
    custom_source: str | None = None
    historical_import: bool | None = None


class OneList(BaseModel):
    """The list that a job is about."""

    model_config = ConfigDict(extra="forbid")

    data: ListRef


class JobRelationships(BaseModel):
    """What a job relates to."""

    model_config = ConfigDict(extra="forbid")

    list: OneList | None = None


class JobData(BaseModel):
    """A job."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["profile-subscription-bulk-create-job", "profile-subscription-bulk-delete-job"]
    attributes: JobAttributes
    relationships: JobRelationships | None = None


class JobBody(BaseModel):
    """Body of both endpoints."""

    model_config = ConfigDict(extra="forbid")

    data: JobData


class Subscriptions:
    """`/profile-subscription-bulk-create-jobs` and `-delete-jobs`. They answer with nothing to ask after."""

    def __init__(self, register: Register, lists: Lists, later: Later) -> None:
        self._register = register
        self._lists = lists
        self._later = later

    def subscribe(self, call: Call) -> Answer:
        """Take a job that subscribes people."""
        data, list_id = self._job(call, "profile-subscription-bulk-create-job", MOST_SUBSCRIBED)
        given = data.attributes
        historical = given.historical_import is True
        wrong = [
            one for number, row in enumerate(given.profiles.data) for one in self._too_early(number, row, historical)
        ]
        if wrong:
            raise invalid_many(wrong)
        asks_first = not historical and list_id is not None and self._lists.all[list_id].opt_in_process.startswith("d")

        def work() -> None:
            for row in given.profiles.data:
                profile = self._profile(row)
                if not asks_first:
                    self._subscribed(profile, row, list_id, given.custom_source)
                self._register.keep(profile)

        self._later.put(work)
        return Answer(None, 202)

    def _too_early(self, number: int, row: WishRow, historical: bool) -> Iterator[tuple[str, str]]:
        for channel, wish in row.attributes.subscriptions.wishes():
            where = f"{ROWS}/{number}/attributes/subscriptions/{channel}/marketing/consented_at"
            at_ms = _moment(wish.consented_at)
            if historical and (at_ms is None or at_ms >= now_ms()):
                yield where, "'consented_at' must be given and lie in the past for a historical import."
            left = [one.suppressions["UNSUBSCRIBE"] for one in self._found(row) if "UNSUBSCRIBE" in one.suppressions]
            if historical and at_ms is not None and channel == "email" and any(at_ms < left_ms for left_ms in left):
                yield where, "The profile unsubscribed after this time."

    def _subscribed(self, profile: Profile, row: WishRow, list_id: str | None, source: str | None) -> None:
        for channel, wish in row.attributes.subscriptions.wishes():
            consent = Consent("SUBSCRIBED", _moment(wish.consented_at) or now_ms(), "API", source)
            if channel == "sms":
                profile.sms_consent = consent
                continue
            if profile.email_consent.state != "SUBSCRIBED":
                profile.email_consent = consent
            for reason in LIFTED:
                profile.suppressions.pop(reason, None)
        profile.updated_ms = now_ms()
        if list_id in self._lists.all:
            profile.list_suppressions.pop(list_id, None)
            self._lists.all[list_id].add(profile.index)

    def unsubscribe(self, call: Call) -> Answer:
        """Take a job that unsubscribes people."""
        data, list_id = self._job(call, "profile-subscription-bulk-delete-job", MOST_UNSUBSCRIBED)
        rows = data.attributes.profiles.data

        def work() -> None:
            for row in rows:
                # Who is not there yet is created, so as to be unsubscribed.
                profile = self._profile(row)
                self._unsubscribed(profile, row, list_id)
                self._register.keep(profile)

        self._later.put(work)
        return Answer(None, 202)

    def _unsubscribed(self, profile: Profile, row: WishRow, list_id: str | None) -> None:
        found = self._lists.all.get(list_id) if list_id is not None else None
        if found is not None and found.has(profile.index):
            found.remove(profile.index)
            profile.list_suppressions[found.list_id] = now_ms()
            return
        # Leaves the time of the profile's update alone, as the vendor does.
        for channel, _ in row.attributes.subscriptions.wishes():
            if channel == "sms":
                profile.sms_consent = Consent("UNSUBSCRIBED", now_ms(), "API")
            else:
                profile.email_consent = Consent("UNSUBSCRIBED", now_ms(), "API")
                profile.suppressions.setdefault("UNSUBSCRIBE", now_ms())

    def _job(self, call: Call, kind: str, most: int) -> tuple[JobData, str | None]:
        check_query(call)
        data = call.body_as(JobBody).data
        if data.type != kind:
            raise invalid(f"The type must be '{kind}'.", "/data/type")
        rows = data.attributes.profiles.data
        if len(rows) > most:
            raise invalid(f"At most {most} profiles fit into one job, not {len(rows)}.", ROWS)
        wanted = "SUBSCRIBED" if kind.endswith("create-job") else "UNSUBSCRIBED"
        wrong = [one for number, row in enumerate(rows) for one in _mistakes(number, row, wanted)]
        wrong += [(f"{ROWS}/{number}", "Refused.") for number, row in enumerate(rows) if call.refuses(_key(row))]
        if wrong:
            raise invalid_many(wrong)
        one = data.relationships.list if data.relationships is not None else None
        if one is not None and one.data.id not in self._lists.all:
            raise invalid(f"There is no list with id {one.data.id}.", "/data/relationships/list/data/id")
        return data, None if one is None else one.data.id

    def _found(self, row: WishRow) -> list[Profile]:
        by_id = self._register.get(index_of(row.id)) if row.id is not None else None
        return [by_id] if by_id is not None else self._register.matches(row.attributes.identifiers)

    def _profile(self, row: WishRow) -> Profile:
        found = self._found(row)
        profile = found[0] if found else self._register.create({})
        for kind, value in row.attributes.identifiers.items():
            if self._register.find(kind, value) is None:
                profile.identifiers.setdefault(kind, value)
        return profile


def _mistakes(number: int, row: WishRow, wanted: str) -> Iterator[tuple[str, str]]:
    start, given = f"{ROWS}/{number}/attributes", row.attributes
    if given.email is not None and not is_email(given.email):
        yield f"{start}/email", f"'{given.email}' is not a valid email address."
    if given.phone_number is not None and not is_phone(given.phone_number):
        yield f"{start}/phone_number", "Invalid phone number format; use E.164, such as +12345678901."
    if not list(given.subscriptions.wishes()):
        yield f"{start}/subscriptions", "At least one channel is required."
    for channel, wish in given.subscriptions.wishes():
        if wish.consent != wanted:
            yield f"{start}/subscriptions/{channel}/marketing/consent", f"Only '{wanted}' is possible here."
        if NEEDED[channel] not in given.identifiers:
            detail = f"'{NEEDED[channel]}' must not be empty when the {channel} channel is in 'subscriptions'."
            yield f"{start}/{NEEDED[channel]}", detail


def _key(row: WishRow) -> str:
    return next(iter(row.attributes.identifiers.values()), row.id or "").lower()


def _moment(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise invalid(f"'{text}' is not a datetime.", ROWS) from error
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
