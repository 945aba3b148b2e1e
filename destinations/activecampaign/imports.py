"""Bulk imports: up to 250 contacts handed over at once, worked off by ActiveCampaign, asked after by their id.

An import is refused whole for one bad contact, and says of those that fail later no more than their addresses. So
where an audience is a tag, both kinds are left to requests of their own once it has ended, whose answers say why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from millstream.destinations.activecampaign.answers import NOT_SUBSCRIBABLE, refused_places
from millstream.destinations.activecampaign.audiences import Audience, Audiences
from millstream.destinations.activecampaign.custom_fields import CustomFields
from millstream.destinations.activecampaign.people import NOT_FOUND, People
from millstream.destinations.activecampaign.settings import ActiveCampaignSettings
from millstream.destinations.contract import (
    DeliveryRow,
    JobProgress,
    Outcome,
    accepted,
    rejected,
    retry_later,
    suppressed,
)
from millstream.destinations.http import Http
from millstream.destinations.modes import Status
from millstream.destinations.stopping import sleep_unless_stopped
from millstream.state.errors import NotFoundError, RefusedError

MOST_CONTACTS = 250
MOST_BYTES = 390_000
"""The vendor takes 399,999 bytes."""
WORTH_IT = 11
"""For 10 contacts and fewer the vendor wants single requests."""

_ENDED = frozenset({"completed", "failed", "interrupted"})
_TRIES = 3
_LOOK_AGAIN = 1.0
"""Seconds between two looks at an import that is waited for."""
_LOOKS = 120


class ImportJob(BaseModel):
    """What we keep of an import; its text is the job's id. Rows are told by their numbers.

    Attributes:
        batch: The vendor's id; None where nobody was left to import.
        audience: Where its people go; None where the import writes fields alone.
        alone: Rows that the import was refused for, or may have been.
        absent: Rows of people who are not there, where nobody may be created.
        kept_out: Rows of people who may not be subscribed, with their status on the list.
    """

    model_config = ConfigDict(frozen=True)

    batch: str | None = None
    audience: str | None = None
    alone: tuple[int, ...] = ()
    absent: tuple[int, ...] = ()
    kept_out: Mapping[int, str] = {}

    @classmethod
    def parse(cls, text: str) -> ImportJob:
        """What ``str`` gave."""
        return cls.model_validate_json(text)

    def __str__(self) -> str:
        return self.model_dump_json(exclude_defaults=True)


class Imports:
    """The account's bulk imports.

    Args:
        http: The engine's HTTP for the account.
        people: Its contacts.
        fields: Its custom fields.
        audiences: Its tags and lists.
        settings: Say whether imports start automations.
    """

    def __init__(
        self,
        http: Http,
        people: People,
        fields: CustomFields,
        audiences: Audiences,
        settings: ActiveCampaignSettings,
    ) -> None:
        self._http = http
        self._people = people
        self._fields = fields
        self._audiences = audiences
        self._more = {} if settings.run_automations else {"exclude_automations": True}

    def submit(self, rows: Sequence[DeliveryRow], audience: Audience | None, *, creates: bool) -> ImportJob:
        """Hand contacts over, less those who may not be created or subscribed.

        Raises:
            RefusedError: It was refused as a whole, and not for contacts that can be told from the others.
        """
        in_list = audience is not None and audience.kind == "list"
        numbers = self._numbers_of(rows) if in_list or not creates else {}
        absent = () if creates else tuple(row.number for row in rows if row.key not in numbers)
        kept_out: Mapping[int, str] = {}
        membership: dict[str, object] = {}
        if audience is not None and in_list:
            kept_out = self._kept_out(rows, numbers, audience)
            membership = {"subscribe": [{"listid": audience.number}]}
        elif audience is not None:
            membership = {"tags": [self._audiences.tag_name(audience.number)]}
        contacts = {
            row.number: {"email": row.match_value, **self._fields.in_import(row.fields), **membership}
            for row in rows
            if row.number not in absent and row.number not in kept_out
        }
        batch, alone = self._hand_over(contacts, leave_out=not in_list)
        place = None if audience is None else str(audience)
        return ImportJob(batch=batch, audience=place, alone=alone, absent=absent, kept_out=kept_out)

    def subscribe(self, audience: Audience, rows: Sequence[DeliveryRow]) -> dict[str, Outcome]:
        """Put contacts who are there on a list, and wait until that is done."""
        bare = [
            DeliveryRow(number=row.number, match_value=row.match_value, fields={}, external_id=row.external_id)
            for row in rows
        ]
        job = self.submit(bare, audience, creates=False)
        for _ in range(_LOOKS):
            if self.progress(job).done:
                return self.outcomes(job, bare)
            sleep_unless_stopped(_LOOK_AGAIN)
        late = retry_later("not_ended", "ActiveCampaign has not ended the import that subscribes the person.")
        return {row.key: late for row in rows}

    def progress(self, job: ImportJob) -> JobProgress:
        """Whether an import has ended.

        Raises:
            RefusedError: ActiveCampaign no longer knows it.
        """
        if job.batch is None:
            return JobProgress(done=True)
        try:
            # Just after it was taken the status may be false.
            return JobProgress(done=self._results(job.batch).get("status") in _ENDED)
        except NotFoundError as error:
            raise RefusedError("ActiveCampaign no longer knows the import.", status=404) from error

    def outcomes(self, job: ImportJob, rows: Sequence[DeliveryRow]) -> dict[str, Outcome]:
        """Outcomes by match value of an import that has ended."""
        results = self._results(job.batch) if job.batch else {}
        written = self._people.emails([str(number) for number in results.get("success") or ()])
        failed = {str(email).strip().lower() for email in results.get("failure") or ()}
        return {row.key: self._outcome(job, row, written, failed) for row in rows}

    def _outcome(self, job: ImportJob, row: DeliveryRow, written: Mapping[str, str], failed: set[str]) -> Outcome:
        key = row.key
        if row.number in job.absent:
            return NOT_FOUND
        if row.number in job.kept_out:
            return suppressed(*NOT_SUBSCRIBABLE[job.kept_out[row.number]])
        if key in written:
            return self._cleared(row) or accepted(written[key])
        if row.number in job.alone or key in failed:
            return self._alone(job, row)
        return retry_later("not_in_results", "The results of the import do not name the row.")

    def _alone(self, job: ImportJob, row: DeliveryRow) -> Outcome:
        """A row that was not imported, by requests of its own: their answers say what is wrong with it."""
        audience = Audience.parse(job.audience) if job.audience else None
        if audience is not None and audience.kind == "list":
            return rejected("not_imported", "The import did not take the person, and does not say why.")
        outcome = self._people.write(row)
        if audience is None or outcome.status is not Status.ACCEPTED:
            return outcome
        known = DeliveryRow(number=row.number, match_value=row.match_value, fields={}, external_id=outcome.external_id)
        return self._people.tag(known, audience.number)

    def _cleared(self, row: DeliveryRow) -> Outcome | None:
        """Empty the fields that an import may pass over; the outcome where that fails."""
        empty = {name: value for name, value in row.fields.items() if value is None}
        if not empty:
            return None
        outcome = self._people.write(DeliveryRow(number=row.number, match_value=row.match_value, fields=empty))
        return None if outcome.status is Status.ACCEPTED else outcome

    def _numbers_of(self, rows: Sequence[DeliveryRow]) -> dict[str, str]:
        """Contacts' numbers by the address they have now; those who are not there are left out."""
        found = self._people.emails([row.external_id for row in rows if row.external_id])
        for row in rows:
            if row.key not in found:
                number = self._people.number_of(row)
                if number is not None:
                    found[row.key] = number
        return found

    def _kept_out(self, rows: Sequence[DeliveryRow], numbers: Mapping[str, str], audience: Audience) -> dict[int, str]:
        known = {row.number: numbers[row.key] for row in rows if row.key in numbers}
        statuses = self._people.list_statuses(list(known.values()), audience.number)
        stands = {place: statuses.get(number, "") for place, number in known.items()}
        return {place: status for place, status in stands.items() if status in NOT_SUBSCRIBABLE}

    def _hand_over(
        self, contacts: Mapping[int, Mapping[str, object]], *, leave_out: bool
    ) -> tuple[str | None, tuple[int, ...]]:
        """The import's id, None where nobody is in it, and the numbers of those it was refused for."""
        left, alone = dict(contacts), list[int]()
        for _ in range(_TRIES):
            if not left:
                break
            try:
                answer = self._http.post("/import/bulk_import", {"contacts": list(left.values()), **self._more})
            except RefusedError as error:
                numbers = list(left)
                suspects = [numbers[place] for place in sorted(refused_places(error, len(numbers)))]
                if not (suspects and leave_out):
                    raise
                alone += suspects
                left = {number: contact for number, contact in left.items() if number not in suspects}
            else:
                return str(answer["batchId"]), tuple(alone)
        return None, (*alone, *left)

    def _results(self, batch: str) -> Mapping[str, Any]:
        """The status of an import, the ids of contacts it wrote, and the addresses of those it did not."""
        answer: Mapping[str, Any] = self._http.get("/import/info", {"batchId": batch})
        return answer
