"""The destination: how Mailchimp's endpoints are used.

Nobody's status is ever changed. New people come in with ``new_member_status`` through a batch that leaves everyone
alone who is on the list already; those are then changed one by one, or many as a job, without a status. So there is no
moment between reading a status and writing it in which someone who unsubscribes could be subscribed again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

from requests.auth import AuthBase

from millstream.destinations.contract import (
    DeliveryRow,
    Destination,
    DestinationField,
    FieldType,
    JobProgress,
    Outcome,
    accepted,
    rejected,
    retry_later,
)
from millstream.destinations.mailchimp.answers import (
    id_of,
    member_id,
    outcome_of,
    outcome_of_result,
    refusal,
    segment_faults,
)
from millstream.destinations.mailchimp.jobs import MOST_OPERATIONS, REQUESTS_FOR_ONE, Batches
from millstream.destinations.mailchimp.members import LENIENT, Members, fields_of
from millstream.destinations.mailchimp.merge_fields import MergeFields
from millstream.destinations.mailchimp.paging import pages
from millstream.destinations.mailchimp.settings import MailchimpSettings
from millstream.destinations.modes import Leaving, Operation, SyncMode
from millstream.destinations.rows import in_order, last_of_each, send_each
from millstream.state.errors import MillstreamError, NotFoundError, PermissionDeniedError, RefusedError
from millstream.state.http import Answer, BasicAuth, RateLimit
from millstream.state.vendors.mailchimp import CONNECTIONS, what_403_means

_NOT_FOUND = 404


class Mailchimp(Destination[MailchimpSettings]):
    """One audience (list) of a Mailchimp account."""

    name = "mailchimp"
    title = "Mailchimp"
    docs_url = "https://mailchimp.com/developer/marketing/api/"
    api_version = "3.0"
    Settings = MailchimpSettings
    # The vendor limits connections, not requests a second: 10 for all apps of a user, so one stays free.
    rate_limit = RateLimit(requests=1000, seconds=1.0, concurrency=9, connections=CONNECTIONS)
    match_keys = ("email",)
    modes = frozenset(SyncMode) - {SyncMode.REPLACE}
    fields = (
        DestinationField(name="FNAME", description="First name."),
        DestinationField(name="LNAME", description="Last name."),
        DestinationField(name="PHONE", description="Phone number."),
        DestinationField(name="BIRTHDAY", description="Birthday as MM/DD."),
        DestinationField(name="COMPANY", description="Company."),
    )
    custom_fields = True
    batch_size = 500
    membership_batch_size = 500
    idempotent = frozenset(Operation)
    leavings = frozenset(Leaving)
    leaving_warnings: ClassVar[Mapping[Leaving, str]] = {
        Leaving.DELETE: "Mailchimp never takes the address of a deleted person back by its API.",
    }
    # People who are new go 500 in a request; those who are known take a request each, so many of them are a job.
    jobs = frozenset({Operation.UPDATE})
    job_from = 500
    job_size = MOST_OPERATIONS
    job_requests = REQUESTS_FOR_ONE
    one_by_one = frozenset({Operation.UPDATE, Leaving.CLEAR_FIELDS, Leaving.ARCHIVE, Leaving.DELETE})

    def __init__(self, settings: MailchimpSettings) -> None:
        super().__init__(settings.model_copy(update={"base_url": settings.root}))

    def auth(self) -> AuthBase:
        """HTTP Basic with any user name."""
        return BasicAuth("millstream", self.settings.api_key)

    def probe(self) -> None:
        """Read the list's name."""
        self._members.require_list()

    def missing_fields(self, names: Sequence[str]) -> list[str]:
        """Merge tags that the list does not have."""
        return self._merge_fields.missing(names)

    def create_field(self, name: str, field_type: FieldType) -> None:
        """Make a merge field of the list."""
        self._merge_fields.create(name, field_type)

    def ensure_audience(self, audience: str) -> str:
        """The id of the tag (a static segment); tag names are the same in upper and lower case."""
        found = self._find_tag(audience)
        if found is None:
            try:
                made = self.http.post(f"{self._list}/segments", {"name": audience, "static_segment": []})
            except RefusedError:
                # Refused because the name is taken: another process made it first, or the search lags behind.
                found = self._find_segment(audience)
                if found is None:
                    raise
                return found
            return str(made["id"])
        return found

    def upsert(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Create those who are new to the list; change the merge fields of the others one by one."""
        latest = last_of_each(rows)
        outcomes = self._create([row for row in latest if row.external_id is None])
        others = [row for row in latest if row.key not in outcomes]
        return in_order(rows, outcomes | send_each(others, self._members.put, workers=self.rate_limit.concurrency))

    def update(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Change merge fields of those who are on the list."""
        latest = last_of_each(rows)
        return in_order(rows, send_each(latest, self._members.patch, workers=self.rate_limit.concurrency))

    def add_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Tag people who are on the list."""
        answer = self._change_tag(audience_id, "members_to_add", rows)
        done = {str(member["email_address"]).lower() for member in answer.get("members_added") or ()}
        faults = segment_faults(answer)

        def check(row: DeliveryRow) -> Outcome:
            # The vendor passes over people who are not on the list, and may do so with those who have the tag.
            tags = self._members.tags(row)
            if tags is None:
                return rejected("not_on_list", "The person is not on the list, so cannot be tagged.")
            if audience_id in tags:
                return accepted(member_id(row.key))
            return rejected("not_tagged", faults.get(row.key, "Mailchimp did not add the tag."))

        latest = last_of_each(rows)
        outcomes = {row.key: accepted(member_id(row.key)) for row in latest if row.key in done}
        doubtful = [row for row in latest if row.key not in done]
        return in_order(rows, outcomes | send_each(doubtful, check, workers=self.rate_limit.concurrency))

    def remove_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Take the tag off; status and list membership stay."""
        answer = self._change_tag(audience_id, "members_to_remove", rows)
        faults = segment_faults(answer)

        def check(row: DeliveryRow) -> Outcome:
            if audience_id in (self._members.tags(row) or ()):
                return rejected("still_tagged", faults[row.key])
            return accepted(row.external_id)

        latest = last_of_each(rows)
        outcomes = {row.key: accepted(row.external_id) for row in latest}
        doubtful = [row for row in latest if row.key in faults]
        return in_order(rows, outcomes | send_each(doubtful, check, workers=self.rate_limit.concurrency))

    def archive(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Archive people: they stay known, are not mailed, and come back when they are written again."""
        return in_order(rows, send_each(last_of_each(rows), self._members.archive, workers=self.rate_limit.concurrency))

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
        """Hand over the requests that would change people one by one."""
        requests = [self._members.writing(row, creates=creates) for row in last_of_each(rows)]
        return self._batches.submit(label, requests)

    def find_job(self, label: str) -> str | None:
        """A job that was taken although its answer was lost, by the names of its operations."""
        return self._batches.find(label)

    def poll_job(self, job_id: str) -> JobProgress:
        """How far the job is."""
        return self._batches.progress(job_id)

    def job_outcomes(self, job_id: str, operation: Operation, rows: Sequence[DeliveryRow]) -> list[Outcome]:
        """What the answer to each operation means for its row."""
        latest = last_of_each(rows)
        try:
            results = self._batches.results(job_id)
        except (NotFoundError, PermissionDeniedError) as error:
            # The job has ended, so the rows may go again: at worst they are written twice.
            gone = retry_later("results_gone", f"The job ended, and its results cannot be fetched: {error.what}")
            return [gone] * len(rows)
        if any(result.status == _NOT_FOUND for result in results.values()):
            self._members.require_list()
        return in_order(rows, {row.key: outcome_of_result(results.get(row.number), row.match_value) for row in latest})

    def requests_for(
        self, operation: Operation, rows: int, *, in_audience: bool, leaving: Leaving = Leaving.LEAVE_AUDIENCE
    ) -> int:
        """As every destination; who is archived is looked at first."""
        requests = super().requests_for(operation, rows, in_audience=in_audience, leaving=leaving)
        return requests + rows if operation is Operation.REMOVE and leaving is Leaving.ARCHIVE else requests

    def read_back(self, audience_id: str) -> Iterator[str]:
        """E-mail addresses of everyone with the tag, whatever their status."""
        everyone = {f"include_{status}": "true" for status in ("unsubscribed", "cleaned", "transactional")}
        fields = "members.email_address,total_items"
        path = f"{self._list}/segments/{audience_id}/members"
        for member in pages(self.http, path, "members", {**everyone, "fields": fields}):
            yield str(member["email_address"]).lower()

    def erase(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Delete people for good; Mailchimp takes their addresses back only through its own forms."""
        return in_order(rows, send_each(last_of_each(rows), self._members.erase, workers=self.rate_limit.concurrency))

    def classify(self, answer: Answer) -> MillstreamError | None:
        """A 403 without a JSON body is a throttle under load; some 403 mean the key."""
        return what_403_means(answer)

    def _create(self, rows: Sequence[DeliveryRow]) -> dict[str, Outcome]:
        """Outcomes of new people and of faulty rows; who is on the list already has none."""
        if not rows:
            return {}
        status = self.settings.new_member_status
        members = [fields_of(row) | {"status": status} for row in rows]
        answer = self.http.post(self._list, {"members": members, "update_existing": False}, params=LENIENT)
        outcomes = {
            str(member["email_address"]).lower(): outcome_of(member)
            for part in ("new_members", "updated_members")
            for member in answer.get(part) or ()
        }
        for fault in answer.get("errors") or ():
            if fault.get("error_code") != "ERROR_CONTACT_EXISTS":
                text = " ".join(filter(None, (fault.get("error"), fault.get("field_message"))))
                code = str(fault.get("error_code") or "refused").lower()
                email = str(fault.get("email_address", "")).lower()
                outcomes[email] = refusal(code, text, email)
        return outcomes

    def _change_tag(self, audience_id: str, part: str, rows: Sequence[DeliveryRow]) -> Mapping[str, Any]:
        emails = [row.match_value for row in last_of_each(rows)]
        answer: Mapping[str, Any] = self.http.post(f"{self._list}/segments/{audience_id}", {part: emails})
        return answer

    def _find_tag(self, name: str) -> str | None:
        answer = self.http.get(f"{self._list}/tag-search", {"name": name})
        return id_of(name, answer.get("tags") or ())

    def _find_segment(self, name: str) -> str | None:
        query = {"type": "static", "fields": "segments.id,segments.name,total_items"}
        return id_of(name, pages(self.http, f"{self._list}/segments", "segments", query))

    @cached_property
    def _members(self) -> Members:
        return Members(self.http, self.settings)

    @property
    def _list(self) -> str:
        return self._members.list_path

    @cached_property
    def _merge_fields(self) -> MergeFields:
        return MergeFields(self.http, self._list)

    @cached_property
    def _batches(self) -> Batches:
        return Batches(self.http)
