"""Consent by address and number, and taking people out: subscribe, disassociate, delete."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from millstream.sandbox.clevertap.errors import refusal
from millstream.sandbox.clevertap.people import Profile, index_of
from millstream.sandbox.clevertap.register import Register
from millstream.sandbox.clevertap.segments import Segments
from millstream.sandbox.later import Later
from millstream.sandbox.system import Answer, Call

MOST_ENTRIES, MOST_DELETED = 1000, 100


class Wish(BaseModel):
    """What is to become of an address or a number."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["email", "phone", "whatsapp"]
    value: Annotated[str, Field(min_length=1)]
    status: Literal["Unsubscribe", "Resubscribe"]


class Wishes(BaseModel):
    """Body of `POST /1/subscribe`."""

    model_config = ConfigDict(extra="forbid")

    d: Annotated[list[Wish], Field(min_length=1)]


class Number(BaseModel):
    """A number to be let go."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["phone"]
    value: Annotated[str, Field(min_length=1)]


class Numbers(BaseModel):
    """Body of `POST /1/disassociate`."""

    model_config = ConfigDict(extra="forbid")

    d: Annotated[list[Number], Field(min_length=1)]


class Deletion(BaseModel):
    """Body of `POST /1/delete/profiles.json`."""

    model_config = ConfigDict(extra="forbid")

    identity: str | list[str] = Field(default_factory=list)
    guid: str | list[str] = Field(default_factory=list)


class Consent:
    """What happens to addresses and numbers, and to people who go."""

    def __init__(self, register: Register, segments: Segments, later: Later) -> None:
        self._register = register
        self._segments = segments
        self._later = later

    def subscribe(self, call: Call) -> Answer:
        """Block addresses and numbers for whoever uses them, or let them be written to again."""
        wishes = call.body_as(Wishes).d
        _check_size(len(wishes))
        for wish in wishes:
            value = wish.value.lower() if wish.type == "email" else wish.value
            self._register.blocked[wish.type, value] = wish.status == "Unsubscribe"
        return Answer({"status": "success", "processed": len(wishes), "unprocessed": []})

    def disassociate(self, call: Call) -> Answer:
        """Take numbers off the profiles that are known by them."""
        numbers = call.body_as(Numbers).d
        _check_size(len(numbers))
        for number in numbers:
            profile = self._register.by_identity(number.value)
            if profile is not None:
                profile.identities.remove(number.value)
                profile.data.pop("Phone", None)
                self._register.keep(profile)
        return Answer({"status": "success", "processed": len(numbers), "unprocessed": []})

    def delete(self, call: Call) -> Answer:
        """Erase profiles, a moment later; whether there is such a profile, the answer does not say."""
        given = call.body_as(Deletion)
        identities = [given.identity] if isinstance(given.identity, str) else given.identity
        guids = [given.guid] if isinstance(given.guid, str) else given.guid
        if not identities and not guids:
            raise refusal(400, "One of identity and guid is needed.")
        if max(len(identities), len(guids)) > MOST_DELETED:
            raise refusal(400, f"At most {MOST_DELETED} values fit into one request.")
        self._later.put(lambda: self._erase(identities, guids))
        return Answer({"status": "success", "processed": len(identities) + len(guids), "unprocessed": []})

    def _erase(self, identities: list[str], guids: list[str]) -> None:
        found: list[Profile | None] = [self._register.by_identity(one) for one in identities]
        found += [self._register.get(index_of(one)) for one in guids]
        for profile in found:
            if profile is not None:
                self._segments.drop_everywhere(profile.index)
                self._register.forget(profile)


def _check_size(entries: int) -> None:
    if entries > MOST_ENTRIES:
        raise refusal(400, f"At most {MOST_ENTRIES} entries fit into one request, not {entries}.")
