"""The Zendesk connector: its streams, and how it signs in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from millstream.sources.contract import Page, Source, Stream
from millstream.sources.zendesk import events, organizations, ratings, tickets, users
from millstream.sources.zendesk.errors import RATINGS_PATH, classify
from millstream.sources.zendesk.exports import Export, Exports
from millstream.sources.zendesk.requesters import Requesters
from millstream.sources.zendesk.settings import TOKEN_PATH, ZendeskSettings
from millstream.state.errors import AuthenticationError
from millstream.state.http import RateLimit

if TYPE_CHECKING:
    from requests.auth import AuthBase

    from millstream.sources.pull import Pull
    from millstream.state.errors import MillstreamError
    from millstream.state.http import Answer

_SCOPE = "read"


class Zendesk(Source[ZendeskSettings]):
    """Zendesk Support: one account."""

    name: ClassVar[str] = "zendesk"
    title: ClassVar[str] = "Zendesk"
    category: ClassVar[str] = "support"
    docs_url: ClassVar[str] = "https://developer.zendesk.com/api-reference/ticketing/introduction/"
    api_version: ClassVar[str] = "v2"
    Settings = ZendeskSettings
    rate_limit: ClassVar[RateLimit] = RateLimit(
        requests=200,
        seconds=60.0,
        remaining="X-Rate-Limit-Remaining",
        reset="ratelimit-reset",
        slack=1.0,
    )

    def __init__(self, settings: ZendeskSettings) -> None:
        super().__init__(settings)
        self._exports = Exports(settings)
        self._requesters = Requesters()

    def auth(self) -> AuthBase:
        """An API token, an access token, or one that is fetched with the OAuth client."""
        return self.settings.credential(f"{self.settings.base_url.rstrip('/')}/{TOKEN_PATH}")

    def pace(self) -> RateLimit:
        """The limit of the account's plan."""
        return replace(self.rate_limit, requests=self.settings.requests_per_minute)

    def streams(self) -> tuple[Stream, ...]:
        """Users and tickets first; then what happened to the tickets, which only these tell of whom it is."""
        settings = self.settings
        return (
            Stream(
                name="users",
                description="A user: an end user, an agent or an admin.",
                primary_key=("id",),
                columns=users.user_columns(settings),
                read=partial(users.read_users, exports=self._exports, settings=settings),
                resumable=True,
                people=users.user_people(settings),
                scope=_SCOPE,
            ),
            Stream(
                name="organizations",
                description="An organization.",
                primary_key=("id",),
                columns=organizations.COLUMNS,
                read=partial(organizations.read_organizations, exports=self._exports),
                resumable=True,
                scope=_SCOPE,
            ),
            self._tickets(),
            self._ticket_events(),
            Stream(
                name="satisfaction_ratings",
                description="A classic satisfaction rating, offered or given.",
                primary_key=("id",),
                columns=ratings.COLUMNS,
                cursor=ratings.ratings_cursor(settings),
                read=self._read_ratings,
                resumable=True,
                people=ratings.PEOPLE,
                scope=_SCOPE,
            ),
        )

    def probe(self, pull: Pull) -> None:
        """See who the credential is.

        Raises:
            AuthenticationError: It is nobody: Zendesk answers an anonymous user to an empty credential.
        """
        body = pull.get("api/v2/users/me.json")
        user = body.get("user") if isinstance(body, dict) else None
        if not isinstance(user, dict) or user.get("id") is None:
            raise AuthenticationError(
                "Zendesk takes the credential for nobody's.",
                remedy="check the connection: an API token goes with the address of its user.",
            )

    def probe_stream(self, pull: Pull) -> None:
        """Read a row of the last minutes: exports are for admins only."""
        if pull.stream.name == "satisfaction_ratings":
            pull.get(RATINGS_PATH, {"page[size]": 1})
            return
        exports: dict[str, Export] = {
            "users": users.user_export(self.settings),
            "organizations": organizations.EXPORT,
            "tickets": tickets.EXPORT,
            "ticket_events": events.EXPORT,
        }
        self._exports.look(pull, exports[pull.stream.name])

    def classify(self, answer: Answer) -> MillstreamError | None:
        """Name what a refusal means: no admin, no token access, no classic ratings."""
        return classify(answer)

    def _tickets(self) -> Stream:
        return Stream(
            name="tickets",
            description="A ticket.",
            primary_key=("id",),
            columns=tickets.COLUMNS,
            read=partial(
                tickets.read_tickets, exports=self._exports, settings=self.settings, requesters=self._requesters
            ),
            resumable=True,
            people=tickets.PEOPLE,
            scope=_SCOPE,
        )

    def _ticket_events(self) -> Stream:
        return Stream(
            name="ticket_events",
            description="A change of a ticket, or a comment on it.",
            primary_key=("id",),
            columns=events.COLUMNS,
            read=partial(
                events.read_events, exports=self._exports, settings=self.settings, requesters=self._requesters
            ),
            resumable=True,
            people=events.PEOPLE,
            scope=_SCOPE,
        )

    def _read_ratings(self, pull: Pull) -> Iterator[Page]:
        return ratings.read_ratings(pull, self.settings)
