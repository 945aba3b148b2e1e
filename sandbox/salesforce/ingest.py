"""Bulk API 2.0 ingest jobs: made, given CSV, closed, worked off in the background, and told of row by row."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence

from millstream.sandbox.salesforce.errors import no_such_object, not_found, refusal
from millstream.sandbox.salesforce.fields import Field
from millstream.sandbox.salesforce.ids import record_id
from millstream.sandbox.salesforce.ingest_job import OVER, RUNNING, IngestChange, IngestJob, IngestOrder, results
from millstream.sandbox.salesforce.intake import Given, columns_of, read_cells
from millstream.sandbox.salesforce.objects import Sobject
from millstream.sandbox.salesforce.queries import Visible
from millstream.sandbox.salesforce.records import Records
from millstream.sandbox.salesforce.values import RowRefused
from millstream.sandbox.salesforce.writer import Hand, Writer
from millstream.sandbox.system import Answer, Call

OLDEST_VERSION = 41
FIRST_JOB = 1_000_000
CHUNK, BATCH = 200, 10_000
"""Rows that are written at a time, and rows of one batch in the day's count."""
LARGEST_UPLOAD = 150_000_000


class Ingest:
    """Handlers of the ingest jobs.

    Attributes:
        seconds: How long a job takes once it is closed; tests may change it.
        fails_after: After how many rows jobs fail, leaving the rest untried; tests may set it.
        may_purge: Whether the users may delete for good, which a new org allows to nobody.
    """

    def __init__(self, records: Records, writer: Writer, visible: Visible) -> None:
        self._records = records
        self._writer = writer
        self._visible = visible
        self.jobs: dict[str, IngestJob] = {}
        self.made = 0
        self.batches = 0
        self.seconds = 0.3
        self.fails_after: int | None = None
        self.may_purge = False

    def work_off(self) -> None:
        """Bring the jobs on whose time has come. Called with every request, since nothing else wakes up."""
        for job in self.jobs.values():
            if job.state in RUNNING:
                passed = time.monotonic() - job.closed_at
                job.state = "InProgress" if passed >= self.seconds / 3 else job.state
                if passed >= self.seconds:
                    self._run(job)

    def create(self, call: Call) -> Answer:
        """`POST /jobs/ingest`."""
        if int(call.params["version"].removeprefix("v").partition(".")[0]) < OLDEST_VERSION:
            raise not_found()
        order = call.body_as(IngestOrder)
        visible = self._visible(call)
        sobject = visible(order.object)
        if sobject is None:
            raise no_such_object(order.object)
        if order.operation == "upsert":
            _check_key(sobject, order.externalIdFieldName)
        if order.operation == "hardDelete" and not self.may_purge:
            raise refusal(400, "FEATURENOTENABLED", "hardDelete needs a permission that the user does not have")
        self.made += 1
        hand = Hand(call.caller, visible)
        job_id = record_id("750", FIRST_JOB + self.made)
        job = IngestJob(job_id, order, sobject, hand, call.params["version"], int(time.time()))
        self.jobs[job_id] = job
        return Answer(job.shown())

    def everything(self, call: Call) -> Answer:
        """`GET /jobs/ingest`."""
        del call
        records = [job.shown() for job in self.jobs.values()]
        return Answer({"done": True, "records": records, "nextRecordsUrl": None})

    def upload(self, call: Call) -> Answer:
        """`PUT /jobs/ingest/<id>/batches`, once."""
        job = self._job(call)
        if job.state != "Open" or job.uploaded:
            raise refusal(400, "CLIENTINPUTERROR", "A job takes one upload; make another job for more rows")
        if not call.headers.get("content-type", "").lower().startswith("text/csv"):
            raise refusal(400, "INVALIDCONTENTTYPE", "The content type must be text/csv")
        if len(call.body) > LARGEST_UPLOAD:
            raise refusal(413, "REQUEST_TOO_LARGE", "Request body exceeds the size that a job takes")
        job.uploaded = True
        job.refusal = call.refusal()
        job.read(call.body)
        return Answer(status=201)

    def change(self, call: Call) -> Answer:
        """`PATCH /jobs/ingest/<id>`: close it, or stop it."""
        job, wanted = self._job(call), call.body_as(IngestChange).state
        allowed = ("Open",) if wanted == "UploadComplete" else ("Open", *RUNNING)
        if job.state not in allowed:
            raise refusal(400, "INVALIDJOBSTATE", f"A job in state {job.state} cannot become {wanted}")
        job.state = wanted
        job.refusal = call.refusal() or job.refusal
        job.closed_at = time.monotonic()
        self.batches += -(-len(job.lines) // BATCH) if wanted == "UploadComplete" else 0
        return Answer(job.shown())

    def look(self, call: Call) -> Answer:
        """`GET /jobs/ingest/<id>`."""
        return Answer(self._job(call).info())

    def delete(self, call: Call) -> Answer:
        """`DELETE /jobs/ingest/<id>`, once it is closed."""
        job = self._job(call)
        if job.state not in ("UploadComplete", *OVER):
            raise refusal(400, "INVALIDJOBSTATE", f"A job in state {job.state} cannot be deleted")
        del self.jobs[job.job_id]
        return Answer(status=204)

    def successful(self, call: Call) -> Answer:
        """`GET /jobs/ingest/<id>/successfulResults`."""
        job = self._over(call)
        rows = [[record, str(created).lower(), *cells] for record, created, cells in job.done]
        return results(job, ["sf__Id", "sf__Created", *job.header], rows)

    def failures(self, call: Call) -> Answer:
        """`GET /jobs/ingest/<id>/failedResults`."""
        job = self._over(call)
        return results(job, ["sf__Id", "sf__Error", *job.header], [["", error, *cells] for error, cells in job.failed])

    def untried(self, call: Call) -> Answer:
        """`GET /jobs/ingest/<id>/unprocessedrecords`."""
        job = self._over(call)
        return results(job, job.header, job.lines[job.tried :])

    def _job(self, call: Call) -> IngestJob:
        job = self.jobs.get(call.params["job"])
        if job is None:
            raise not_found()
        return job

    def _over(self, call: Call) -> IngestJob:
        job = self._job(call)
        if job.state not in OVER:
            raise refusal(400, "INVALIDJOBSTATE", f"Job has no results in state {job.state}")
        return job

    # The work

    def _run(self, job: IngestJob) -> None:
        columns = columns_of(self._records, job.sobject, job.header)
        if not job.problem and not job.header:
            job.problem = "InvalidBatch : No data was uploaded"
        elif not job.problem and isinstance(columns, str):
            job.problem = f"InvalidBatch : Field name not found : {columns}"
        if job.problem or isinstance(columns, str):
            job.state = "Failed"
            return
        write = self._write(job, columns)
        most = len(job.lines) if self.fails_after is None else min(self.fails_after, len(job.lines))
        for start in range(0, most, CHUNK):
            chunk = job.lines[start : min(start + CHUNK, most)]
            keys = _keys(job, chunk)
            for cells, key in zip(chunk, keys, strict=True):
                try:
                    if key and Counter(keys)[key] > 1:
                        name = str(job.order.externalIdFieldName)
                        raise RowRefused("DUPLICATE_VALUE", f"Duplicate external id specified: {key}", [name])
                    job.done.append((*write(cells), cells))
                except RowRefused as refused:
                    job.failed.append((refused.as_cell(), cells))
        job.state = "JobComplete" if most == len(job.lines) else "Failed"
        job.problem = "" if most == len(job.lines) else "InternalServerError : Retried more than allowed"

    def _write(self, job: IngestJob, columns: Sequence[tuple[Field, str]]) -> Callable[[list[str]], tuple[str, bool]]:
        hand = Hand(job.hand.user, job.hand.visible, refusal=job.refusal)
        operation, sobject = job.order.operation, job.sobject
        key = None if job.order.externalIdFieldName is None else sobject.field(job.order.externalIdFieldName)

        def write(cells: list[str]) -> tuple[str, bool]:
            if len(cells) != len(columns):
                raise RowRefused("INVALID_CSV", "The row has another number of columns than the header")
            given = read_cells(self._records, columns, cells)
            if operation == "upsert" and key is not None:
                return self._writer.upsert(hand, sobject, key, given)
            if operation == "insert":
                return self._writer.insert(hand, sobject, given), True
            text, rest = _id_of(given)
            if operation == "update":
                return self._writer.update(hand, sobject, text, rest), False
            return self._writer.delete(hand, sobject, text, purge=operation == "hardDelete"), False

        return write


def _check_key(sobject: Sobject, name: str | None) -> None:
    key = None if name is None else sobject.field(name)
    if key is None or not (key.external or key.name == "Id"):
        text = (
            f"InvalidJob : Field name provided, {name} does not match an External ID, Salesforce Id, or indexed field"
        )
        raise refusal(400, "INVALIDJOB", f"{text} for {sobject.name}")


def _keys(job: IngestJob, lines: Sequence[list[str]]) -> list[str]:
    """The external ids of an upsert's rows, as they are compared; nothing for other operations."""
    name = (job.order.externalIdFieldName or "").lower()
    names = [one.lower() for one in job.header]
    if job.order.operation != "upsert" or name not in names:
        return [""] * len(lines)
    place = names.index(name)
    return [cells[place].lower() if place < len(cells) else "" for cells in lines]


def _id_of(given: Given) -> tuple[str, Given]:
    for one, value in given.items():
        if one.name == "Id" and value is not None:
            return str(value), {other: kept for other, kept in given.items() if other is not one}
    raise RowRefused("MISSING_ARGUMENT", "Id not specified", ["Id"])
