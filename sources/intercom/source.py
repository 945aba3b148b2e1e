"""The Intercom connector: its streams, and how it signs in."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from millstream.sources.contract import Source, Stream
from millstream.sources.intercom import companies, contacts, conversations, events, parts, tags
from millstream.sources.intercom.errors import classify
from millstream.sources.intercom.search import CONTACTS, CONVERSATIONS, count
from millstream.sources.intercom.settings import IntercomSettings
from millstream.state.http import RateLimit
from millstream.state.vendors.intercom import RATE_LIMIT, VersionedAuth

if TYPE_CHECKING:
    from requests.auth import AuthBase

    from millstream.sources.pull import Pull
    from millstream.state.errors import MillstreamError
    from millstream.state.http import Answer

_PEOPLE = "read and list users and companies"
_CONVERSATIONS = "read conversations"
_TAGS = "read tags"
_EVENTS = "read events"


class Intercom(Source[IntercomSettings]):
    """Intercom: one workspace."""

    name: ClassVar[str] = "intercom"
    title: ClassVar[str] = "Intercom"
    category: ClassVar[str] = "support"
    docs_url: ClassVar[str] = "https://developers.intercom.com/docs/references/rest-api/api.intercom.io"
    api_version: ClassVar[str] = "2.16"
    Settings = IntercomSettings
    rate_limit: ClassVar[RateLimit] = RATE_LIMIT

    def __init__(self, settings: IntercomSettings) -> None:
        super().__init__(settings)
        self._tags = tags.Tags()

    def auth(self) -> AuthBase:
        """The app's token; it does not expire."""
        return VersionedAuth(self.settings.access_token, self.settings.version)

    def pace(self) -> RateLimit:
        """The share of the workspace's requests that the settings give us."""
        settings = self.settings
        return replace(
            self.rate_limit, requests=settings.requests_per_minute // 6, concurrency=settings.requests_at_once
        )

    def streams(self) -> tuple[Stream, ...]:
        """Contacts and their companies, what they said and did, and the catalogue of tags."""
        settings = self.settings
        return (
            Stream(
                name="contacts",
                description="A contact: a user or a lead.",
                primary_key=("id",),
                columns=contacts.contact_columns(settings),
                read=partial(contacts.read_contacts, settings=settings, tags=self._tags),
                resumable=True,
                people=contacts.contact_people(settings),
                scope=_PEOPLE,
            ),
            Stream(
                name="companies",
                description="A company that contacts belong to.",
                primary_key=("id",),
                columns=companies.COLUMNS,
                cursor=companies.CURSOR,
                read=companies.read_companies,
                scope=_PEOPLE,
            ),
            self._conversations(),
            self._conversation_parts(),
            Stream(
                name="data_events",
                description="Something that a contact did, as the company's own systems told Intercom.",
                primary_key=("id",),
                columns=events.COLUMNS,
                read=partial(events.read_events, settings=settings),
                resumable=True,
                people=events.PEOPLE,
                scope=_EVENTS,
            ),
            Stream(
                name="tags",
                description="A tag of the workspace.",
                primary_key=("id",),
                columns=tags.COLUMNS,
                disposition="replace",
                endpoint=tags.ENDPOINT,
                shape=tags.shape_tag,
                scope=_TAGS,
            ),
        )

    def probe(self, pull: Pull) -> None:
        """See whose the token is."""
        pull.get("me")

    def probe_stream(self, pull: Pull) -> None:
        """Ask for one row of what the stream needs."""
        stream = pull.stream.name
        if stream == "tags":
            pull.get(tags.ENDPOINT.path)
        elif stream in ("conversations", "conversation_parts"):
            count(pull, CONVERSATIONS)
        elif stream == "data_events":
            events.look(pull)
        else:
            # A scroll would keep the next one out for a minute, and needs the same permission.
            count(pull, CONTACTS)

    def classify(self, answer: Answer) -> MillstreamError | None:
        """Name what a refusal means, and read when the window of the rate limit renews."""
        return classify(answer)

    def _conversations(self) -> Stream:
        return Stream(
            name="conversations",
            description="A conversation with the team.",
            primary_key=("id",),
            columns=conversations.COLUMNS,
            read=partial(conversations.read_conversations, settings=self.settings),
            resumable=True,
            people=conversations.PEOPLE,
            scope=_CONVERSATIONS,
        )

    def _conversation_parts(self) -> Stream:
        return Stream(
            name="conversation_parts",
            description="A message, note, assignment or closing in a conversation.",
            primary_key=("id",),
            columns=parts.COLUMNS,
            read=partial(parts.read_parts, settings=self.settings),
            resumable=True,
            people=parts.PEOPLE,
            scope=_CONVERSATIONS,
        )
