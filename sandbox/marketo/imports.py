"""Bulk import: a file of leads handed over at once, worked off by two jobs at a time."""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from millstream.sandbox.faults import FaultOrder, row_is_refused
from millstream.sandbox.marketo.answers import RowRefused, done, lead_not_found, refused
from millstream.sandbox.marketo.fields import Schema
from millstream.sandbox.marketo.lists import Lists, StaticList
from millstream.sandbox.marketo.register import Register
from millstream.sandbox.marketo.values import Value, is_address
from millstream.sandbox.system import Answer, Call, JsonObject

DELIMITERS = {"csv": ",", "tsv": "\t", "ssv": ";"}
RUNNING_AT_ONCE, MOST_QUEUED = 2, 10
DAYS_KEPT = 7
NULL = "null"
FAILURE, WARNING = "Import Failure Reason", "Import Warning Reason"
_BOUNDARY = re.compile(r'boundary="?([^";]+)"?')
_PART_NAME = re.compile(rb'content-disposition:[^\r\n]*?\bname="([^"]*)"', re.IGNORECASE)

Status = Literal["Queued", "Importing", "Complete", "Failed"]


@dataclass(slots=True)
class Job:
    """One import.

    Attributes:
        batch_id: Its id.
        text: The file.
        form: csv, tsv or ssv.
        lookup: Field that leads are found by.
        target: List that everybody imported is put on.
        submitted: When it came, by the monotonic clock.
        refusal: The fault that refuses rows, if one was armed when the file came.
        status: As the vendor tells it.
        ended: When it was worked off, by the monotonic clock.
    """

    batch_id: int
    text: str
    form: str
    lookup: str
    target: StaticList | None
    submitted: float
    refusal: FaultOrder | None
    status: Status = "Queued"
    ended: float | None = None
    header: list[str] = field(default_factory=list)
    imported: int = 0
    failures: list[list[str]] = field(default_factory=list)
    warnings: list[list[str]] = field(default_factory=list)
    message: str = ""


