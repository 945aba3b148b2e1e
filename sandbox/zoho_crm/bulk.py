"""Bulk Read: a job is asked for, looked at until it is done, and its zipped CSV fetched.

Like the lists, an export leaves converted leads out; whether the vendor's does is not documented.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson
from pydantic import BaseModel, ConfigDict

from millstream.sandbox.system import Answer, ApiError, Call, JsonObject
from millstream.sandbox.zoho_crm.errors import refusal
from millstream.sandbox.zoho_crm.listing import Records
from millstream.sandbox.zoho_crm.people import MODULES, ORGANISATION
from millstream.sandbox.zoho_crm.rows import field_types, full_row, stamp, user

ROWS_OF_A_JOB, MOST_PAGES, POLLS = 200_000, 50, 2
COMPARATORS: dict[str, Callable[[str, str], bool]] = {
    "equal": lambda own, value: own == value,
    "not_equal": lambda own, value: own != value,
    "greater_than": lambda own, value: own > value,
    "greater_equal": lambda own, value: own >= value,
    "less_than": lambda own, value: own < value,
    "less_equal": lambda own, value: own <= value,
}
Test = Callable[[JsonObject], bool]


class _Module(BaseModel):
    model_config = ConfigDict(extra="forbid")
    api_name: str


class _Callback(BaseModel):
    model_config = ConfigDict(extra="forbid")
    url: str
    method: str


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid")
    module: _Module
    fields: list[str] | None = None
    criteria: dict[str, object] | None = None
    cvid: str | None = None
    page: int | None = None
    page_token: str | None = None


class _Order(BaseModel):
    model_config = ConfigDict(extra="forbid")
    query: _Query
    callback: _Callback | None = None
    file_type: str = "csv"


@dataclass(slots=True)
class Job:
    """One export: what was asked, how often it was looked at, and what came of it."""

    number: int
    module: str
    fields: list[str]
    test: Test
    criteria: dict[str, object] | None
    page: int
    asked_at: int
    polls: int = 0
    count: int = 0
    more: bool = False
    archive: bytes | None = None


class BulkReads:
    """Handlers and the jobs behind them.

    Attributes:
        rows_of_a_job: How many rows one job gives; tests may set fewer.
    """

    def __init__(self, records: Records) -> None:
        self._records = records
        self._jobs: list[Job] = []
        self.rows_of_a_job = ROWS_OF_A_JOB

    def create(self, call: Call) -> Answer:
        """`POST /crm/bulk/v8/read`."""
        if not call.body:
            raise refusal(400, "REQUEST_BODY_IS_EMPTY", "request body is empty")
        order = call.body_as(_Order)
        query = order.query
        module = query.module.api_name
        if module not in MODULES:
            raise refusal(400, "MODULE_NOT_AVAILABLE", "the module is not available", {"module": module})
        if query.cvid is not None or order.file_type != "csv":
            raise refusal(400, "CVID_NOT_SUPPORTED" if query.cvid else "QUERY_NOT_SUPPORTED", "not supported")
        types = {"id": "bigint", **field_types(module)}
        fields = query.fields or list(types)
        for name in fields:
            if name not in types:
                details: JsonObject = {"api_name": name, "module": module}
                raise refusal(400, "FIELD_NOT_AVAILABLE", "the field is not available", details)
        job = Job(
            ORGANISATION + 500_000 + len(self._jobs),
            module,
            [name for name in fields if name != "id"],
            _compiled(query.criteria, types, module),
            query.criteria,
            self._page(query),
            self._records.company.today_ms // 1000,
        )
        self._jobs.append(job)
        made = {
            "id": str(job.number),
            "operation": "read",
            "state": "ADDED",
            "created_by": user(0),
            "created_time": stamp(job.asked_at),
        }
        row = {"status": "success", "code": "ADDED_SUCCESSFULLY", "message": "Added successfully.", "details": made}
        return Answer({"data": [row], "info": {}}, 201)

    def _page(self, query: _Query) -> int:
        if query.page is not None and query.page_token is not None:
            raise refusal(400, "INVALID_REQUEST", "page and page_token cannot be used together")
        if query.page_token is not None:
            name, _, page = query.page_token.partition("-")
            if name != f"next{query.module.api_name}" or not page.isdigit():
                raise refusal(400, "INVALID_REQUEST", "the page_token is invalid")
            return int(page)
        if query.page is not None and not 1 <= query.page <= MOST_PAGES:
            raise refusal(400, "PAGE_RANGE_EXCEEDED", "the page is out of range", {"max_limit": MOST_PAGES})
        return query.page or 1

    def status(self, call: Call) -> Answer:
        """`GET /crm/bulk/v8/read/{job_id}`: done at the second look."""
        job = self._job(call, 404)
        job.polls += 1
        if job.polls >= POLLS and job.archive is None:
            self._export(job)
        query: JsonObject = {"module": {"api_name": job.module}, "fields": job.fields, "page": job.page}
        row: JsonObject = {
            "id": str(job.number),
            "operation": "read",
            "state": "IN PROGRESS" if job.archive is None else "COMPLETED",
            "query": query if job.criteria is None else {**query, "criteria": job.criteria},
            "created_by": user(0),
            "created_time": stamp(job.asked_at),
            "file_type": "csv",
        }
        if job.archive is not None:
            row["result"] = {
                "page": job.page,
                "per_page": self.rows_of_a_job,
                "count": job.count,
                "download_url": f"/crm/bulk/v8/read/{job.number}/result",
                "more_records": job.more,
                "next_page_token": f"next{job.module}-{job.page + 1}" if job.more else None,
            }
        return Answer({"data": [row]})

    def result(self, call: Call) -> Answer:
        """`GET /crm/bulk/v8/read/{job_id}/result`: a zip with one CSV file."""
        job = self._job(call, 400)
        if job.archive is None:
            raise _no_such_job(job.number, 400)
        headers = {"content-disposition": f"attachment; filename={job.number}.zip"}
        return Answer(job.archive, 200, headers, "application/x-download")

    def _job(self, call: Call, status: int) -> Job:
        for job in self._jobs:
            if str(job.number) == call.params["job_id"]:
                return job
        raise _no_such_job(call.params["job_id"], status)

    def _export(self, job: Job) -> None:
        rows = []
        for record in sorted(self._records.of(job.module), key=lambda one: one.number):
            if record.deleted is None and record.converted is None:
                row = full_row(self._records.company, job.module, record)
                if job.test(row):
                    rows.append(row)
        start, end = (job.page - 1) * self.rows_of_a_job, job.page * self.rows_of_a_job
        job.count, job.more = len(rows[start:end]), end < len(rows)
        job.archive = _zipped(job, rows[start:end])


def _no_such_job(number: object, status: int) -> ApiError:
    return refusal(status, "RESOURCE_NOT_FOUND", "the resource does not exist", {"resource": str(number)})


def _compiled(criteria: dict[str, object] | None, types: dict[str, str], module: str) -> Test:
    if criteria is None:
        return _everything
    group = criteria.get("group")
    if group is not None:
        if not isinstance(group, list) or criteria.get("group_operator") not in ("and", "or"):
            raise refusal(400, "INVALID_CRITERIA", "a group needs an operator", {})
        tests = [_compiled(part if isinstance(part, dict) else {}, types, module) for part in group]
        every = criteria["group_operator"] == "and"
        return lambda row: (all if every else any)(test(row) for test in tests)
    field, comparator = criteria.get("field"), str(criteria.get("comparator"))
    name = str(field.get("api_name")) if isinstance(field, dict) else ""
    if name not in types:
        raise refusal(400, "FIELD_IN_CRITERIA_NOT_AVAILABLE", "unknown field", {"api_name": name, "module": module})
    if comparator not in COMPARATORS or "value" not in criteria:
        details: JsonObject = {"comparator": comparator, "api_name": name, "supported": list(COMPARATORS)}
        raise refusal(400, "FIELD_COMPARATOR_IN_CRITERIA_NOT_SUPPORTED", "unknown comparator", details)
    value, compare = str(criteria["value"]), COMPARATORS[comparator]
    if types[name] == "datetime":
        return lambda row: row.get(name) is not None and compare(_instant(str(row[name])), _instant(value))
    return lambda row: compare(_cell(row.get(name)), value)


def _everything(row: JsonObject) -> bool:
    del row
    return True


def _instant(text: str) -> str:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise refusal(400, "FIELD_AND_VALUE_IN_CRITERIA_NOT_COMPATIBLE", "not a time", {"value": text}) from error
    if at.tzinfo is None:
        raise refusal(400, "FIELD_AND_VALUE_IN_CRITERIA_NOT_COMPATIBLE", "a time needs its offset", {"value": text})
    return at.astimezone(UTC).isoformat()


def _zipped(job: Job, rows: Sequence[JsonObject]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["Id", *job.fields])
    writer.writerows([row["id"], *(_cell(row.get(name)) for name in job.fields)] for row in rows)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{job.number}.csv", text.getvalue())
    return packed.getvalue()


def _cell(value: object) -> str:
    """A value as the CSV has it: a looked-up record is its id, a list its names."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return str(value.get("id", ""))
    if isinstance(value, list):
        return ",".join(str(one["name"]) if isinstance(one, dict) else str(one) for one in value)
    return value if isinstance(value, str) else orjson.dumps(value).decode()
