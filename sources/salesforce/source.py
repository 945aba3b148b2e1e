"""The Salesforce connector: its streams, and how they are read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from millstream.sources.contract import Page, Source, Stream
from millstream.sources.salesforce import activity, people
from millstream.sources.salesforce.objects import SObject, with_more
from millstream.sources.salesforce.org import Org
from millstream.sources.salesforce.other_objects import object_stream, stream_name
from millstream.sources.salesforce.primary_contacts import PrimaryContacts, read_opportunities
from millstream.sources.salesforce.reading import query_for, read_records
from millstream.sources.salesforce.settings import SalesforceSettings
from millstream.sources.salesforce.sweep import vanished
from millstream.state.errors import ConfigurationError
from millstream.state.http import RateLimit

if TYPE_CHECKING:
    from requests.auth import AuthBase

    from millstream.sources.pull import Pull
    from millstream.sources.salesforce.query import Query
    from millstream.state.errors import MillstreamError
    from millstream.state.http import Answer

_SCOPE = "api"


class Salesforce(Source[SalesforceSettings]):
    """Salesforce: one organization."""

    name: ClassVar[str] = "salesforce"
    title: ClassVar[str] = "Salesforce"
    category: ClassVar[str] = "crm"
    docs_url: ClassVar[str] = "https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/"
    api_version: ClassVar[str] = "v66.0"
    Settings = SalesforceSettings
    rate_limit: ClassVar[RateLimit] = RateLimit(requests=20, seconds=1.0)

    def __init__(self, settings: SalesforceSettings) -> None:
        super().__init__(settings)
        self._contacts = PrimaryContacts()
        self._known = {one.stream: one for one in self._objects()}
        self._org = Org(settings, self._known.values())

    def auth(self) -> AuthBase:
        """Client credentials, a signed assertion, a refresh token, or a session."""
        return self.settings.credential()

    def pace(self) -> RateLimit:
        """The pace of the settings; the daily limit is kept by what Salesforce says of it."""
        return replace(self.rate_limit, requests=self.settings.requests_per_second)

    def streams(self) -> tuple[Stream, ...]:
        """The connector's own objects, then those of the settings.

        Raises:
            ConfigurationError: Two objects want the same name.
        """
        others = [
            object_stream(api_name, said, self._org, scope=_SCOPE) for api_name, said in self.settings.objects.items()
        ]
        names = [*self._known, *(one.name for one in others)]
        again = next((name for name in names if names.count(name) > 1), None)
        if again:
            raise ConfigurationError(
                f"Two objects would be the stream {again!r}.",
                where=f"source {self.name}",
                remedy="give the object of the settings another name with `stream`.",
            )
        return (*(self._stream(known) for known in self._known.values()), *others)

    def probe(self, pull: Pull) -> None:
        """List the limits: a request that any user of the API may make."""
        pull.get(f"{self._org.root}/limits")

    def probe_stream(self, pull: Pull) -> None:
        """Describe the object: it is hidden from who may not read it."""
        self._org.describe(pull, self._api_name(pull.stream.name))

    def classify(self, answer: Answer) -> MillstreamError | None:
        """Name what a refusal means, and note how much of the day's requests is used."""
        return self._org.classify(answer)

    def _objects(self) -> Iterator[SObject]:
        settings = self.settings
        for known in (
            activity.ACCOUNTS,
            people.contacts(settings),
            people.leads(settings),
            activity.CAMPAIGNS,
            activity.CAMPAIGN_MEMBERS,
            activity.CONTACT_ROLES,
            activity.opportunities(),
            activity.TASKS,
        ):
            yield with_more(known, settings.more(known.api_name))

    def _api_name(self, stream: str) -> str:
        if stream in self._known:
            return self._known[stream].api_name
        return next(name for name, said in self.settings.objects.items() if stream_name(name, said) == stream)

    def _stream(self, known: SObject) -> Stream:
        read = partial(self._read, known=known)
        if known.api_name == "Opportunity":
            read = partial(read_opportunities, org=self._org, known=known, contacts=self._contacts)
        return Stream(
            name=known.stream,
            description=known.description,
            primary_key=("id",),
            columns=known.columns(),
            read=read,
            resumable=True,
            people=known.people,
            scope=_SCOPE,
        )

    def _read(self, pull: Pull, known: SObject) -> Iterator[Page]:
        query = query_for(pull, self._org, known)
        pages = self._pages(pull, known, query)
        yield from self._contacts.following(pull, pages) if known.api_name == "OpportunityContactRole" else pages

    def _pages(self, pull: Pull, known: SObject, query: Query) -> Iterator[Page]:
        asked = frozenset(query.fields)
        for page in read_records(pull, self._org, query):
            yield [known.row(record, asked) for record in page]
        for table in vanished(pull, self._org, query.described, mark="deleted"):
            yield [known.gone(row, pull.pulled_at) for row in table.to_pylist()]
