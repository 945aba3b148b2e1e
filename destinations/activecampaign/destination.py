"""The destination: how ActiveCampaign's endpoints are used.

No request sets the status of a list: people get onto one by imports alone, which leave alone who unsubscribed from it.
Their statuses are read before, so that those people are told from the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import ClassVar

from requests.auth import AuthBase

from millstream.destinations.activecampaign.answers import problem_of
from millstream.destinations.activecampaign.audiences import Audience, Audiences
from millstream.destinations.activecampaign.custom_fields import STANDARD, CustomFields
from millstream.destinations.activecampaign.imports import MOST_BYTES, MOST_CONTACTS, WORTH_IT, ImportJob, Imports
from millstream.destinations.activecampaign.people import People
from millstream.destinations.activecampaign.settings import ActiveCampaignSettings, ApiTokenAuth
from millstream.destinations.contract import (
    DeliveryRow,
    Destination,
    FieldType,
    JobProgress,
    Member,
    Outcome,
    rejected,
)
from millstream.destinations.modes import Leaving, Operation, SyncMode
from millstream.destinations.rows import in_order, last_of_each, send_each
from millstream.state.errors import MillstreamError
from millstream.state.http import Answer, RateLimit

_BATCH = 100


class ActiveCampaign(Destination[ActiveCampaignSettings]):
    """Contacts of an ActiveCampaign account, with tags as audiences, or lists."""

    name = "activecampaign"
    title = "ActiveCampaign"
    docs_url = "https://developers.activecampaign.com/reference/overview"
    api_version = "3"
    Settings = ActiveCampaignSettings
    # 5 in a second for an account, over all of its keys; a header says what is left of the second.
    rate_limit = RateLimit(
        requests=5, seconds=1.0, concurrency=4, allowed="RateLimit-Limit", remaining="RateLimit-Remaining"
    )
    match_keys = ("email",)
    modes = frozenset(SyncMode) - {SyncMode.REPLACE}
    fields = STANDARD
    custom_fields = True
    batch_size = _BATCH
    membership_batch_size = _BATCH
    idempotent = frozenset(Operation)
    leavings = frozenset({Leaving.LEAVE_AUDIENCE, Leaving.CLEAR_FIELDS, Leaving.DELETE})
    leaving_warnings: ClassVar[Mapping[Leaving, str]] = {
        Leaving.DELETE: "ActiveCampaign deletes the contact with its history, and forgets that it unsubscribed.",
    }
    jobs = frozenset({Operation.ADD, Operation.UPDATE})
    job_from = WORTH_IT
    job_size = MOST_CONTACTS
    # Submitted, one look, and the ids of 250 contacts by a hundred.
    job_requests = 5
    one_by_one = frozenset({Operation.ADD, Operation.UPDATE, Operation.REMOVE, *leavings})
    largest_request = MOST_BYTES

    def auth(self) -> AuthBase:
        """The key of a user."""
        return ApiTokenAuth(self.settings.api_key)

    def pace(self) -> RateLimit:
        """The pace that the settings give."""
        return replace(self.rate_limit, requests=self.settings.requests_per_second)

    def probe(self) -> None:
        """Read whose key it is."""
        self.http.get("/users/me")

    def missing_fields(self, names: Sequence[str]) -> list[str]:
        """Names of no custom field."""
        return self._fields.missing(names)

    def create_field(self, name: str, field_type: FieldType) -> None:
        """Make a custom field, shown for all lists."""
        self._fields.create(name, field_type)

    def ensure_audience(self, audience: str) -> str:
        """The id of the tag or list."""
        return str(self._audiences.ensure(audience))

    def upsert(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Create or change contacts, a request each; many go as a job."""
        return self._each(rows, self._people.write)

    def update(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Change contacts that are there, by their ids."""
        return self._each(rows, self._people.change)

    def add_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Put the tag on contacts that are there, or subscribe them to the list."""
        audience = Audience.parse(audience_id)
        if audience.kind == "tag":
            return self._each(rows, lambda row: self._people.tag(row, audience.number))
        return in_order(rows, self._imports.subscribe(audience, last_of_each(rows)))

    def remove_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Take the tag off. Off a list nobody can be taken other than by unsubscribing them, so nobody is."""
        audience = Audience.parse(audience_id)
        if audience.kind == "list":
            reason = "ActiveCampaign takes nobody off a list without unsubscribing them: use tags, or mode add."
            return [rejected("stays_on_list", reason, fault="configuration")] * len(rows)
        return self._each(rows, lambda row: self._people.untag(row, audience.number))

    def submit_job(
        self,
        operation: Operation,
        rows: Sequence[DeliveryRow],
        *,
        match_key: str,
        audience_id: str | None,
        creates: bool,
        label: str,
    ) -> str:
        """Hand contacts over as an import, with their tag or list where they are new in the audience."""
        audience = Audience.parse(audience_id) if audience_id and operation is Operation.ADD else None
        return str(self._imports.submit(last_of_each(rows), audience, creates=creates))

    def poll_job(self, job_id: str) -> JobProgress:
        """Whether the import has ended."""
        return self._imports.progress(ImportJob.parse(job_id))

    def job_outcomes(self, job_id: str, operation: Operation, rows: Sequence[DeliveryRow]) -> list[Outcome]:
        """What an import says of its rows; requests of their own for those of whom it does not say enough."""
        return in_order(rows, self._imports.outcomes(ImportJob.parse(job_id), last_of_each(rows)))

    def row_bytes(self, row: DeliveryRow) -> int:
        """As everywhere, with the number of each custom field, and the tag."""
        return super().row_bytes(row) + 24 * len(row.fields) + 100

    def requests_for(
        self, operation: Operation, rows: int, *, in_audience: bool, leaving: Leaving = Leaving.LEAVE_AUDIENCE
    ) -> int:
        """A request each for fields and for the tag; a tag that is taken off is looked for before."""
        if operation in self.jobs and rows >= self.job_from:
            return super().requests_for(operation, rows, in_audience=in_audience, leaving=leaving)
        if operation is Operation.ADD:
            return 2 * rows if in_audience else rows
        if operation is Operation.UPDATE:
            return rows
        return (2 * rows if in_audience else 0) + (0 if leaving is Leaving.LEAVE_AUDIENCE else rows)

    def read_back(self, audience_id: str) -> Iterator[str]:
        """Addresses of contacts with the tag, or subscribed to the list."""
        for contact in self._audiences.members(Audience.parse(audience_id)):
            yield str(contact["email"]).strip().lower()

    def read_members(self, audience_id: str) -> Iterator[Member]:
        """The same, with the ids of contacts, which outlive a change of address."""
        for contact in self._audiences.members(Audience.parse(audience_id)):
            yield Member((str(contact["email"]).strip().lower(),), str(contact["id"]))

    def erase(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Delete contacts with their history."""
        return self._each(rows, self._people.erase)

    def classify(self, answer: Answer) -> MillstreamError | None:
        """A wrong key and a missing permission are both 403; too many imports are a 400."""
        return problem_of(answer)

    def _each(self, rows: Sequence[DeliveryRow], send: Callable[[DeliveryRow], Outcome]) -> list[Outcome]:
        return in_order(rows, send_each(last_of_each(rows), send, workers=self.rate_limit.concurrency))

    @cached_property
    def _fields(self) -> CustomFields:
        return CustomFields(self.http)

    @cached_property
    def _audiences(self) -> Audiences:
        return Audiences(self.http, self.settings)

    @cached_property
    def _people(self) -> People:
        return People(self.http, self._fields, self._audiences)

    @cached_property
    def _imports(self) -> Imports:
        return Imports(self.http, self._people, self._fields, self._audiences, self.settings)
