"""`/profile-bulk-import-jobs`: thousands of profiles taken in at once and worked off a moment later.

What is malformed refuses the whole request, with a pointer to each such row. What can be seen only when a row is
written down fails that row of the job.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from millstream.sandbox.klaviyo.attributes import ProfileRow, apply, mistakes
from millstream.sandbox.klaviyo.errors import INVALID, invalid, invalid_many, not_found, problem, refusal
from millstream.sandbox.klaviyo.listing import EQUALS, check_query, comparisons, links, names_in, page_of, picked, stamp
from millstream.sandbox.klaviyo.lists import Lists
from millstream.sandbox.klaviyo.people import Profile, id_of, index_of
from millstream.sandbox.klaviyo.profiles import LARGEST_PROFILE, SHAPING, ListRef, shaper, size_of
from millstream.sandbox.klaviyo.register import Register, now_ms
from millstream.sandbox.later import Later
from millstream.sandbox.system import Answer, Call, JsonObject

MOST_PROFILES, LARGEST_BODY = 10_000, 5_000_000
ROWS = "/data/attributes/profiles/data"
FIELDS = (
    "status", "created_at", "total_count", "completed_count", "failed_count", "completed_at", "expires_at",
    "started_at",
)  # fmt: skip


class Rows(BaseModel):
    """The profiles of a job."""

    model_config = ConfigDict(extra="forbid")

    data: Annotated[list[ProfileRow], Field(min_length=1)]


class JobAttributes(BaseModel):
    """Attributes of a new job."""

    model_config = ConfigDict(extra="forbid")

    profiles: Rows


class ListRefs(BaseModel):
    """Lists that the profiles are to be put on."""

    model_config = ConfigDict(extra="forbid")

    data: list[ListRef]


class JobRelationships(BaseModel):
    """What a new job relates to."""

    model_config = ConfigDict(extra="forbid")

    lists: ListRefs | None = None


class JobData(BaseModel):
    """A new job."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["profile-bulk-import-job"]
    attributes: JobAttributes
    relationships: JobRelationships | None = None


class JobBody(BaseModel):
    """Body of `POST /profile-bulk-import-jobs`."""

    model_config = ConfigDict(extra="forbid")

    data: JobData


@dataclass(slots=True)
class Job:
    """One job; `completed_ms` is there once it has run."""

    number: int
    job_id: str
    rows: list[ProfileRow]
    list_ids: list[str]
    refused: set[int]
    created_ms: int
    submitted: float
    completed_ms: int | None = None
    profiles: list[int] = field(default_factory=list)
    errors: list[JsonObject] = field(default_factory=list)


