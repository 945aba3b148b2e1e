"""The App API: segments, and everything that reads."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from millstream.sandbox.customerio.errors import app
from millstream.sandbox.customerio.filters import compiled
from millstream.sandbox.customerio.people import Profile
from millstream.sandbox.customerio.register import Register
from millstream.sandbox.customerio.segments import Segment, Segments
from millstream.sandbox.system import Answer, Call, JsonObject, Route, route

LARGEST_PAGE = 30_000
PAGE = 1000
ID_TYPES = ("id", "email", "cio_id")
TOPICS = ((1, "Offers"), (2, "News"))


class NewSegment(BaseModel):
    """What a segment is made of."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=255)]
    description: str = ""


class SegmentBody(BaseModel):
    """Body of `POST /v1/segments`."""

    model_config = ConfigDict(extra="forbid")

    segment: NewSegment


class SomePeople(BaseModel):
    """Body of `POST /v1/customers/attributes`."""

    model_config = ConfigDict(extra="forbid")

    ids: Annotated[list[str], Field(min_length=1, max_length=100)]


class App:
    """Handlers of the App API."""

    def __init__(self, register: Register, segments: Segments) -> None:
        self._register = register
        self._segments = segments

    def routes(self) -> list[Route]:
        """Its endpoints."""
        one, person = "/app/v1/segments/{segment_id}", "/app/v1/customers/{customer_id}"
        return [
            route("GET", "/app/v1/segments", self._list_segments, "app", "segments"),
            route("POST", "/app/v1/segments", self._create_segment, "app", "segments"),
            route("GET", one, self._get_segment, "app", "segments"),
            route("DELETE", one, self._delete_segment, "app", "segments"),
            route("GET", f"{one}/customer_count", self._count, "app", "segments"),
            route("GET", f"{one}/membership", self._membership, "app", "segments"),
            route("GET", "/app/v1/customers", self._by_email, "app"),
            route("POST", "/app/v1/customers", self._search, "app"),
            route("POST", "/app/v1/customers/attributes", self._many, "app"),
            route("GET", f"{person}/attributes", self._one, "app"),
            route("GET", f"{person}/segments", self._segments_of, "app"),
            route("GET", "/app/v1/subscription_topics", self._topics, "app"),
        ]

    # Segments

    def _list_segments(self, call: Call) -> Answer:
        del call
        return Answer({"segments": [segment.shown() for segment in self._segments.all()]})

    def _create_segment(self, call: Call) -> Answer:
        new = call.body_as(SegmentBody).segment
        return Answer({"segment": self._segments.create(new.name, new.description).shown()})

    def _get_segment(self, call: Call) -> Answer:
        return Answer({"segment": self._segment(call).shown()})

    def _delete_segment(self, call: Call) -> Answer:
        self._segments.delete(self._segment(call))
        return Answer(None, 204)

    def _count(self, call: Call) -> Answer:
        return Answer({"count": len(self._segments.members(self._segment(call)))})

    def _membership(self, call: Call) -> Answer:
        """Members by page. A full page is always said to have a next one, which may be empty."""
        return self._page(call, self._segments.members(self._segment(call)))

    def _segment(self, call: Call) -> Segment:
        segment = self._segments.get(call.params["segment_id"])
        if segment is None:
            raise app(404, "segment not found")
        return segment

    # People

    def _page(self, call: Call, numbers: list[int]) -> Answer:
        asked = call.query.get("limit", str(PAGE))
        if not asked.isdigit() or not 1 <= int(asked) <= LARGEST_PAGE:
            raise app(400, f"limit must be from 1 to {LARGEST_PAGE}")
        after = _decoded(call.query.get("start", ""))
        limit = call.page_limit(int(asked))
        page = [number for number in numbers if number > after][:limit]
        people = [profile for profile in map(self._register.at, page) if profile is not None]
        return Answer(
            {
                "identifiers": [profile.identifiers() for profile in people],
                "ids": [profile.id or "" for profile in people],
                "next": _encoded(page[-1]) if len(page) == limit else "",
            }
        )

    def _by_email(self, call: Call) -> Answer:
        """Who has an address: an empty list where nobody does."""
        if "email" not in call.query:
            raise app(400, "email is required")
        profile = self._register.find_ready("email", call.query["email"])
        return Answer({"results": [] if profile is None else [profile.identifiers()]})

    def _search(self, call: Call) -> Answer:
        body = call.json()
        if not isinstance(body, dict) or "filter" not in body:
            raise app(400, "filter is required")
        test = compiled(body["filter"], self._segments)
        everybody = (self._register.at(int(number)) for number in self._register.numbers())
        return self._page(call, [profile.number for profile in everybody if profile is not None and test(profile)])

    def _many(self, call: Call) -> Answer:
        """Up to a hundred people; whoever is not there is left out."""
        kind, found = _kind(call), []
        for value in call.body_as(SomePeople).ids:
            profile = self._register.find_ready(kind, value)
            if profile is not None:
                found.append({"customer": _customer(profile)})
        return Answer({"customers": found})

    def _one(self, call: Call) -> Answer:
        return Answer({"customer": _customer(self._person(call))})

    def _segments_of(self, call: Call) -> Answer:
        return Answer({"segments": [segment.shown() for segment in self._segments.of(self._person(call))]})

    def _person(self, call: Call) -> Profile:
        profile = self._register.find_ready(_kind(call), call.params["customer_id"])
        if profile is None:
            raise app(404, "customer not found")
        return profile

    def _topics(self, call: Call) -> Answer:
        del call
        rows = [
            {
                "id": number,
                "identifier": f"topic_{number}",
                "name": name,
                "description": "",
                "subscribed_by_default": True,
            }
            for number, name in TOPICS
        ]
        return Answer({"topics": rows})


def _kind(call: Call) -> str:
    kind = call.query.get("id_type", "id")
    if kind not in ID_TYPES:
        raise app(400, f"id_type must be one of {', '.join(ID_TYPES)}")
    return kind


def _customer(profile: Profile) -> JsonObject:
    """A person with their attributes, which this API gives as text."""
    own: JsonObject = {"cio_id": profile.cio_id, **profile.identifiers(), **profile.attributes}
    return {
        "id": profile.id or "",
        "identifiers": profile.identifiers(),
        "attributes": {name: _text(value) for name, value in own.items() if value is not None},
        "timestamps": {name: profile.stamps.get(name, profile.created) for name in profile.attributes},
        "unsubscribed": profile.standing == "unsubscribed",
        "devices": [],
    }


def _text(value: object) -> object:
    if isinstance(value, (dict, list)):
        return value
    return str(value).lower() if isinstance(value, bool) else str(value)


def _encoded(number: int) -> str:
    return base64.urlsafe_b64encode(f"after {number}".encode()).decode()


def _decoded(cursor: str) -> int:
    if not cursor:
        return -1
    try:
        word, _, number = base64.urlsafe_b64decode(cursor).decode().partition(" ")
        if word == "after":
            return int(number)
    except (binascii.Error, ValueError) as error:
        raise app(400, "start is not a cursor") from error
    raise app(400, "start is not a cursor")