class Imports:
    """All imports and the endpoints about them.

    Attributes:
        seconds: How long one takes once it runs; tests may change it.
        seconds_kept: How long a job can be asked for after it came.
    """

    def __init__(self, register: Register, schema: Schema, lists: Lists) -> None:
        self._register = register
        self._schema = schema
        self._lists = lists
        self._jobs: dict[int, Job] = {}
        self._next_id = 3404
        self.seconds = 0.3
        self.seconds_kept = DAYS_KEPT * 86_400.0

    # Time going by

    def work_off(self) -> None:
        """Bring all jobs up to now. Called with every request, since nothing else wakes up."""
        now = time.monotonic()
        free_at = [0.0] * RUNNING_AT_ONCE
        for job in list(self._jobs.values()):
            place = free_at.index(min(free_at))
            starts = max(job.submitted, free_at[place])
            free_at[place] = job.ended if job.ended is not None else starts + self.seconds
            if job.ended is None and now >= free_at[place]:
                job.ended = free_at[place]
                self._run(job)
            elif job.ended is None:
                job.status = "Importing" if now > starts else "Queued"

    # Endpoints

    def create(self, call: Call) -> Answer:
        """Take a file."""
        parts = _parts(call)
        given = {
            **{name: part.decode("utf-8", "replace") for name, part in parts.items() if name != "file"},
            **call.query,
        }
        form = given.get("format", "csv").lower()
        if form not in DELIMITERS:
            raise refused(1001, f"Invalid value '{form}'. Required of type 'format'")
        lookup = self._schema.lookup_field(given.get("lookupField", "email")).name
        if given.get("partitionName", "Default") != "Default":
            raise refused(1008, f"Access denied to partition '{given['partitionName']}'")
        target = self._lists.get(given["listId"]) if "listId" in given else None
        self._check_queue(target)
        try:
            text = parts["file"].decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise refused(1003, "Invalid data: the file is not UTF-8") from error
        if not text.strip():
            raise refused(1003, "Empty file")
        job = Job(self._next_id, text, form, lookup, target, time.monotonic(), call.refusal())
        self._jobs[job.batch_id] = job
        self._next_id += 1
        return done([{"batchId": job.batch_id, "importId": str(job.batch_id), "status": "Queued"}])

    def _check_queue(self, target: StaticList | None) -> None:
        waiting = [job for job in self._jobs.values() if job.ended is None]
        if len(waiting) >= MOST_QUEUED:
            message = f"There are {MOST_QUEUED} imports currently being processed. Please try again later"
            raise refused(1016, message)
        if target is not None and any(job.target is target for job in waiting):
            raise refused(1019, "Import in progress")

    def get(self, call: Call) -> Answer:
        """How far a job is."""
        job = self._job(call)
        body: JsonObject = {"batchId": job.batch_id, "importId": str(job.batch_id), "status": job.status}
        counts = {
            "numOfLeadsProcessed": job.imported,
            "numOfRowsFailed": len(job.failures),
            "numOfRowsWithWarning": len(job.warnings),
            "message": job.message,
        }
        return done([body | counts if job.ended is not None else body | {"numOfLeadsProcessed": 0}])

    def failures(self, call: Call) -> Answer:
        """The rows that failed, with one more column."""
        job = self._job(call)
        return _file(job, job.failures, FAILURE)

    def warnings(self, call: Call) -> Answer:
        """The rows that were imported all the same, with one more column."""
        job = self._job(call)
        return _file(job, job.warnings, WARNING)

    def _job(self, call: Call) -> Job:
        text = call.params["batch_id"]
        job = self._jobs.get(int(text)) if text.isdecimal() else None
        if job is None or time.monotonic() - job.submitted > self.seconds_kept:
            raise refused(1003, f"Invalid data: no import {text}")
        return job

    # Working

    def _run(self, job: Job) -> None:
        job.status = "Complete"
        rows = csv.reader(io.StringIO(job.text), delimiter=DELIMITERS[job.form])
        job.header = next(rows, [])
        unknown = next((name for name in job.header if self._schema.get(name) is None), None)
        if unknown is not None:
            job.status, job.message = "Failed", f"Field '{unknown}' not found"
            return
        for cells in rows:
            if not any(cells):
                continue
            try:
                warning = self._import(job, cells)
            except RowRefused as refusal:
                job.failures.append([*cells, refusal.message])
                continue
            job.imported += 1
            if warning:
                job.warnings.append([*cells, warning])
        how = "completed with errors" if job.failures else "succeeded"
        tail = f", {len(job.failures)} failed" if job.failures else ""
        tail += f", {len(job.warnings)} warning." if job.warnings else ""
        job.message = f"Import {how}, {job.imported} records imported ({job.imported} members){tail}"

    def _import(self, job: Job, cells: list[str]) -> str | None:
        """Create or update one lead and put it on the list; what is odd about it, if anything."""
        if len(cells) != len(job.header):
            raise RowRefused(1003, "Number of columns does not match the header")
        row = dict(zip(job.header, cells, strict=True))
        key = row.get(job.lookup, "")
        if not key:
            raise RowRefused(1003, f"Value for lookup field '{job.lookup}' not found")
        if job.refusal is not None and row_is_refused(job.refusal, key.lower()):
            raise RowRefused(1003, "Invalid data")
        values, warning = self._values(row)
        found = self._register.find(job.lookup, key)
        if len(found) > 1:
            raise RowRefused(1007, "Multiple lead match lookup criteria")
        if not found and job.lookup == "id":
            raise lead_not_found()
        lead = self._register.get(found[0]) if found else None
        if lead is None:
            lead = self._register.create(values)
        else:
            # An import never overwrites the flag of somebody who is there already.
            self._register.write(lead, {name: value for name, value in values.items() if name != "unsubscribed"})
        if job.target is not None:
            job.target.add(lead.lead_id)
        return warning

    def _values(self, row: dict[str, str]) -> tuple[dict[str, Value], str | None]:
        # An empty cell leaves the field alone; the word null empties it.
        given = {name: None if cell.lower() == NULL else cell for name, cell in row.items() if cell}
        email = given.get("email")
        odd = isinstance(email, str) and not is_address(email)
        if odd:
            given.pop("email")
        values: dict[str, Value] = {}
        for name, cell in given.items():
            try:
                values |= self._schema.writable({name: cell}, company=True)
            except RowRefused as refusal:
                named = self._schema.get(name)
                if refusal.code != 1001 or named is None:
                    raise
                raise RowRefused(1001, f"Invalid data type in field {named.title}") from refusal
        return (values | {"email": email}, "Invalid email address") if odd else (values, None)


def _file(job: Job, rows: list[list[str]], column: str) -> Answer:
    """Rows in the format of the file they came in; where there are none, there is no file."""
    if not rows:
        return Answer(None, 404)
    return Answer("".join(_lines(job, rows, column)).encode(), 200, {}, "text/csv;charset=UTF-8")


def _lines(job: Job, rows: list[list[str]], column: str) -> Iterator[str]:
    for cells in ([*job.header, column], *rows):
        line = io.StringIO()
        csv.writer(line, delimiter=DELIMITERS[job.form], lineterminator="\n").writerow(cells)
        yield line.getvalue()


def _parts(call: Call) -> dict[str, bytes]:
    """The parts of a multipart body by name; there must be one called `file`."""
    kind = call.headers.get("content-type", "")
    if not kind.lower().startswith("multipart/form-data"):
        raise refused(612, "Invalid Content Type")
    boundary = _BOUNDARY.search(kind)
    if boundary is None:
        raise refused(613, "Invalid Multipart Request")
    parts: dict[str, bytes] = {}
    for piece in call.body.split(b"--" + boundary.group(1).encode())[1:-1]:
        head, _, content = piece.partition(b"\r\n\r\n")
        name = _PART_NAME.search(head)
        if name is not None:
            parts[name.group(1).decode("utf-8", "replace")] = content.removesuffix(b"\r\n")
    if "file" not in parts:
        raise refused(613, "Invalid Multipart Request")
    return parts
