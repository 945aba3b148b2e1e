"""Jobs (Bulk API 2.0): rows handed over as one CSV file, worked off by Salesforce, and told of in three more.

A job that is only uploaded does nothing. It is started by the first look at it, when its id is kept already: so no job
ever runs that nobody knows of, and a submission whose answer was lost is simply made again.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from millstream.destinations.contract import JobProgress
from millstream.destinations.http import Http, Upload
from millstream.destinations.rows import text_value
from millstream.destinations.salesforce.answers import Result, result_of_job_error
from millstream.destinations.salesforce.fields import JsonValue
from millstream.state.errors import MillstreamError, NotFoundError, RefusedError, UnavailableError, UnknownOutcomeError

REQUESTS_FOR_ONE = 7
"""Make, upload, look, start, one look whether it has ended, its figures, and what succeeded."""

CLEARED = "#N/A"
"""Clears a field; an empty cell leaves it alone."""

_ENDED = ("JobComplete", "Failed", "Aborted")


@dataclass(frozen=True, kw_only=True)
class JobId:
    """What we keep of a job.

    Attributes:
        vendor_id: Salesforce's id.
        creates: Whether it upserts by external id; else it changes records by their ids.
        audience_id: The audience that people go into once it has ended; empty where they do not.
    """

    vendor_id: str
    creates: bool
    audience_id: str = ""

    @classmethod
    def parse(cls, text: str) -> JobId:
        """What ``str`` gave."""
        vendor_id, way, audience_id = text.split(":", 2)
        return cls(vendor_id=vendor_id, creates=way == "upsert", audience_id=audience_id)

    def __str__(self) -> str:
        return f"{self.vendor_id}:{'upsert' if self.creates else 'update'}:{self.audience_id}"


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What became of a job's rows.

    Attributes:
        results: By the value of the column that names people; who has none was not worked on.
        failed: Why the job as a whole ended before its time; None where it did not.
        misshapen: Whether that is because Salesforce could not read the file.
    """

    results: Mapping[str, Result]
    failed: str | None
    misshapen: bool


class Ingest:
    """The organization's ingest jobs.

    Args:
        http: The engine's HTTP for the organization.
        root: Path of the API.
        api_name: The object that jobs write.
    """

    def __init__(self, http: Http, root: str, api_name: str) -> None:
        self._http = http
        self._jobs = f"{root}/jobs/ingest"
        self._api_name = api_name

    def submit(self, rows: Sequence[Mapping[str, JsonValue]], *, external_id: str | None) -> str:
        """Make a job and upload its rows, without starting it.

        Args:
            rows: Values by column; a column that a row has not is left alone.
            external_id: The field to upsert by; None changes records by ``Id``.

        Returns:
            Salesforce's id of the job.
        """
        about = {"operation": "upsert", "externalIdFieldName": external_id} if external_id else {"operation": "update"}
        order = {"object": self._api_name, "contentType": "CSV", "lineEnding": "LF", "columnDelimiter": "COMMA"}
        job_id = str(self._http.post(self._jobs, {**order, **about})["id"])
        try:
            self._upload(job_id, rows)
        except MillstreamError as error:
            with suppress(MillstreamError):
                self._set(job_id, "Aborted")
            if isinstance(error, UnknownOutcomeError):
                raise UnavailableError("Whether a job's rows arrived is not known; it was not started.") from error
            raise
        return job_id

    def progress(self, job_id: str) -> JobProgress:
        """How far a job is; the first look starts it.

        Raises:
            RefusedError: Salesforce no longer knows it.
        """
        state = self._job(job_id)["state"]
        if state == "Open":
            try:
                self._set(job_id, "UploadComplete")
            except RefusedError:
                # Started by a request whose answer was lost.
                if self._job(job_id)["state"] == "Open":
                    raise
        return JobProgress(done=state in _ENDED)

    def ended(self, job_id: str, *, by: str) -> Ended:
        """What became of the rows of a job that has ended.

        Args:
            job_id: Salesforce's id.
            by: The column that names people.
        """
        job = self._job(job_id)
        results: dict[str, Result] = {}
        for row in self._table(job_id, "successfulResults"):
            results[row[by]] = {"success": True, "id": row["sf__Id"]}
        if int(job.get("numberRecordsFailed") or 0):
            for row in self._table(job_id, "failedResults"):
                results[row[by]] = result_of_job_error(row["sf__Error"])
        if job["state"] == "JobComplete":
            return Ended(results=results, failed=None, misshapen=False)
        why = str(job.get("errorMessage") or f"it ended as {job['state']}")
        return Ended(results=results, failed=why, misshapen="InvalidBatch" in why or "field name" in why.lower())

    def _upload(self, job_id: str, rows: Sequence[Mapping[str, JsonValue]]) -> None:
        file = Upload(content=as_csv(rows), media_type="text/csv; charset=UTF-8")
        # Not repeated: a job takes one file only, and the next job costs nothing.
        self._http.request("PUT", f"{self._jobs}/{job_id}/batches", body=file, replay=False)

    def _set(self, job_id: str, state: str) -> None:
        self._http.request("PATCH", f"{self._jobs}/{job_id}", body={"state": state})

    def _job(self, job_id: str) -> Mapping[str, Any]:
        try:
            job: Mapping[str, Any] = self._http.get(f"{self._jobs}/{job_id}")
        except NotFoundError as error:
            raise RefusedError("Salesforce no longer knows the job.", status=404) from error
        return job

    def _table(self, job_id: str, name: str) -> Iterator[Mapping[str, str]]:
        text = self._http.read(f"{self._jobs}/{job_id}/{name}", headers={"Accept": "text/csv"}).decode("utf-8-sig")
        yield from csv.DictReader(io.StringIO(text, newline=""))


def as_csv(rows: Sequence[Mapping[str, JsonValue]]) -> bytes:
    """Rows as a job takes them."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(row, name) for name in columns] for row in rows)
    return text.getvalue().encode()


def _cell(row: Mapping[str, JsonValue], name: str) -> str:
    if name not in row:
        return ""
    return CLEARED if row[name] is None else text_value(row[name])
