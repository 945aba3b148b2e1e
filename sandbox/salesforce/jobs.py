"""Bulk API 2.0 query jobs: made, waited for, read as CSV by locator, aborted, deleted."""

from __future__ import annotations

import base64
import binascii
import csv
import gzip
import io
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from millstream.sandbox.salesforce.errors import malformed_query, not_found, refusal
from millstream.sandbox.salesforce.fields import Field
from millstream.sandbox.salesforce.ids import record_id
from millstream.sandbox.salesforce.queries import Visible, moment
from millstream.sandbox.salesforce.records import Records
from millstream.sandbox.salesforce.rows import Row, Value
from millstream.sandbox.salesforce.searching import find
from millstream.sandbox.salesforce.soql import Statement, parse
from millstream.sandbox.salesforce.tokens import USER_ID
from millstream.sandbox.system import Answer, Call, JsonObject

DELIMITERS = {"BACKQUOTE": "`", "CARET": "^", "COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "TAB": "\t"}
ENDINGS = {"LF": "\n", "CRLF": "\r\n"}
LARGEST_PAGE = 50_000
OLDEST_VERSION = 47
POLLS_TO_COMPLETE = 2
"""A job is in progress when first looked at, and complete at the next look."""


class JobOrder(BaseModel):
    """The body that makes a job."""

    model_config = ConfigDict(extra="forbid")

    operation: Literal["query", "queryAll"]
    query: str
    contentType: Literal["CSV"] = "CSV"  # noqa: N815  the vendor's name
    columnDelimiter: Literal["BACKQUOTE", "CARET", "COMMA", "PIPE", "SEMICOLON", "TAB"] = "COMMA"  # noqa: N815
    lineEnding: Literal["LF", "CRLF"] = "LF"  # noqa: N815


class JobChange(BaseModel):
    """The body that stops a job."""

    model_config = ConfigDict(extra="forbid")

    state: Literal["Aborted"]


@dataclass(slots=True)
class Job:
    """One query job and its result."""

    job_id: str
    order: JobOrder
    statement: Statement
    version: str
    rows: tuple[Row, ...]
    created: int
    state: str = "UploadComplete"
    polls: int = 0
    problem: str = ""

    def shown(self) -> JsonObject:
        """What is told when the job is made."""
        return {
            "id": self.job_id,
            "operation": self.order.operation,
            "object": self.statement.sobject.name,
            "createdById": USER_ID,
            "createdDate": moment(self.created),
            "systemModstamp": moment(self.created + self.polls),
            "state": self.state,
            "concurrencyMode": "Parallel",
            "contentType": self.order.contentType,
            "apiVersion": float(self.version.removeprefix("v")),
            "lineEnding": self.order.lineEnding,
            "columnDelimiter": self.order.columnDelimiter,
        }

    def info(self) -> JsonObject:
        """What is told when the job is looked at."""
        done = self.state == "JobComplete"
        told: JsonObject = self.shown() | {
            "jobType": "V2Query",
            "numberRecordsProcessed": len(self.rows) if done else 0,
            "retries": 0,
            "totalProcessingTime": 300 if done else 0,
            "isPkChunkingSupported": True,
        }
        return told | {"errorMessage": self.problem} if self.problem else told


class Jobs:
    """Handlers of the query jobs."""

    def __init__(self, records: Records, visible: Visible) -> None:
        self._records = records
        self._visible = visible
        self.jobs: dict[str, Job] = {}
        self.made = 0

    def create(self, call: Call) -> Answer:
        """`POST /jobs/query`. The result is that of the moment the job is made."""
        if int(call.params["version"].removeprefix("v").partition(".")[0]) < OLDEST_VERSION:
            raise not_found()
        order = call.body_as(JobOrder)
        statement = parse(order.query, self._visible(call))
        if statement.counts or statement.parents:
            what = "Aggregate queries" if statement.counts else "Fields of other records"
            raise malformed_query(f"{what} are not supported in Bulk Query")
        places = find(self._records, statement, all_rows=order.operation == "queryAll")
        rows = tuple(self._records.row(statement.sobject.name, place) for place in places)
        self.made += 1
        job = Job(record_id("750", self.made), order, statement, call.params["version"], rows, int(time.time()))
        self.jobs[job.job_id] = job
        return Answer(job.shown())

    def everything(self, call: Call) -> Answer:
        """`GET /jobs/query`."""
        del call
        return Answer({"done": True, "records": [job.shown() for job in self.jobs.values()], "nextRecordsUrl": None})

    def look(self, call: Call) -> Answer:
        """`GET /jobs/query/<id>`: each look brings an unfinished job one step on."""
        job = self._job(call)
        if job.state in ("UploadComplete", "InProgress"):
            job.polls += 1
            job.state = "JobComplete" if job.polls >= POLLS_TO_COMPLETE else "InProgress"
            if any(field.type == "address" for field in job.statement.fields):
                job.state = "Failed"
                job.problem = "FUNCTIONALITY_NOT_ENABLED: Selecting compound data not supported in Bulk Query"
        return Answer(job.info())

    def stop(self, call: Call) -> Answer:
        """`PATCH /jobs/query/<id>`."""
        job = self._job(call)
        call.body_as(JobChange)
        if job.state not in ("UploadComplete", "InProgress"):
            raise refusal(400, "INVALIDJOBSTATE", f"Aborting already completed job not allowed: {job.state}")
        job.state = "Aborted"
        return Answer(job.info())

    def delete(self, call: Call) -> Answer:
        """`DELETE /jobs/query/<id>`, once it is over."""
        job = self._job(call)
        if job.state in ("UploadComplete", "InProgress"):
            raise refusal(400, "INVALIDJOBSTATE", "Deleting an unfinished job is not allowed")
        del self.jobs[job.job_id]
        return Answer(status=204)

    def results(self, call: Call) -> Answer:
        """`GET /jobs/query/<id>/results`: CSV, at most `maxRecords` rows, and where the next ones are."""
        job = self._job(call)
        if job.version != call.params["version"]:
            raise refusal(409, "API_VERSION_MISMATCH", "Use the API version the job was made with")
        if job.state != "JobComplete":
            raise refusal(400, "INVALIDJOBSTATE", f"Job has no results in state {job.state}")
        size = call.query.get("maxRecords", str(LARGEST_PAGE))
        if not size.isdigit() or int(size) < 1:
            raise refusal(400, "INVALID_FIELD", "maxRecords must be a positive number")
        start = _start(call.query.get("locator", ""), len(job.rows))
        end = start + call.page_limit(int(size))
        rows = () if call.strike.get("empty") else job.rows[start:end]
        body = _csv(call, job, rows)
        more = end < len(job.rows) and not call.strike.get("empty")
        headers = {
            "Sforce-Locator": base64.urlsafe_b64encode(str(end).encode()).decode().rstrip("=") if more else "null",
            "Sforce-NumberOfRecords": str(len(rows)),
        }
        if "gzip" in call.headers.get("accept-encoding", "") and len(body) > 200:
            body, headers = gzip.compress(body, 1), {**headers, "Content-Encoding": "gzip"}
        return Answer(body, headers=headers, media_type="text/csv; charset=UTF-8")

    def _job(self, call: Call) -> Job:
        job = self.jobs.get(call.params["job"])
        if job is None:
            raise not_found()
        return job


def _start(locator: str, rows: int) -> int:
    if not locator:
        return 0
    try:
        start = int(base64.urlsafe_b64decode(locator + "=" * (-len(locator) % 4)))
    except (binascii.Error, ValueError) as error:
        raise refusal(400, "INVALID_QUERY_LOCATOR", "invalid query locator") from error
    if not 0 <= start < rows:
        raise refusal(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
    return start


def _csv(call: Call, job: Job, rows: Sequence[Row]) -> bytes:
    """The rows as CSV, every value in quotes. The faults that spoil JSON spoil it alike."""
    renamed, dropped = call.strike.get("rename_field"), call.strike.get("drop_field")
    fields = [field for field in job.statement.fields if dropped is None or field.name != dropped.field]
    header = [
        str(renamed.to_name) if renamed is not None and field.name == renamed.from_name else field.name
        for field in fields
    ]
    text = io.StringIO()
    writer = csv.writer(
        text,
        delimiter=DELIMITERS[job.order.columnDelimiter],
        lineterminator=ENDINGS[job.order.lineEnding],
        quoting=csv.QUOTE_ALL,
    )
    writer.writerow(header)
    writer.writerows([_cell(field, row[field.name]) for field in fields] for row in rows)
    whole = text.getvalue().encode()
    return whole if call.strike.get("truncated") is None else whole[: len(whole) * 2 // 3]


def _cell(field: Field, value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if field.type == "datetime" and isinstance(value, int):
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return str(value)
