"""The Mailchimp connector: its streams, and how it signs in.

Documentation: https://mailchimp.com/developer/marketing/api/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from millstream.sources.contract import Page, Source, Stream
from millstream.sources.mailchimp import campaigns, engagement, members
from millstream.sources.mailchimp.engagement import Detail
from millstream.sources.mailchimp.paging import listed
from millstream.sources.mailchimp.settings import MailchimpSettings
from millstream.state.errors import ConfigurationError
from millstream.state.http import BasicAuth, RateLimit
from millstream.state.vendors.mailchimp import CONNECTIONS, what_403_means

if TYPE_CHECKING:
    import pyarrow as pa
    from requests.auth import AuthBase

    from millstream.sources.pull import Pull
    from millstream.state.errors import MillstreamError
    from millstream.state.http import Answer


class Mailchimp(Source[MailchimpSettings]):
    """Mailchimp: one account."""

    name: ClassVar[str] = "mailchimp"
    title: ClassVar[str] = "Mailchimp"
    category: ClassVar[str] = "messaging"
    docs_url: ClassVar[str] = "https://mailchimp.com/developer/marketing/api/"
    api_version: ClassVar[str] = "3.0"
    Settings = MailchimpSettings
    # There is no limit a minute or a day; only so many requests may be in flight.
    rate_limit: ClassVar[RateLimit] = RateLimit(requests=1000, seconds=1.0, concurrency=5, connections=CONNECTIONS)

    def __init__(self, settings: MailchimpSettings) -> None:
        super().__init__(settings.model_copy(update={"base_url": settings.root}))
        self._lists: list[Mapping[str, Any]] | None = None
        self._reports: list[Mapping[str, Any]] | None = None

    def auth(self) -> AuthBase:
        """HTTP Basic with any user name."""
        return BasicAuth("millstream", self.settings.api_key)

    def pace(self) -> RateLimit:
        """As many requests at once as the settings say."""
        return replace(self.rate_limit, concurrency=self.settings.connections)

    def streams(self) -> tuple[Stream, ...]:
        """Lists and campaigns first, then who is on the lists, and what they did."""
        settings = self.settings
        return (
            Stream(
                name="lists",
                description="An audience (list).",
                primary_key=("id",),
                columns=campaigns.LIST_COLUMNS,
                disposition="replace",
                read=self._read_lists,
            ),
            Stream(
                name="campaigns",
                description="A campaign, sent or not.",
                primary_key=("id",),
                columns=campaigns.CAMPAIGN_COLUMNS,
                disposition="replace",
                read=partial(campaigns.read_campaigns, settings=settings),
            ),
            Stream(
                name="reports",
                description="What became of a campaign, in figures.",
                primary_key=("id",),
                columns=campaigns.REPORT_COLUMNS,
                disposition="replace",
                read=self._read_reports,
            ),
            Stream(
                name="links",
                description="A link of a campaign, with its clicks.",
                primary_key=("campaign_id", "id"),
                columns=engagement.LINK_COLUMNS,
                read=partial(self._read_detail, detail=engagement.LINKS),
                resumable=True,
            ),
            Stream(
                name="members",
                description="A member of a list.",
                primary_key=("list_id", "contact_id"),
                columns=members.member_columns(settings),
                read=self._read_members,
                resumable=True,
                people=members.member_people(settings),
            ),
            Stream(
                name="email_activity",
                description="Something a recipient did with a campaign: opened it, clicked in it, or let it bounce.",
                primary_key=("campaign_id", "email_id", "action", "at", "url"),
                columns=engagement.ACTIVITY_COLUMNS,
                read=partial(self._read_detail, detail=engagement.ACTIVITY),
                resumable=True,
                people=engagement.ACTIVITY_PEOPLE,
            ),
            Stream(
                name="deliveries",
                description="A mail of a campaign, and whether it arrived.",
                primary_key=("campaign_id", "email_id"),
                columns=engagement.DELIVERY_COLUMNS,
                read=partial(self._read_detail, detail=engagement.DELIVERIES),
                resumable=True,
                people=engagement.DELIVERY_PEOPLE,
            ),
            Stream(
                name="unsubscribes",
                description="Somebody who left a list by a campaign.",
                primary_key=("campaign_id", "email_id"),
                columns=engagement.UNSUBSCRIBE_COLUMNS,
                read=partial(self._read_detail, detail=engagement.UNSUBSCRIBES),
                resumable=True,
                people=engagement.UNSUBSCRIBE_PEOPLE,
            ),
        )

    def probe(self, pull: Pull) -> None:
        """List one list: the call that is open to every key."""
        listed(pull, "lists", "lists", {"count": 1})

    def classify(self, answer: Answer) -> MillstreamError | None:
        """A 403 without a JSON body is a throttle under load; some 403 mean the key."""
        return what_403_means(answer)

    def _read_lists(self, pull: Pull) -> Iterator[Page]:
        self._lists = None
        yield [campaigns.shape_list(found) for found in self._known_lists(pull)]

    def _read_reports(self, pull: Pull) -> Iterator[Page]:
        self._reports = None
        yield [campaigns.shape_report(found) for found in self._known_reports(pull)]

    def _read_members(self, pull: Pull) -> Iterator[Page | pa.Table]:
        list_ids = [str(found.get("id")) for found in self._known_lists(pull)]
        yield from members.read_members(pull, self.settings, list_ids)

    def _read_detail(self, pull: Pull, detail: Detail) -> Iterator[Page]:
        yield from engagement.read_detail(pull, self.settings, self._known_reports(pull), detail)

    def _known_lists(self, pull: Pull) -> list[Mapping[str, Any]]:
        """The lists to read, fetched once in a pull.

        Raises:
            ConfigurationError: A list that the settings name is not there.
        """
        if self._lists is None:
            self._lists = campaigns.fetch_lists(pull, self.settings)
            found = {str(one.get("id")) for one in self._lists}
            unknown = [list_id for list_id in self.settings.list_ids or () if list_id not in found]
            if unknown:
                raise ConfigurationError(f"The account has no list {unknown[0]!r}.", allowed=sorted(found))
        return self._lists

    def _known_reports(self, pull: Pull) -> list[Mapping[str, Any]]:
        """The reports of campaigns that were sent, fetched once in a pull."""
        if self._reports is None:
            self._reports = campaigns.fetch_reports(pull, self.settings)
        return self._reports
