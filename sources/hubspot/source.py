"""The HubSpot connector: its streams, and how it signs in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from millstream.sources.contract import Row, Source, Stream
from millstream.sources.hubspot import deals, email, lists
from millstream.sources.hubspot.contacts import contact_object, contact_people
from millstream.sources.hubspot.crm import read_object
from millstream.sources.hubspot.errors import classify
from millstream.sources.hubspot.settings import HubSpotSettings
from millstream.state.http import Pacer, RateLimit

if TYPE_CHECKING:
    from requests.auth import AuthBase

    from millstream.sources.pull import Pull
    from millstream.state.errors import MillstreamError
    from millstream.state.http import Answer

TOKEN_PATH = "oauth/v1/token"  # noqa: S105 - a path
_NOBODY = "nobody@box.example"


class HubSpot(Source[HubSpotSettings]):
    """HubSpot's CRM, lists, e-mail events and e-mail subscriptions."""

    name: ClassVar[str] = "hubspot"
    title: ClassVar[str] = "HubSpot"
    category: ClassVar[str] = "crm"
    docs_url: ClassVar[str] = "https://developers.hubspot.com/docs/api-reference/overview"
    api_version: ClassVar[str] = "v3"
    Settings = HubSpotSettings
    rate_limit: ClassVar[RateLimit] = RateLimit(
        requests=90,
        seconds=10.0,  # HubSpot counts over ten seconds, so a short pull may go quicker than its average
        remaining="X-HubSpot-RateLimit-Remaining",
        daily_remaining="X-HubSpot-RateLimit-Daily-Remaining",
    )

    def __init__(self, settings: HubSpotSettings) -> None:
        super().__init__(settings)
        self._searches = Pacer(RateLimit(requests=settings.searches_per_second, seconds=1.0))
        self._contact = contact_object(settings)
        self._addresses: dict[str, None] = {}
        self._lists: list[Row] | None = None

    def auth(self) -> AuthBase:
        """A fixed token, or one that is fetched with the OAuth app's refresh token."""
        return self.settings.credential(f"{self.settings.base_url.rstrip('/')}/{TOKEN_PATH}")

    def streams(self) -> tuple[Stream, ...]:
        """Contacts first; subscriptions after the contacts and e-mail events whose addresses they are asked for."""
        return (
            self._contacts(),
            self._companies(),
            self._deals(),
            *self._list_streams(),
            self._email_events(),
            self._subscription_statuses(),
            self._owners(),
        )

    def pace(self) -> RateLimit:
        """The pace that the settings give; plans differ in how many requests they allow."""
        requests = round(self.settings.requests_per_second * self.rate_limit.seconds)
        return replace(self.rate_limit, requests=requests, concurrency=self.settings.requests_at_once)

    def probe(self, pull: Pull) -> None:
        """Read one contact."""
        pull.get("crm/v3/objects/contacts", {"limit": 1})

    def probe_stream(self, pull: Pull) -> None:
        """Read the stream's first page; for subscriptions, those of an address nobody has."""
        pages = (
            email.read_statuses(pull, [_NOBODY])
            if pull.stream.name == "subscription_statuses"
            else (pull.stream.read(pull) if pull.stream.read else pull.pages())
        )
        for _ in pages:
            return

    def classify(self, answer: Answer) -> MillstreamError | None:
        """Tell the daily limit from the short one, and name missing scopes."""
        return classify(answer)

    def _contacts(self) -> Stream:
        return Stream(
            name="contacts",
            description="A contact.",
            primary_key=("id",),
            columns=self._contact.columns,
            cursor=self._contact.cursor,
            read=self._read_contacts,
            shape_columns=self._contact.shape_columns,
            people=contact_people(self.settings),
            scope="crm.objects.contacts.read",
        )

    def _read_contacts(self, pull: Pull) -> Iterator[list[Row]]:
        """Contacts, keeping their addresses for the stream that follows, where it is wanted."""
        wanted = self.settings.streams
        keeps_addresses = wanted is None or "subscription_statuses" in wanted
        for page in read_object(pull, self._contact, self._searches, at_once=self.settings.requests_at_once):
            if keeps_addresses:
                found = ((c.get("properties") or {}).get("email") for c in page if not c.get("archived"))
                self._addresses.update((address, None) for address in found if address)
            yield page

    def _subscription_statuses(self) -> Stream:
        return Stream(
            name="subscription_statuses",
            description="What kinds of e-mail an address agreed to get.",
            primary_key=("email",),
            columns=email.status_columns(self.settings),
            read=lambda pull: email.read_statuses(pull, list(self._addresses)),
            shape=partial(email.shape_status, settings=self.settings),
            people=email.status_people(self.settings),
            scope="communication_preferences.statuses.batch.read",
            follows="contacts",
        )

    def _companies(self) -> Stream:
        at_once = self.settings.requests_at_once
        return Stream(
            name="companies",
            description="A company.",
            primary_key=("id",),
            columns=deals.COMPANY.columns,
            cursor=deals.COMPANY.cursor,
            read=partial(read_object, crm=deals.COMPANY, searches=self._searches, at_once=at_once),
            shape_columns=deals.COMPANY.shape_columns,
            scope="crm.objects.companies.read",
        )

    def _deals(self) -> Stream:
        return Stream(
            name="deals",
            description="A deal, with the contacts and companies it belongs to.",
            primary_key=("id",),
            columns=deals.DEAL_COLUMNS,
            cursor=deals.DEAL.cursor,
            read=partial(deals.read_deals, searches=self._searches),
            shape=partial(deals.shape_deal, settings=self.settings),
            people=deals.DEAL_PEOPLE,
            scope="crm.objects.deals.read",
        )

    def _list_streams(self) -> tuple[Stream, Stream]:
        return (
            Stream(
                name="lists",
                description="A list.",
                primary_key=("id",),
                columns=lists.LIST_COLUMNS,
                disposition="replace",
                read=self._read_lists,
                shape=lists.shape_list,
                scope="crm.lists.read",
            ),
            Stream(
                name="list_memberships",
                description="A contact on a list.",
                primary_key=("list_id", "contact_id"),
                columns=lists.MEMBERSHIP_COLUMNS,
                disposition="replace",
                read=self._read_memberships,
                shape=lists.shape_membership,
                scope="crm.lists.read",
            ),
        )

    def _read_lists(self, pull: Pull) -> Iterator[list[Row]]:
        """Lists, kept for the stream of their members."""
        found: list[Row] = []
        for page in lists.read_lists(pull):
            found.extend(page)
            yield page
        self._lists = found

    def _read_memberships(self, pull: Pull) -> Iterator[list[Row]]:
        known = self._lists
        if known is None:
            known = [one for page in lists.read_lists(pull) for one in page]
        yield from lists.read_memberships(pull, self.settings, known)

    def _email_events(self) -> Stream:
        return Stream(
            name="email_events",
            description="Something that happened to one message to one recipient.",
            primary_key=("id", "created_at"),
            columns=email.EVENT_COLUMNS,
            cursor=email.email_events_cursor(self.settings),
            read=self._read_email_events,
            shape=email.shape_email_event,
            people=email.EVENT_PEOPLE,
            scope="content",
        )

    def _read_email_events(self, pull: Pull) -> Iterator[list[Row]]:
        """E-mail events, keeping the addresses whose subscriptions may have changed."""
        for page in email.read_email_events(pull, self.settings):
            found = (e.get("recipient") for e in page if e.get("type") in email.CONSENT_EVENTS)
            self._addresses.update((address, None) for address in found if address)
            yield page

    def _owners(self) -> Stream:
        return Stream(
            name="owners",
            description="A member of staff who looks after records.",
            primary_key=("id",),
            columns=lists.OWNER_COLUMNS,
            disposition="replace",
            endpoint=lists.OWNERS,
            shape=lists.shape_owner,
            scope="crm.objects.owners.read",
        )
