"""The destination: how Salesforce's endpoints are used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import ClassVar

from requests.auth import AuthBase

from millstream.destinations.contract import (
    DeliveryRow,
    Destination,
    DestinationField,
    FieldType,
    JobProgress,
    Member,
    Outcome,
)
from millstream.destinations.modes import Leaving, Operation, SyncMode
from millstream.destinations.salesforce.answers import classify
from millstream.destinations.salesforce.attributes import Checkboxes, Picklists
from millstream.destinations.salesforce.audiences import Audiences
from millstream.destinations.salesforce.campaigns import Campaigns
from millstream.destinations.salesforce.fields import CONSENT_FIELDS, SObjectFields
from millstream.destinations.salesforce.jobs import REQUESTS_FOR_ONE
from millstream.destinations.salesforce.making import FieldMaker
from millstream.destinations.salesforce.people_jobs import PeopleJobs
from millstream.destinations.salesforce.records import MOST_RECORDS, Records
from millstream.destinations.salesforce.settings import SalesforceSettings
from millstream.state.errors import ConfigurationError, MillstreamError, QuotaExhaustedError
from millstream.state.http import Answer, RateLimit
from millstream.state.vendors.salesforce import requests_used

_REQUESTS_OUT: Mapping[Leaving, int] = {Leaving.CLEAR_FIELDS: 1, Leaving.DELETE: 2}
"""Requests for a batch of people who leave, beside those that take them out of the audience."""


class Salesforce(Destination[SalesforceSettings]):
    """Contacts or leads of one organization."""

    name = "salesforce"
    title = "Salesforce"
    docs_url = "https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/"
    api_version = "v66.0"
    Settings = SalesforceSettings
    # The organization counts requests over 24 hours, of everybody. Few at a time: parallel writes lock each other out.
    rate_limit = RateLimit(requests=20, seconds=1.0, concurrency=3, daily_remaining="Sforce-Limit-Info;api-usage")
    match_keys = ("external_id",)
    modes = frozenset(SyncMode) - {SyncMode.REPLACE}
    fields = (
        DestinationField(name="LastName", description="Last name; nobody is taken without.", max_length=80),
        DestinationField(name="FirstName", description="First name.", max_length=40),
        DestinationField(name="Email", description="E-mail address.", max_length=80),
        DestinationField(name="Phone", description="Business phone.", max_length=40),
        DestinationField(name="MobilePhone", description="Mobile phone.", max_length=40),
        DestinationField(name="Title", description="Job title.", max_length=128),
        DestinationField(name="LeadSource", description="Where the person came from, a value of the picklist."),
        DestinationField(name="Description", description="Notes.", max_length=32_000),
        DestinationField(name="Birthdate", type="date", description="Birthday, of contacts."),
        DestinationField(name="MailingStreet", description="Street, of contacts.", max_length=255),
        DestinationField(name="MailingCity", description="City, of contacts.", max_length=40),
        DestinationField(name="MailingPostalCode", description="Postal code, of contacts.", max_length=20),
        DestinationField(name="MailingCountry", description="Country, of contacts.", max_length=80),
        DestinationField(name="Company", description="Company, of leads; none is taken without.", max_length=255),
        DestinationField(name="City", description="City, of leads.", max_length=40),
        DestinationField(name="Country", description="Country, of leads.", max_length=80),
    )
    custom_fields = True
    custom_field_type = None
    consent_fields = CONSENT_FIELDS
    batch_size = MOST_RECORDS
    membership_batch_size = MOST_RECORDS
    idempotent = frozenset(Operation)
    leavings = frozenset({Leaving.LEAVE_AUDIENCE, Leaving.CLEAR_FIELDS, Leaving.DELETE})
    leaving_warnings: ClassVar[Mapping[Leaving, str]] = {
        Leaving.DELETE: "Salesforce empties its recycle bin after 15 days; the record's opt-outs, activities and "
        "places in campaigns go with it.",
    }
    jobs = frozenset({Operation.ADD, Operation.UPDATE})
    job_from = 2_000
    job_size = 50_000
    job_requests = REQUESTS_FOR_ONE
    one_by_one = frozenset()
    largest_request = 100_000_000
    largest_row = 400_000

    def __init__(self, settings: SalesforceSettings) -> None:
        super().__init__(settings)
        self._used = (0, 0)

    def auth(self) -> AuthBase:
        """Client credentials, a signed assertion, a refresh token, or a session."""
        return self.settings.credential()

    def pace(self) -> RateLimit:
        """The pace of the settings; the limit of 24 hours is kept by what Salesforce says of it."""
        return replace(self.rate_limit, requests=self.settings.requests_per_second)

    def probe(self) -> None:
        """Describe the object, and look whether people can be found in it."""
        self._fields.external_id(self.settings.external_id_field)

    def missing_fields(self, names: Sequence[str]) -> list[str]:
        """Those that the object does not have, as far as the user may see it.

        Raises:
            ConfigurationError: The user may not edit one, or it is the one that people are found by.
        """
        if any(name.lower() in (self._people.external_id.name.lower(), "id") for name in names):
            raise ConfigurationError(
                f"{self._people.external_id.name} and Id say who somebody is, and cannot be mapped.",
                where="salesforce",
                remedy="take it out of the sync's fields: the match value is written by itself.",
            )
        missing = [name for name in names if self._fields.get(name) is None]
        for name in names:
            if name not in missing:
                self._fields.writable(name)
        return missing

    def create_field(self, name: str, field_type: FieldType) -> None:
        """Make a custom field, and let the permission set of the settings edit it."""
        self._maker.make(name, field_type)

    def ensure_audience(self, audience: str) -> str:
        """The id of the campaign, the API name of the checkbox, or the value of the picklist."""
        return self._audiences.ensure(audience)

    @property
    def adds_at_once(self) -> bool:
        """Whether the audience is a field."""
        return self._audiences.at_once

    def upsert(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Create people or change their fields by external id."""
        people = self._spending()
        return people.in_order(rows, people.upsert(rows))

    def upsert_into(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """The same, with the field that is the audience."""
        return self._spending().in_order(rows, self._audiences.upsert(audience_id, rows))

    def update(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Change fields of people who are there, by record id."""
        people = self._spending()
        bodies, misfits = people.all_values(rows)
        return people.in_order(rows, misfits | people.change(rows, bodies))

    def add_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Put people into the audience, by record id."""
        return self._spending().in_order(rows, self._audiences.add(audience_id, rows))

    def remove_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Take people out of the audience; the records stay."""
        return self._spending().in_order(rows, self._audiences.remove(audience_id, rows))

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
        """Upload rows as one file; the job is started by the first look at it."""
        self._spending()
        return self._jobs.submit(rows, audience_id=audience_id if operation is Operation.ADD else None, creates=creates)

    def poll_job(self, job_id: str) -> JobProgress:
        """How far the job is."""
        return self._jobs.progress(job_id)

    def job_outcomes(self, job_id: str, operation: Operation, rows: Sequence[DeliveryRow]) -> list[Outcome]:
        """What became of each row; who is added goes into the audience now, where a job cannot do that."""
        return self._jobs.outcomes(job_id, rows)

    def requests_for(
        self, operation: Operation, rows: int, *, in_audience: bool, leaving: Leaving = Leaving.LEAVE_AUDIENCE
    ) -> int:
        """Requests that so many rows take."""
        batches, audiences = -(-rows // MOST_RECORDS), self._audiences
        if operation is Operation.REMOVE:
            return batches * (audiences.removing * in_audience + _REQUESTS_OUT.get(leaving, 0))
        adding = audiences.adding if in_audience and operation is not Operation.UPDATE else 0
        if operation in self.jobs and rows >= self.job_from:
            apart = 0 if audiences.column("") else adding
            return -(-rows // self.job_size) * self.job_requests + batches * apart
        if adding and audiences.at_once:
            return batches * audiences.adding_at_once
        return batches * (1 + adding)

    def read_back(self, audience_id: str) -> Iterator[str]:
        """External ids of the audience's members; the record id of one without."""
        for member in self._audiences.members(audience_id):
            yield member.match_values[0] if member.match_values else str(member.external_id)

    def read_members(self, audience_id: str) -> Iterator[Member]:
        """The audience's members by external id and record id."""
        return self._audiences.members(audience_id)

    def erase(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Delete people: the record that is known, and all with the external id."""
        people = self._spending()
        return people.in_order(rows, people.delete(rows))

    def classify(self, answer: Answer) -> MillstreamError | None:
        """Sessions, limits, rights, and mistakes in the mapping; notes how much of the day's requests is used."""
        self._used = requests_used(answer) or self._used
        return classify(answer)

    def _spending(self) -> Records:
        """The people, for work that makes requests.

        Raises:
            QuotaExhaustedError: The share of the organization's requests that runs may use is used.
        """
        used, allowed = self._used
        if allowed and used >= allowed * self.settings.quota_share:
            raise QuotaExhaustedError(
                f"{used:,} of the organization's {allowed:,} requests of the last 24 hours are used, and quota_share "
                "leaves the rest to others.",
                remedy="run again later, what was sent is kept; or raise quota_share.",
            )
        return self._people

    @cached_property
    def _fields(self) -> SObjectFields:
        return SObjectFields(self.http, self._root, self.settings.object)

    @cached_property
    def _people(self) -> Records:
        return Records(self.http, self._root, self.settings, self._fields)

    @cached_property
    def _maker(self) -> FieldMaker:
        return FieldMaker(self.http, self._root, self._fields, self.settings.permission_set)

    @cached_property
    def _jobs(self) -> PeopleJobs:
        return PeopleJobs(self._people, self._audiences)

    @cached_property
    def _audiences(self) -> Audiences:
        settings = self.settings
        if settings.audience_as == "campaign":
            return Campaigns(self._people, settings.member_status)
        if settings.picklist_field is None:
            return Checkboxes(self._people, self._maker)
        return Picklists(self._people, self._maker, settings.picklist_field, settings.base_url)

    @property
    def _root(self) -> str:
        return f"services/data/v{self.settings.version}"
