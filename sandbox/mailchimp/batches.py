"""`/batches`: many operations handed over at once and worked off later."""

from __future__ import annotations

import gzip
import io
import secrets
import tarfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field

from millstream.sandbox.mailchimp.listing import check_query, page_of, shaped, stamp
from millstream.sandbox.mailchimp.problems import not_found, problem
from millstream.sandbox.system import Answer, Call, JsonObject

LARGEST_JOB = 1000
MOST_PENDING = 500
ROWS_PER_FILE = 200
LINK_SECONDS = 600
STAGES = ("pending", "preprocessing", "started", "finalizing")


class Operation(BaseModel):
    """One request of a job; `body` is JSON in a string."""

    model_config = ConfigDict(extra="forbid")

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: Annotated[str, Field(pattern="^/")]
    params: dict[str, str | int | bool] = Field(default_factory=dict)
    body: str = ""
    operation_id: str = ""


class NewJob(BaseModel):
    """Body of `POST /batches`."""

    model_config = ConfigDict(extra="forbid")

    operations: Annotated[list[Operation], Field(min_length=1, max_length=LARGEST_JOB)]


@dataclass(slots=True)
class Job:
    """One job. `results` are there once it has run."""

    job_id: str
    operations: Sequence[Operation]
    submitted: float
    submitted_ms: int
    completed_ms: int | None = None
    results: list[JsonObject] | None = None
    links: dict[str, float] = field(default_factory=dict)


class Batches:
    """All jobs and the endpoints about them.

    Args:
        run: Carries out one operation on behalf of a request and answers it.

    Attributes:
        seconds: How long a job takes; tests may change it.
    """

    def __init__(self, run: Callable[[Call, Operation], Answer]) -> None:
        self._run = run
        self.reset()

    def reset(self) -> None:
        """Forget all jobs."""
        self._jobs: dict[str, Job] = {}
        self.seconds = 0.5

    def work_off(self, call: Call) -> None:
        """Run the jobs whose time has come. Called with every request, since nothing else wakes up."""
        for job in self._jobs.values():
            if job.results is None and time.monotonic() - job.submitted >= self.seconds:
                job.results = [self._result(call, operation) for operation in job.operations]
                job.completed_ms = int(time.time() * 1000)

    def _result(self, call: Call, operation: Operation) -> JsonObject:
        answer = self._run(call, operation)
        return {
            "status_code": answer.status,
            "operation_id": operation.operation_id,
            "response": answer.encoded().decode(),
        }

    def create(self, call: Call) -> Answer:
        """Take a job."""
        new = call.body_as(NewJob)
        if sum(job.results is None for job in self._jobs.values()) >= MOST_PENDING:
            raise problem(429, "Too Many Requests", f"There are {MOST_PENDING} pending batches already.")
        job = Job(secrets.token_hex(5), new.operations, time.monotonic(), int(time.time() * 1000))
        self._jobs[job.job_id] = job
        return Answer(self._body(call, job))

    def list_jobs(self, call: Call) -> Answer:
        """All jobs."""
        check_query(call)
        rows = [self._body(call, job) for job in page_of(call, list(self._jobs.values()))]
        return shaped(call, {"batches": rows, "total_items": len(self._jobs)})

    def get(self, call: Call) -> Answer:
        """One job; once it is finished, with a link to the results."""
        return shaped(call, self._body(call, self._job(call)))

    def delete(self, call: Call) -> Answer:
        """Drop a job; what has not run never will."""
        del self._jobs[self._job(call).job_id]
        return Answer(None, 204)

    def download(self, call: Call) -> Answer:
        """The results as a gzipped tar. No key is needed, but a link that is not too old.

        The link leads to a store of files that refuses a request signed to in two ways.
        """
        if "authorization" in call.headers:
            return Answer(b"<Error><Code>InvalidArgument</Code></Error>", 400, {}, "application/xml")
        job = self._job(call)
        issued = job.links.get(call.query.get("signature", ""))
        if job.results is None or issued is None or time.monotonic() - issued > LINK_SECONDS:
            return Answer(b"<Error><Code>AccessDenied</Code></Error>", 403, {}, "application/xml")
        return Answer(_archive(job), 200, {}, "application/gzip")

    def _job(self, call: Call) -> Job:
        job = self._jobs.get(call.params["job_id"])
        if job is None:
            raise not_found(f"batch {call.params['job_id']}")
        return job

    def _body(self, call: Call, job: Job) -> JsonObject:
        elapsed = time.monotonic() - job.submitted
        stage = min(int(elapsed / max(self.seconds, 1e-9) * len(STAGES)), len(STAGES) - 1)
        body: JsonObject = {
            "id": job.job_id,
            "status": "finished" if job.results is not None else STAGES[stage],
            "total_operations": len(job.operations),
            "finished_operations": 0,
            "errored_operations": 0,
            "submitted_at": stamp(job.submitted_ms),
            "completed_at": stamp(job.completed_ms),
            "response_body_url": "",
        }
        if job.results is not None:
            signature = secrets.token_hex(8)
            job.links[signature] = time.monotonic()
            failed = [row for row in job.results if isinstance(row["status_code"], int) and row["status_code"] >= 400]
            body |= {
                "finished_operations": len(job.results),
                "errored_operations": len(failed),
                "response_body_url": f"{call.base_url}/batch-results/{job.job_id}.tar.gz?signature={signature}",
            }
        return body


def _archive(job: Job) -> bytes:
    results = job.results or []
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        folder = tarfile.TarInfo("./")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for start in range(0, len(results), ROWS_PER_FILE):
            data = orjson.dumps(results[start : start + ROWS_PER_FILE])
            entry = tarfile.TarInfo(f"./{job.job_id}-{start // ROWS_PER_FILE}.json")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return gzip.compress(packed.getvalue())
