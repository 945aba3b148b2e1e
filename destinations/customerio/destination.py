"""The destination: how Customer.io's two APIs are used.

The Track API takes what is well formed and works it off some time later: its answers tell malformed rows, and nothing
of whom it does not know. So memberships come a while after the people (``seconds_before_membership``), and are
acknowledged as taken, not as done; who is missing all the same is found by reading the segment back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import ClassVar

from requests.auth import AuthBase

from millstream.destinations.contract import (
    DeliveryRow,
    Destination,
    DestinationField,
    Member,
    Outcome,
    accepted,
    accepted_async,
    rejected,
)
from millstream.destinations.customerio.answers import problem_of
from millstream.destinations.customerio.people import LOOK_UP_SIZE, People, identifier_of
from millstream.destinations.customerio.segments import Segments, member_of
from millstream.destinations.customerio.settings import CustomerIoSettings
from millstream.destinations.http import Http
from millstream.destinations.modes import Leaving, Operation, SyncMode
from millstream.destinations.rows import in_order, last_of_each
from millstream.state.errors import ConfigurationError, MillstreamError
from millstream.state.http import Answer, BasicAuth, BearerAuth, RateLimit

_OURS_TO_SET = frozenset({"_update", "anonymous_id", "cio_id", "cio_relationships"})


class CustomerIo(Destination[CustomerIoSettings]):
    """People of a Customer.io workspace, and its manual segments."""

    name = "customerio"
    title = "Customer.io"
    docs_url = "https://docs.customer.io/integrations/api/customerio-apis/"
    api_version = "v2"
    Settings = CustomerIoSettings
    # No header tells what is left. The App API has 10 requests a second of its own.
    rate_limit = RateLimit(requests=90, seconds=1.0, concurrency=8)
    app_limit: ClassVar[RateLimit] = RateLimit(requests=9, seconds=1.0, concurrency=4)
    match_keys = ("id", "email")
    modes = frozenset(SyncMode) - {SyncMode.REPLACE}
    fields = (
        DestinationField(name="id", description="Your id of the person; can be set once."),
        DestinationField(name="email", description="E-mail address; can be set once where people have an id."),
        DestinationField(name="phone", description="Phone number, as +14155552671."),
        DestinationField(name="created_at", type="timestamp", description="When the person became a customer."),
        DestinationField(name="timezone", description="Time zone, as Europe/Berlin."),
        DestinationField(name="first_name", description="First name."),
        DestinationField(name="last_name", description="Last name."),
    )
    custom_fields = True
    custom_field_type = None
    consent_fields = ("unsubscribed", "cio_subscription_preferences*")
    batch_size = 2_000
    membership_batch_size = 1_000
    # The vendor's limits are 500 KB and 32 KB.
    largest_request = 480_000
    largest_row = 31_000
    idempotent = frozenset(Operation)
    # Not deletion: unsubscribing is an attribute, so whoever is deleted and comes back would be subscribed again.
    leavings = frozenset({Leaving.LEAVE_AUDIENCE, Leaving.CLEAR_FIELDS})
    one_by_one = frozenset()

    def __init__(self, settings: CustomerIoSettings) -> None:
        super().__init__(settings.model_copy(update={"base_url": settings.track_root}))
        self.enrolment_delay = settings.seconds_before_membership

    def auth(self) -> AuthBase:
        """Site id and key of the Track API."""
        return BasicAuth(self.settings.site_id, self.settings.track_api_key)

    def pace(self) -> RateLimit:
        """The Track API's pace as the settings give it."""
        return replace(self.rate_limit, requests=self.settings.requests_per_second)

    @property
    def app(self) -> Http:
        """HTTP for the App API."""
        return self.open_http(
            "app",
            base_url=self.settings.app_root,
            auth=BearerAuth(self.settings.app_api_key),
            limit=self.app_limit,
            classify=self.classify,
        )

    def probe(self) -> None:
        """Ask the Track API for the account's region, and the App API for its segments.

        Raises:
            ConfigurationError: The account is in another region.
        """
        region = (self.http.get("/api/v1/accounts/region") or {}).get("region")
        if region in {"us", "eu"} and region != self.settings.region:
            raise ConfigurationError(
                f"The Customer.io account is in region {region!r}, and the connection says {self.settings.region!r}.",
                where="customerio",
                remedy=f"set region: {region}",
            )
        self._segments.probe()

    def missing_fields(self, names: Sequence[str]) -> list[str]:
        """None: attributes appear on first use.

        Raises:
            ConfigurationError: One is no attribute, but tells Customer.io what to do.
        """
        if taken := sorted(_OURS_TO_SET.intersection(names)):
            raise ConfigurationError(
                f"{taken[0]!r} is reserved by Customer.io, and not a field that a sync fills.",
                where="customerio",
                remedy="map another field.",
            )
        return []

    def ensure_audience(self, audience: str) -> str:
        """The id of the manual segment."""
        return self._segments.ensure(audience)

    def upsert(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Create or change people, as many in a request as its bytes allow."""
        return in_order(rows, self._people.identify(last_of_each(rows), match_key, creates=True))

    def update(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Change people who are there.

        They are looked up first, since Customer.io takes changes of strangers without a word; and it is told to
        create nobody, since someone may be deleted between both.
        """
        latest = last_of_each(rows)
        there = self._people.there(latest, match_key)
        stranger = rejected("not_found", "Customer.io does not have the person, and this mode creates nobody.")
        outcomes = {row.key: stranger for row in latest}
        known = [row for row in latest if row.key in there]
        return in_order(rows, outcomes | self._people.identify(known, match_key, creates=False))

    def add_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Put people into a manual segment; Customer.io says nothing of those whom it does not know."""
        self._change(audience_id, "add_customers", rows, match_key)
        return [accepted_async() for _ in rows]

    def remove_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Take people out of a manual segment."""
        self._change(audience_id, "remove_customers", rows, match_key)
        return [accepted() for _ in rows]

    def requests_for(
        self, operation: Operation, rows: int, *, in_audience: bool, leaving: Leaving = Leaving.LEAVE_AUDIENCE
    ) -> int:
        """As every destination; whose fields are cleared is looked up first."""
        requests = super().requests_for(operation, rows, in_audience=in_audience, leaving=leaving)
        looks = -(-rows // LOOK_UP_SIZE) if operation is Operation.REMOVE and leaving is Leaving.CLEAR_FIELDS else 0
        return requests + looks

    def read_back(self, audience_id: str) -> Iterator[str]:
        """Ids of a segment's members, or the address of someone without an id."""
        for member in self.read_members(audience_id):
            yield from member.match_values[:1]

    def read_members(self, audience_id: str) -> Iterator[Member]:
        """A segment's members by their id, their address and Customer.io's own id."""
        return map(member_of, self._segments.members(audience_id))

    def erase(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Delete people with their history; where the settings say so, Customer.io ignores them from then on."""
        return in_order(rows, self._people.act(self.settings.erase_by, last_of_each(rows), match_key))

    def classify(self, answer: Answer) -> MillstreamError | None:
        """Keys and regions, segments that are in use, and the words of a refusal."""
        return problem_of(answer)

    def _change(self, audience_id: str, action: str, rows: Sequence[DeliveryRow], match_key: str) -> None:
        identifiers = list(dict.fromkeys(identifier_of(row, match_key) for row in rows))
        if identifiers:
            self._segments.change(audience_id, action, identifiers, match_key)

    @cached_property
    def _people(self) -> People:
        return People(self.http, self.app)

    @cached_property
    def _segments(self) -> Segments:
        return Segments(self.http, self.app)
