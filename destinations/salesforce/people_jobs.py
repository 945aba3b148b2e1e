"""People in jobs: their rows as columns of a file, and its results as their outcomes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from millstream.destinations.contract import DeliveryRow, JobProgress, Outcome, rejected, retry_later
from millstream.destinations.modes import Status
from millstream.destinations.rows import masked
from millstream.destinations.salesforce.audiences import Audiences
from millstream.destinations.salesforce.fields import JsonValue
from millstream.destinations.salesforce.jobs import CLEARED, Ended, Ingest, JobId
from millstream.destinations.salesforce.records import MOST_RECORDS, Records


class PeopleJobs:
    """Jobs that write people.

    Args:
        people: The records.
        audiences: What people are put into.
    """

    def __init__(self, people: Records, audiences: Audiences) -> None:
        self._people = people
        self._audiences = audiences
        self._ingest = Ingest(people.http, people.root, people.api_name)

    def submit(self, rows: Sequence[DeliveryRow], *, audience_id: str | None, creates: bool) -> str:
        """Upload rows, and give what to keep of the job.

        Args:
            rows: Rows that do not fit their fields are left out.
            audience_id: The audience that people are put into; None where they are not.
            creates: Whether people who are not there are created.
        """
        external_id = self._people.external_id.name
        column = self._column(audience_id)
        fit_for_a_file = [row for row in self._people.latest(rows).values() if not _says_cleared(row)]
        columns = self._upserted(fit_for_a_file) if creates else self._changed(fit_for_a_file)
        lines: list[Mapping[str, JsonValue]] = [{**values, **column} for values in columns]
        vendor_id = self._ingest.submit(lines, external_id=external_id if creates else None)
        return str(JobId(vendor_id=vendor_id, creates=creates, audience_id=audience_id or ""))

    def progress(self, job_id: str) -> JobProgress:
        """How far a job is; the first look starts it."""
        return self._ingest.progress(JobId.parse(job_id).vendor_id)

    def outcomes(self, job_id: str, rows: Sequence[DeliveryRow]) -> list[Outcome]:
        """One outcome for each row of a job that has ended; done again, it comes to the same."""
        kept = JobId.parse(job_id)
        latest = self._people.latest(rows)
        fitting, outcomes = self._people.all_values(latest.values())
        by_hand = [latest[key] for key in fitting if _says_cleared(latest[key])]
        outcomes |= self._of_job(kept, {key: latest[key] for key in fitting if latest[key] not in by_hand})
        outcomes |= self._written_by_hand(kept, by_hand)
        if kept.audience_id and not self._column(kept.audience_id):
            outcomes |= self._enrolled(kept.audience_id, latest, outcomes)
        return self._people.in_order(rows, outcomes)

    def _column(self, audience_id: str | None) -> Mapping[str, bool]:
        """What puts everybody into the audience by the job itself, where that can be."""
        return self._audiences.column(audience_id) if audience_id else {}

    def _upserted(self, rows: Sequence[DeliveryRow]) -> Iterator[dict[str, JsonValue]]:
        """Columns of an upsert."""
        latest = self._people.latest(rows)
        fitting, _ = self._people.all_values(latest.values())
        for key, values in fitting.items():
            yield {self._people.external_id.name: latest[key].match_value.strip(), **values}

    def _changed(self, rows: Sequence[DeliveryRow]) -> Iterator[dict[str, JsonValue]]:
        """Columns of a change of people who are there."""
        fitting, _ = self._people.all_values(rows)
        ids, _ = self._people.ids_of(list(self._people.latest(rows).values()))
        for key in ids:
            if key in fitting:
                yield {"Id": ids[key], **fitting[key]}

    def _of_job(self, kept: JobId, latest: Mapping[str, DeliveryRow]) -> dict[str, Outcome]:
        people = self._people
        outcomes: dict[str, Outcome] = {}
        if kept.creates:
            ended = self._ingest.ended(kept.vendor_id, by=people.external_id.name)
            ids = {key: key for key in latest}
            results = {people.external_id.key(value): result for value, result in ended.results.items()}
        else:
            ended = self._ingest.ended(kept.vendor_id, by="Id")
            ids, outcomes = people.ids_of(list(latest.values()))
            results = dict(ended.results)
        for key, named in ids.items():
            row, result = latest[key], results.get(named)
            outcomes[key] = _untouched(ended, row.match_value) if result is None else people.outcome(row, result)
        if kept.creates:
            nameless = [latest[key] for key in ids if people.lacks_name(latest[key], results.get(key, {}))]
            for some in _pieces(nameless):
                outcomes |= people.upsert(
                    some, also=dict.fromkeys(map(people.key, some), self._column(kept.audience_id))
                )
        return outcomes

    def _written_by_hand(self, kept: JobId, rows: Sequence[DeliveryRow]) -> dict[str, Outcome]:
        """Outcomes of rows that no file could carry."""
        people, column = self._people, self._column(kept.audience_id)
        outcomes: dict[str, Outcome] = {}
        for some in _pieces(rows):
            if kept.creates:
                outcomes |= people.upsert(some, also=dict.fromkeys(map(people.key, some), column))
            else:
                values, misfits = people.all_values(some)
                outcomes |= misfits | people.change(some, values)
        return outcomes

    def _enrolled(
        self, audience_id: str, latest: Mapping[str, DeliveryRow], outcomes: Mapping[str, Outcome]
    ) -> dict[str, Outcome]:
        """Outcomes of putting those in whose fields were taken."""
        taken = [
            DeliveryRow(
                number=row.number, match_value=row.match_value, fields={}, external_id=outcomes[key].external_id
            )
            for key, row in latest.items()
            if outcomes[key].status is Status.ACCEPTED
        ]
        enrolled: dict[str, Outcome] = {}
        for some in _pieces(taken):
            enrolled |= self._audiences.add(audience_id, some)
        return enrolled


def _says_cleared(row: DeliveryRow) -> bool:
    """Whether a text of the row is the very word that clears a field in a file."""
    return any(isinstance(value, str) and value.strip() == CLEARED for value in row.fields.values())


def _untouched(ended: Ended, match_value: str) -> Outcome:
    """The outcome of a row that a job did not come to."""
    if ended.misshapen:
        return rejected(
            "invalid_batch",
            f"The job was refused: {masked(ended.failed or '', match_value)}",
            fault="configuration",
        )
    if ended.failed:
        return retry_later("job_failed", f"The job ended before the row: {masked(ended.failed, match_value)}")
    return retry_later("not_in_results", "The results of the job do not name the row.")


def _pieces(rows: Sequence[DeliveryRow]) -> Iterator[Sequence[DeliveryRow]]:
    for start in range(0, len(rows), MOST_RECORDS):
        yield rows[start : start + MOST_RECORDS]
