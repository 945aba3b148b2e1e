"""The destination: how Segment's Tracking API is used, and the Public API for erasure.

Segment answers nearly everything alike, and says nothing about single messages: what is too large or lacks an id is
never sent, and all else counts as accepted to be worked off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import ClassVar

import orjson
from pydantic import SecretStr
from requests.auth import AuthBase

from millstream.destinations.contract import (
    DeliveryRow,
    Destination,
    DestinationField,
    Outcome,
    accepted_async,
    rejected,
)
from millstream.destinations.http import Http
from millstream.destinations.modes import Leaving, Operation, SyncMode
from millstream.destinations.rows import in_order, last_of_each
from millstream.destinations.segment.messages import MATCH_KEYS, Message, Messages, trait_of
from millstream.destinations.segment.settings import SegmentSettings
from millstream.state.errors import ConfigurationError
from millstream.state.http import BasicAuth, BearerAuth, RateLimit

_ANY_AUDIENCE = "x" * 60
_About = Callable[[DeliveryRow], Iterator[Message]]


class Segment(Destination[SegmentSettings]):
    """Users of a Segment workspace, through one of its HTTP sources."""

    name = "segment"
    title = "Segment"
    docs_url = "https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/"
    api_version = "v1"
    Settings = SegmentSettings
    rate_limit = RateLimit(requests=1000, seconds=1.0, concurrency=8)
    match_keys = MATCH_KEYS
    modes = frozenset({SyncMode.MIRROR, SyncMode.UPSERT, SyncMode.ADD, SyncMode.REMOVE})
    fields = (
        DestinationField(name="email", description="E-mail address."),
        DestinationField(name="phone", description="Phone number."),
        DestinationField(name="firstName", description="First name."),
        DestinationField(name="lastName", description="Last name."),
        DestinationField(name="name", description="Full name."),
        DestinationField(name="birthday", type="date", description="Birthday."),
        DestinationField(name="gender", description="Gender."),
        DestinationField(name="title", description="Job title."),
        DestinationField(name="createdAt", type="timestamp", description="When the account was made."),
    )
    custom_fields = True
    custom_field_type = None
    # Segment knows no consent; the destinations behind it take these traits for it.
    consent_fields = (
        "unsubscribed",
        "email_subscribe",
        "push_subscribe",
        "subscription_groups",
        "MSG-*",
        "cio_subscription_preferences*",
        "$consent*",
    )
    # Segment takes 2,500 messages; somebody who comes or leaves is two.
    batch_size = 1250
    membership_batch_size = 1250
    idempotent = frozenset(Operation)
    leavings = frozenset({Leaving.LEAVE_AUDIENCE, Leaving.DELETE})
    leaving_warnings: ClassVar[Mapping[Leaving, str]] = {
        Leaving.DELETE: "Segment deletes what it has of the person, and drops what comes later unless the connection's "
        "erasure says otherwise.",
    }
    one_by_one = frozenset()
    largest_request = 490_000
    largest_row = 32_000

    def __init__(self, settings: SegmentSettings) -> None:
        super().__init__(settings.model_copy(update={"base_url": settings.tracking_root}))
        self._weighed = _ANY_AUDIENCE

    def auth(self) -> AuthBase:
        """The write key as the user of HTTP Basic."""
        return BasicAuth(self.settings.write_key.get_secret_value(), SecretStr(""))

    def probe(self) -> None:
        """Send an empty batch, and where erasure is set up, look whether its token is good."""
        self._send(())
        if self.settings.public_token:
            self._public.get("/regulations", {"pagination.count": 1})

    def audience_field(self, audience: str) -> str:
        """The trait that says who is in it."""
        return trait_of(audience)

    def ensure_audience(self, audience: str) -> str:
        """The audience's name: nothing has to be made."""
        self._weighed = max(self._weighed, audience, key=lambda name: len(name.encode()))
        return audience

    def upsert(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Tell people's traits."""
        messages = self._messages(match_key)
        return self._say(rows, lambda row: iter((messages.identify(row),)))

    def upsert_into(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Tell people's traits, the audience's among them, and that they entered it."""
        messages = self._messages(match_key)
        return self._say(rows, lambda row: messages.membership(row, audience_id, member=True))

    def add_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """The same, for rows without fields."""
        return self.upsert_into(audience_id, rows, match_key=match_key)

    def remove_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Tell that people left: the audience's trait is false from now on."""
        messages = self._messages(match_key)
        return self._say(rows, lambda row: messages.membership(row, audience_id, member=False))

    def erase(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Have users deleted, here and at the destinations of the workspace that can; it takes days."""
        if match_key != "user_id":
            raise ConfigurationError(
                "Segment erases by user id alone.", where=self.name, remedy="match the sync by user_id."
            )
        source = self.settings.source_id
        subjects = [row.match_value.strip() for row in last_of_each(rows)]
        body = {"regulationType": self.settings.erasure, "subjectType": "USER_ID", "subjectIds": subjects}
        self._public.post(f"/regulations/sources/{source}" if source else "/regulations", body)
        return [accepted_async() for _ in rows]

    def row_bytes(self, row: DeliveryRow) -> int:
        """The bytes of all that is said of somebody who comes; the audience's name is in it several times."""
        return _bytes(self._messages(MATCH_KEYS[0]).membership(row, self._weighed, member=True))

    def _say(self, rows: Sequence[DeliveryRow], about: _About) -> list[Outcome]:
        latest = last_of_each(rows)
        nameless = {row.key: rejected("no_id", "The row has no id.") for row in latest if not row.key}
        said = [row for row in latest if row.key not in nameless]
        self._send(message for row in said for message in about(row))
        return in_order(rows, nameless | {row.key: accepted_async() for row in said})

    def _send(self, messages: Iterable[Message]) -> None:
        self.http.post("/batch", {"batch": list(messages)})

    def _messages(self, match_key: str) -> Messages:
        return Messages(match_key=match_key, plan=self.plan)

    @property
    def _public(self) -> Http:
        token = self.settings.public_token
        if token is None:
            raise ConfigurationError(
                "Erasing at Segment needs a token of its Public API.",
                where=self.name,
                remedy="set public_token of the connection.",
            )
        limit = RateLimit(requests=60, seconds=60.0, concurrency=1)
        return self.open_http("public", base_url=self.settings.public_root, auth=BearerAuth(token), limit=limit)


def _bytes(messages: Iterator[Message]) -> int:
    return sum(len(orjson.dumps(message)) + 1 for message in messages)