class Imports:
    """All import jobs.

    Attributes:
        kept_seconds: How long a job and its errors can be asked for; tests may change it.
    """

    def __init__(self, register: Register, lists: Lists, later: Later) -> None:
        self._register = register
        self._lists = lists
        self._later = later
        self._jobs: dict[str, Job] = {}
        self.kept_seconds = 7 * 86_400.0

    # Taking jobs in

    def create(self, call: Call) -> Answer:
        """Take a job."""
        check_query(call, "fields[profile-bulk-import-job]")
        if len(call.body) > LARGEST_BODY:
            detail = f"The payload is larger than {LARGEST_BODY} bytes."
            raise refusal([problem(413, "payload_too_large", "Payload too large.", detail)])
        data = call.body_as(JobBody).data
        rows = data.attributes.profiles.data
        if len(rows) > MOST_PROFILES:
            raise invalid(f"At most {MOST_PROFILES} profiles fit into one job, not {len(rows)}.", ROWS)
        wanted = data.relationships.lists if data.relationships is not None else None
        list_ids = [ref.id for ref in wanted.data] if wanted is not None else []
        for list_id in list_ids:
            if list_id not in self._lists.all:
                raise invalid(f"List ID '{list_id}' does not exist.")
        refused = self._check(call, rows)
        job_id = f"sandbox.{uuid.uuid4().hex}"
        job = Job(len(self._jobs), job_id, rows, list_ids, refused, now_ms(), time.monotonic())
        self._jobs[job_id] = job
        self._later.put(lambda: self._run(job))
        return Answer({"data": self._shape(call, job), "links": links(call, None)}, 202)

    def _check(self, call: Call, rows: list[ProfileRow]) -> set[int]:
        wrong = [one for number, row in enumerate(rows) for one in mistakes(row, f"{ROWS}/{number}")]
        if len(call.body) > LARGEST_PROFILE:
            wrong += [
                (f"{ROWS}/{number}", f"The profile is larger than {LARGEST_PROFILE} bytes.")
                for number, row in enumerate(rows)
                if size_of(row) > LARGEST_PROFILE
            ]
        order = call.refusal()
        refused = {number for number, row in enumerate(rows) if call.refuses(row.key)} if order is not None else set()
        if order is not None and order.whole_batch:
            wrong += [(f"{ROWS}/{number}/attributes", "This profile cannot be saved.") for number in sorted(refused)]
        if wrong:
            raise invalid_many(wrong)
        return refused

    # Working them off

    def _run(self, job: Job) -> None:
        for number, row in enumerate(job.rows):
            wrong = "This profile cannot be saved." if number in job.refused else self._save(job, row)
            if wrong is not None:
                job.errors.append(_error(number, row, wrong))
        job.completed_ms = now_ms()

    def _save(self, job: Job, row: ProfileRow) -> str | None:
        """Write one row down, or say why not."""
        found = self._register.matches(row.attributes.identifiers)
        if row.id is not None:
            by_id = self._register.get(index_of(row.id))
            if by_id is None:
                return f"A profile with id {row.id} does not exist."
            found = [by_id, *(one for one in found if one.index != by_id.index)]
        if len(found) > 1:
            return "The identifiers belong to different profiles."
        profile: Profile = found[0] if found else self._register.create({})
        # A null does not clear in bulk: it is as if the field had not been given.
        apply(profile, row, null_clears=False)
        profile.updated_ms = now_ms()
        self._register.keep(profile)
        for list_id in job.list_ids:
            if list_id in self._lists.all:
                self._lists.all[list_id].add(profile.index)
        job.profiles.append(profile.index)
        return None

    # Asking about them

    def list_jobs(self, call: Call) -> Answer:
        """All jobs, newest last."""
        check_query(call, "fields[profile-bulk-import-job]", "filter", "page[cursor]", "page[size]", "sort")
        conditions = comparisons(call, {"status": EQUALS})
        jobs = [job for job in self._jobs.values() if not self._is_expired(job)]
        wanted = [job for job in jobs if all(self._status(job) in one.values for one in conditions)]
        page, page_links = page_of(
            call, lambda after: (job for job in wanted if job.number > after), lambda job: job.number, 100, 20
        )
        return Answer({"data": [self._shape(call, job) for job in page], "links": page_links})

    def get(self, call: Call) -> Answer:
        """One job."""
        check_query(call, "fields[profile-bulk-import-job]", "fields[list]", "include")
        return Answer({"data": self._shape(call, self._job(call)), "links": links(call, None)})

    def errors(self, call: Call) -> Answer:
        """The rows that failed."""
        check_query(call, "fields[import-error]", "page[cursor]", "page[size]")
        rows = list(enumerate(self._job(call).errors))
        page, page_links = page_of(call, lambda after: rows[after + 1 :], lambda row: row[0], 100, 20)
        return Answer({"data": [row for _, row in page], "links": page_links})

    def profiles(self, call: Call) -> Answer:
        """The profiles that were written, whole or as ids."""
        check_query(call, *SHAPING, "page[cursor]", "page[size]")
        rows = list(enumerate(self._job(call).profiles))
        page, page_links = page_of(call, lambda after: rows[after + 1 :], lambda row: row[0], 100, 20)
        indexes = [index for _, index in page]
        if "relationships" in call.path:
            return Answer({"data": [{"type": "profile", "id": id_of(one)} for one in indexes], "links": page_links})
        shape = shaper(call)
        return Answer({"data": [shape(one) for one in self._register.profiles(indexes)], "links": page_links})

    def lists(self, call: Call) -> Answer:
        """The lists that the profiles were put on, as ids."""
        rows = [{"type": "list", "id": list_id} for list_id in self._job(call).list_ids]
        return Answer({"data": rows, "links": links(call, None)})

    def _job(self, call: Call) -> Job:
        job = self._jobs.get(call.params["id"])
        if job is None or self._is_expired(job):
            raise not_found(f"A job with id {call.params['id']}")
        return job

    def _is_expired(self, job: Job) -> bool:
        return time.monotonic() - job.submitted > self.kept_seconds

    def _status(self, job: Job) -> str:
        if job.completed_ms is not None:
            return "complete"
        return "queued" if time.monotonic() - job.submitted < self._later.seconds / 2 else "processing"

    def _shape(self, call: Call, job: Job) -> JsonObject:
        own = f"{call.base_url}/api/profile-bulk-import-jobs/{job.job_id}"
        status = self._status(job)
        attributes: JsonObject = {
            "status": status,
            "created_at": stamp(job.created_ms),
            "total_count": len(job.rows),
            "completed_count": len(job.profiles),
            "failed_count": len(job.errors),
            "completed_at": stamp(job.completed_ms),
            "expires_at": stamp(job.created_ms + int(self.kept_seconds * 1000)),
            "started_at": None if status == "queued" else stamp(job.created_ms),
        }
        names = names_in(call, "fields[profile-bulk-import-job]", (*FIELDS, "id"))
        related: JsonObject = {
            kind: {"links": {"self": f"{own}/relationships/{kind}", "related": f"{own}/{kind}"}}
            for kind in ("lists", "profiles")
        }
        related["import-errors"] = {"links": {"related": f"{own}/import-errors"}}
        return {
            "type": "profile-bulk-import-job",
            "id": job.job_id,
            "attributes": picked(attributes, names),
            "relationships": related,
            "links": {"self": own},
        }


def _error(number: int, row: ProfileRow, detail: str) -> JsonObject:
    return {
        "type": "import-error",
        "id": str(uuid.uuid4()),
        "attributes": {
            "code": "invalid",
            "title": INVALID,
            "detail": detail,
            "source": {"pointer": f"{ROWS}/{number}/attributes"},
            "original_payload": {**row.attributes.model_dump(exclude_unset=True, by_alias=True), "id": row.id},
        },
    }
