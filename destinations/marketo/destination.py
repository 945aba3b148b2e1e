"""The destination: how Marketo's endpoints are used.

No request says whether somebody is subscribed. Marketo keeps an opt-out with the address, shares it among all leads
that have the address, and gives it to new ones; ``createDuplicate`` is never asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar

from requests.auth import AuthBase

from millstream.destinations.contract import (
    DeliveryRow,
    Destination,
    DestinationField,
    FieldType,
    JobProgress,
    Member,
    Outcome,
    accepted,
    rejected,
)
from millstream.destinations.marketo.answers import (
    NOT_FOUND,
    NOT_IN_LIST,
    not_there,
    outcome_of,
    reason_of,
    several,
    with_comma,
)
from millstream.destinations.marketo.imports import Import, Imports, has_ended, plan_import
from millstream.destinations.marketo.lead_fields import LeadFields
from millstream.destinations.marketo.leads import MOST_LEADS, Leads
from millstream.destinations.marketo.results import ImportResults
from millstream.destinations.marketo.settings import MarketoSettings
from millstream.destinations.marketo.static_lists import StaticLists
from millstream.destinations.modes import Leaving, Operation, SyncMode
from millstream.destinations.rows import in_order, last_of_each
from millstream.state.errors import MillstreamError, RefusedError
from millstream.state.http import Answer, RateLimit
from millstream.state.vendors.marketo import CONNECTIONS, MOST_PER_20_SECONDS, problem_of

_ENVELOPE = 1_000
"""Bytes of a request beside its rows."""


def _text(name: str, description: str) -> DestinationField:
    return DestinationField(name=name, description=description, max_length=255)


class Marketo(Destination[MarketoSettings]):
    """Leads of a Marketo instance, and its static lists."""

    name = "marketo"
    title = "Marketo Engage"
    docs_url = "https://experienceleague.adobe.com/en/docs/marketo-developer/marketo/rest/rest-api"
    api_version = "v1"
    Settings = MarketoSettings
    # 100 in 20 seconds and 10 at once, for everybody who uses the instance: the vendor asks each to take half of it.
    rate_limit = RateLimit(
        requests=MOST_PER_20_SECONDS // 2, seconds=20.0, concurrency=5, connections=CONNECTIONS, daily=50_000
    )
    match_keys = ("email", "external_id")
    modes = frozenset(SyncMode) - {SyncMode.REPLACE}
    fields = (
        DestinationField(name="email", description="Address, for syncs that match by external_id.", max_length=255),
        _text("firstName", "First name."),
        _text("middleName", "Middle name."),
        _text("lastName", "Last name."),
        _text("salutation", "Salutation."),
        _text("title", "Job title."),
        _text("phone", "Phone number."),
        _text("mobilePhone", "Mobile phone number."),
        DestinationField(name="dateOfBirth", type="date", description="Date of birth."),
        _text("address", "Street address."),
        _text("city", "City."),
        _text("state", "State or region."),
        _text("postalCode", "Postal code."),
        _text("country", "Country."),
        _text("leadSource", "Where the lead came from."),
        _text("leadStatus", "Status of the lead."),
        DestinationField(name="leadScore", type="number", description="Score, a whole number."),
    )
    custom_fields = True
    custom_field_type = None
    consent_fields = (
        "unsubscribed*",
        "emailInvalid*",
        "emailSuspended*",
        "blackListed*",
        "marketingSuspended*",
        "doNotCall*",
    )
    batch_size = MOST_LEADS
    membership_batch_size = MOST_LEADS
    idempotent = frozenset(Operation)
    leavings = frozenset(Leaving) - {Leaving.ARCHIVE}
    leaving_warnings: ClassVar[Mapping[Leaving, str]] = {
        Leaving.DELETE: "Marketo deletes every lead with the person's key, with their history; a CRM that is synced "
        "with it may bring them back.",
    }
    one_by_one = frozenset()
    jobs = frozenset({Operation.ADD, Operation.UPDATE})
    job_from = 10_000
    job_size = 100_000
    largest_request = 1_000_000 - _ENVELOPE
    largest_job = 10_000_000 - _ENVELOPE
    largest_row = largest_request

    def auth(self) -> AuthBase:
        """Access tokens of the custom service."""
        return self.settings.credential()

    def pace(self) -> RateLimit:
        """The pace and the daily share that the settings give."""
        return replace(
            self.rate_limit, requests=self.settings.requests_per_20_seconds, daily=self.settings.requests_per_day
        )

    def probe(self) -> None:
        """Read which fields leads have."""
        self._fields.read()

    def missing_fields(self, names: Sequence[str]) -> list[str]:
        """Fields that leads do not have."""
        return self._fields.missing(names)

    def create_field(self, name: str, field_type: FieldType) -> None:
        """Make a custom field; Marketo can hide one, but never deletes it."""
        self._fields.create(name, field_type)

    def ensure_audience(self, audience: str) -> str:
        """The id of the static list."""
        return self._lists.ensure(audience)

    def upsert(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Create leads or change them."""
        return in_order(rows, self._leads.upsert(last_of_each(rows), self.settings.lookup_field(match_key)))

    def update(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Change leads that are there."""
        return in_order(rows, self._leads.update(last_of_each(rows), self.settings.lookup_field(match_key)))

    def add_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Put leads into a static list, by id."""
        outcomes: dict[str, Outcome] = {}
        ids: dict[str, str] = {}
        latest = last_of_each(rows)
        found = self._leads.ids([row for row in latest if not row.external_id], self.settings.lookup_field(match_key))
        for row in latest:
            known = [row.external_id] if row.external_id else found[row.key]
            if len(known) == 1:
                ids[row.key] = known[0]
            else:
                outcomes[row.key] = several() if known else not_there()
        results = self._lists.change("POST", audience_id, list(ids.values()))
        for row in latest:
            if row.key in ids:
                outcomes[row.key] = _told_of(results.get(ids[row.key]), row)
        return in_order(rows, outcomes)

    def remove_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Take leads out of a static list: by the id that is known, else every lead that has the key.

        A lead that was merged into another one is looked for, too: the other one is in the list in its place.
        """
        latest = last_of_each(rows)
        outcomes = {row.key: accepted(row.external_id) for row in latest}
        known = {row.external_id: row for row in latest if row.external_id}
        results = self._lists.change("DELETE", audience_id, list(known))
        gone = []
        for lead_id, row in known.items():
            reason = reason_of(results.get(lead_id, {}))
            if reason is not None and reason[0] == NOT_FOUND:
                gone.append(row)
            elif lead_id not in results or (reason is not None and reason[0] != NOT_IN_LIST):
                outcomes[row.key] = _told_of(results.get(lead_id), row)
        unknown = [row for row in latest if not row.external_id] + gone
        found = self._leads.ids(unknown, self.settings.lookup_field(match_key))
        outcomes |= {row.key: with_comma() for row in unknown if "," in row.match_value}
        of_row = {lead_id: row for row in unknown for lead_id in found[row.key]}
        results = self._lists.change("DELETE", audience_id, list(of_row))
        for lead_id, row in of_row.items():
            reason = reason_of(results.get(lead_id, {}))
            if lead_id not in results or (reason is not None and reason[0] not in (NOT_FOUND, NOT_IN_LIST)):
                outcomes[row.key] = _told_of(results.get(lead_id), row)
        return in_order(rows, outcomes)

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
        """Hand over a file of those who fill the same fields; the others follow when it is done."""
        field = self.settings.lookup_field(match_key)
        latest = last_of_each(rows)
        list_id = audience_id if operation is Operation.ADD else None
        job = plan_import(latest, field, match_key=match_key, list_id=list_id, creates=creates)
        if job.lookup is None:
            return str(job)
        held = [row for row in latest if job.holds(row, field)]
        try:
            return str(replace(job, batch=self._imports.submit(job, held, self._fields.typed)))
        except RefusedError:
            # Of the file as a whole, which says nothing of a row: the ordinary way tells which it is.
            return str(replace(job, lookup=None))

    def poll_job(self, job_id: str) -> JobProgress:
        """How far the import is."""
        job = Import.parse(job_id)
        if job.batch is None:
            return JobProgress(done=True)
        status = self._imports.status(job.batch)
        done = int(status.get("numOfLeadsProcessed") or 0) + int(status.get("numOfRowsFailed") or 0)
        return JobProgress(done=has_ended(status), share=min(done / max(job.rows, 1), 1.0))

    def job_outcomes(self, job_id: str, operation: Operation, rows: Sequence[DeliveryRow]) -> list[Outcome]:
        """What Marketo says of the file's rows; who is not in it, or was warned of, is written now."""
        job = Import.parse(job_id)
        results = ImportResults(self, self._imports, job, self.settings.lookup_field(job.match_key))
        return in_order(rows, results.outcomes(last_of_each(rows)))

    def requests_for(
        self, operation: Operation, rows: int, *, in_audience: bool, leaving: Leaving = Leaving.LEAVE_AUDIENCE
    ) -> int:
        """As every destination; who is deleted is looked up first."""
        requests = super().requests_for(operation, rows, in_audience=in_audience, leaving=leaving)
        deletes = operation is Operation.REMOVE and leaving is Leaving.DELETE
        return requests + (-(-rows // self.batch_size) if deletes else 0)

    def read_back(self, audience_id: str) -> Iterator[str]:
        """E-mail addresses of a list's members; our id of a lead without one, or else Marketo's."""
        for member in self.read_members(audience_id):
            yield next(iter(member.match_values), str(member.external_id))

    def read_members(self, audience_id: str) -> Iterator[Member]:
        """A list's members by id, address, and the id of ours where a field holds it."""
        ours = self.settings.external_id_field
        for lead in self._lists.members(audience_id, ("id", "email", *([ours] if ours else []))):
            address, our_id = str(lead.get("email") or "").lower(), str(lead.get(ours or "") or "")
            yield Member(tuple(name for name in (address, our_id) if name), str(lead["id"]))

    def erase(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Delete every lead that has the key; an opt-out stays with the address."""
        return in_order(rows, self._leads.delete(last_of_each(rows), self.settings.lookup_field(match_key)))

    def classify(self, answer: Answer) -> MillstreamError | None:
        """Errors that come under status 200."""
        return problem_of(answer)

    @cached_property
    def _fields(self) -> LeadFields:
        return LeadFields(self.http)

    @cached_property
    def _leads(self) -> Leads:
        return Leads(self.http, self._fields, self.settings)

    @cached_property
    def _lists(self) -> StaticLists:
        return StaticLists(self.http, self.settings)

    @cached_property
    def _imports(self) -> Imports:
        return Imports(self.http, self.settings.partition_name)


def _told_of(result: Mapping[str, Any] | None, row: DeliveryRow) -> Outcome:
    """The outcome of a membership, by what an answer has of the lead."""
    if result is None:
        return rejected("missing_from_answer", "Marketo's answer does not name the lead.", fault="vendor")
    return outcome_of(result, row.match_value)
