"""The destination: how Intercom's endpoints are used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import ClassVar

from requests.auth import AuthBase

from millstream.destinations.contract import DeliveryRow, Destination, FieldType, Member, Outcome
from millstream.destinations.intercom.answers import problem_of
from millstream.destinations.intercom.attributes import STANDARD, Attributes
from millstream.destinations.intercom.directory import Directory, Found
from millstream.destinations.intercom.people import People
from millstream.destinations.intercom.settings import IntercomSettings
from millstream.destinations.modes import Leaving, Operation, SyncMode
from millstream.destinations.rows import in_order, last_of_each, send_each
from millstream.state.errors import ConfigurationError, MillstreamError, RefusedError
from millstream.state.http import Answer, RateLimit
from millstream.state.vendors.intercom import MOST_FILTERS, RATE_LIMIT, VersionedAuth

_BATCH = 10 * MOST_FILTERS


class Intercom(Destination[IntercomSettings]):
    """Contacts of an Intercom workspace, and their tags."""

    name = "intercom"
    title = "Intercom"
    docs_url = "https://developers.intercom.com/docs/references/rest-api/api.intercom.io"
    api_version = "2.15"
    Settings = IntercomSettings
    rate_limit = RATE_LIMIT
    match_keys = ("external_id", "email")
    modes = frozenset(SyncMode) - {SyncMode.REPLACE}
    fields = STANDARD
    custom_fields = True
    custom_field_type = None
    consent_fields = (
        "unsubscribed_from_*",
        "has_hard_bounced",
        "marked_email_as_spam",
        "sms_consent",
        "subscription_types",
    )
    batch_size = _BATCH
    membership_batch_size = _BATCH
    idempotent = frozenset(Operation)
    # Not deletion: Intercom forgets with the contact that it unsubscribed, so whoever came back could get mail again.
    leavings = frozenset({Leaving.LEAVE_AUDIENCE, Leaving.CLEAR_FIELDS, Leaving.ARCHIVE})
    leaving_warnings: ClassVar[Mapping[Leaving, str]] = {
        Leaving.ARCHIVE: "Archived contacts leave Intercom's inbox and lists with their conversations, and stay "
        "archived when they are sent again, unless the connection says bring_back_archived.",
    }
    one_by_one: ClassVar[frozenset[Operation | Leaving]] = frozenset({*Operation, *Leaving})

    def auth(self) -> AuthBase:
        """The app's token; it does not expire."""
        return VersionedAuth(self.settings.access_token, self.settings.version)

    def pace(self) -> RateLimit:
        """The share of the workspace's requests that the settings give us."""
        settings = self.settings
        return replace(
            self.rate_limit, requests=settings.requests_per_minute // 6, concurrency=settings.requests_at_once
        )

    def probe(self) -> None:
        """See whose the token is."""
        self.http.get("/me")

    def missing_fields(self, names: Sequence[str]) -> list[str]:
        """Names of no standard field and no custom attribute."""
        return self._attributes.missing(names)

    def create_field(self, name: str, field_type: FieldType) -> None:
        """Make a custom attribute of contacts."""
        self._attributes.create(name, field_type)

    def ensure_audience(self, audience: str) -> str:
        """The id of the tag; names are the same in upper and lower case.

        Raises:
            ConfigurationError: Intercom does not take the name.
        """
        name = audience.strip()
        tags = self.http.get("/tags")["data"]
        known = {str(tag["name"]).lower(): str(tag["id"]) for tag in tags}
        if name.lower() in known:
            return known[name.lower()]
        try:
            # Where somebody else makes it at the same time, this finds theirs.
            return str(self.http.post("/tags", {"name": name})["id"])
        except RefusedError as error:
            raise ConfigurationError(
                f"Intercom does not make the tag {name!r}. {error.what}",
                where="intercom",
                remedy="give the sync another name in 'into'.",
            ) from error

    def upsert(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Create or change contacts, a request each."""
        return self._each(rows, match_key, People.write, addresses=True)

    def update(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Change contacts that are there."""
        return self._each(rows, match_key, People.change, addresses=True)

    def add_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Put the tag on contacts."""
        return self._each(rows, match_key, lambda people, row: people.tag(row, audience_id))

    def remove_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Take the tag off; who is not there counts as out."""
        return self._each(rows, match_key, lambda people, row: people.untag(row, audience_id))

    def archive(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Put contacts into the archive."""
        return self._each(rows, match_key, People.archive)

    def erase(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Delete contacts for good, by the ids that were acknowledged and by their match values."""
        by_value = [DeliveryRow(number=row.number, match_value=row.match_value, fields={}) for row in rows]
        found = self._directory.of(by_value, match_key)
        return self._send(rows, self._people(found).erase)

    def requests_for(
        self, operation: Operation, rows: int, *, in_audience: bool, leaving: Leaving = Leaving.LEAVE_AUDIENCE
    ) -> int:
        """A request each for fields and for the tag; who is new is looked up before, fifteen at a time."""
        tags = rows if in_audience else 0
        if operation is Operation.ADD:
            return -(-rows // MOST_FILTERS) + rows + tags
        if operation is Operation.UPDATE:
            return rows
        return tags + (0 if leaving is Leaving.LEAVE_AUDIENCE else rows)

    def read_back(self, audience_id: str) -> Iterator[str]:
        """External ids of the contacts with the tag, or the address of one without."""
        for member in self.read_members(audience_id):
            yield from member.match_values[:1]

    def read_members(self, audience_id: str) -> Iterator[Member]:
        """The contacts with the tag, by external id, address and Intercom's own id."""
        query = {"field": "tag_id", "operator": "=", "value": audience_id}
        for contact in self._directory.search(query):
            yield Member(tuple(name for name in (contact.external_id, contact.email) if name), contact.id)

    def classify(self, answer: Answer) -> MillstreamError | None:
        """Tokens, limits, versions, and the words of a refusal."""
        return problem_of(answer)

    def _each(
        self,
        rows: Sequence[DeliveryRow],
        match_key: str,
        act: Callable[[People, DeliveryRow], Outcome],
        *,
        addresses: bool = False,
    ) -> list[Outcome]:
        found = self._directory.of(rows, match_key, addresses=addresses)
        people = self._people(found)
        return self._send(rows, lambda row: act(people, row))

    def _send(self, rows: Sequence[DeliveryRow], act: Callable[[DeliveryRow], Outcome]) -> list[Outcome]:
        return in_order(rows, send_each(last_of_each(rows), act, workers=self.settings.requests_at_once))

    def _people(self, found: Found) -> People:
        return People(self.http, self._attributes, self._directory, self.settings, found)

    @cached_property
    def _attributes(self) -> Attributes:
        return Attributes(self.http)

    @cached_property
    def _directory(self) -> Directory:
        return Directory(self.http)
