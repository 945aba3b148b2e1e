"""Jobs (Mailchimp: batch operations): many requests handed over at once, whose answers come as an archive.

Mailchimp keeps no name of ours with a job, only one with each of its operations, which comes back with the answers.
So the label goes into those: what a job was can be told once it has ended.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from millstream.destinations.contract import JobProgress
from millstream.destinations.http import Http
from millstream.destinations.mailchimp.paging import pages
from millstream.state.errors import MalformedAnswerError, NotFoundError, RefusedError, UnknownOutcomeError

MOST_OPERATIONS = 1000
"""Operations in one job. The vendor names no limit; others report this one."""
REQUESTS_FOR_ONE = 4
"""Submit, one look whether it has ended, one for the link to its answers, and the answers."""

_ENDED = "finished"
_LOOKED_INTO = 20
"""Jobs that ended, newest first, in which a lost one is looked for."""


@dataclass(frozen=True, kw_only=True)
class JobId:
    """What we keep of a job.

    Attributes:
        label: What its operations are named after.
        ids: The vendor's id; several, where it can only be one of them and none has ended yet.
    """

    label: str
    ids: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> JobId:
        """What ``str`` gave."""
        label, _, ids = text.rpartition("@")
        return cls(label=label, ids=tuple(ids.split(",")))

    def __str__(self) -> str:
        return f"{self.label}@{','.join(self.ids)}"


@dataclass(frozen=True, kw_only=True)
class Request:
    """One operation of a job.

    Attributes:
        number: By which its answer is found.
        method: HTTP method.
        path: Below the API's root.
        params: Query parameters.
        body: Sent as JSON.
        email: Whom it is about.
    """

    number: int
    method: str
    path: str
    params: Mapping[str, str]
    body: Mapping[str, object]
    email: str


@dataclass(frozen=True, kw_only=True)
class Result:
    """The answer to one operation: HTTP status and parsed body."""

    status: int
    body: object


class Batches:
    """The account's batch operations.

    Args:
        http: The engine's HTTP for the account.
    """

    def __init__(self, http: Http) -> None:
        self._http = http

    def submit(self, label: str, requests: Sequence[Request]) -> str:
        """Hand requests over; where no answer comes, the job is looked for before anyone could send it again.

        Raises:
            UnknownOutcomeError: There was no answer, and no job it could be.
        """
        operations = [_operation(label, request) for request in requests]
        try:
            job = self._http.post("/batches", {"operations": operations}, replay=False)
        except UnknownOutcomeError:
            found = self.find(label)
            if found is None:
                raise
            return found
        return str(JobId(label=label, ids=(str(job["id"]),)))

    def find(self, label: str) -> str | None:
        """A job by its label: one that ended and has it, else all that have not ended; None where there is neither.

        Those that have not ended are waited for, because ours may be among them, and would overtake newer values.
        """
        query = {"fields": "batches.id,batches.status,batches.submitted_at,total_items"}
        jobs = sorted(
            pages(self._http, "/batches", "batches", query), key=lambda job: str(job["submitted_at"]), reverse=True
        )
        for job in [job for job in jobs if job["status"] == _ENDED][:_LOOKED_INTO]:
            if any(name.startswith(f"{label}:") for name, _ in self._answers(str(job["id"]))):
                return str(JobId(label=label, ids=(str(job["id"]),)))
        running = tuple(str(job["id"]) for job in jobs if job["status"] != _ENDED)
        return str(JobId(label=label, ids=running)) if running else None

    def progress(self, job_id: str) -> JobProgress:
        """How far a job is.

        Raises:
            RefusedError: Mailchimp no longer knows it.
        """
        jobs = [job for job in map(self._job, JobId.parse(job_id).ids) if job is not None]
        if not jobs:
            raise RefusedError("Mailchimp no longer knows the job.", status=404)
        done = sum(int(job.get("finished_operations") or 0) for job in jobs)
        total = sum(int(job.get("total_operations") or 0) for job in jobs)
        return JobProgress(
            done=all(job["status"] == _ENDED for job in jobs), share=min(done / total, 1.0) if total else None
        )

    def results(self, job_id: str) -> dict[int, Result]:
        """Answers by the number of their request; a request that was never carried out has none."""
        kept = JobId.parse(job_id)
        answers = (answer for one in kept.ids for answer in self._answers(one))
        return {
            int(name.removeprefix(f"{kept.label}:")): result
            for name, result in answers
            if name.startswith(f"{kept.label}:")
        }

    def _job(self, vendor_id: str) -> Mapping[str, Any] | None:
        try:
            job: Mapping[str, Any] = self._http.get(f"/batches/{vendor_id}")
        except NotFoundError:
            return None
        return job

    def _answers(self, vendor_id: str) -> Iterator[tuple[str, Result]]:
        """Names and answers of a job's operations. The link to them ages fast, so it is asked for each time."""
        job = self._job(vendor_id)
        url = (job or {}).get("response_body_url")
        if url:
            yield from _unpacked(self._http.download(str(url)))


def _operation(label: str, request: Request) -> dict[str, object]:
    return {
        "method": request.method,
        "path": request.path,
        "params": dict(request.params),
        "body": orjson.dumps(request.body).decode(),
        "operation_id": f"{label}:{request.number}",
    }


def _unpacked(archive: bytes) -> Iterator[tuple[str, Result]]:
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as files:
            for entry in files:
                file = files.extractfile(entry)
                for answer in orjson.loads(file.read()) if file is not None else ():
                    body = _parsed(str(answer.get("response") or ""))
                    yield str(answer.get("operation_id")), Result(status=int(answer["status_code"]), body=body)
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, orjson.JSONDecodeError) as error:
        raise MalformedAnswerError(
            f"The archive of a job's answers cannot be read ({type(error).__name__})."
        ) from error


def _parsed(text: str) -> object:
    """The body of an answer; None for one that is no JSON, such as a proxy's page of an outage."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
