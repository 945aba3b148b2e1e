"""Suppressing and unsuppressing by hand, and deletion for privacy's sake."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from millstream.sandbox.klaviyo.attributes import is_email
from millstream.sandbox.klaviyo.errors import invalid, invalid_many, not_found
from millstream.sandbox.klaviyo.listing import check_query, links, stamp
from millstream.sandbox.klaviyo.lists import Lists
from millstream.sandbox.klaviyo.people import Profile, index_of
from millstream.sandbox.klaviyo.profiles import ListRef
from millstream.sandbox.klaviyo.register import Register, now_ms
from millstream.sandbox.later import Later
from millstream.sandbox.system import Answer, Call, JsonObject

MOST_EMAILS = 100
ROWS = "/data/attributes/profiles/data"
BY_HAND = "USER_SUPPRESSED"


class EmailOnly(BaseModel):
    """Attributes of a row."""

    model_config = ConfigDict(extra="forbid")

    email: str


class EmailRow(BaseModel):
    """Somebody to be suppressed, or no longer."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["profile"]
    attributes: EmailOnly


class EmailRows(BaseModel):
    """The people of a job."""

    model_config = ConfigDict(extra="forbid")

    data: Annotated[list[EmailRow], Field(min_length=1)]


class JobAttributes(BaseModel):
    """Attributes of a job."""

    model_config = ConfigDict(extra="forbid")

    profiles: EmailRows | None = None


class OneList(BaseModel):
    """A list whose members a job is about."""

    model_config = ConfigDict(extra="forbid")

    data: ListRef


class JobRelationships(BaseModel):
    """What a job relates to."""

    model_config = ConfigDict(extra="forbid")

    list: OneList | None = None


class JobData(BaseModel):
    """A job."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["profile-suppression-bulk-create-job", "profile-suppression-bulk-delete-job"]
    attributes: JobAttributes = Field(default_factory=JobAttributes)
    relationships: JobRelationships | None = None


class JobBody(BaseModel):
    """Body of both endpoints."""

    model_config = ConfigDict(extra="forbid")

    data: JobData


@dataclass(slots=True)
class Job:
    """One job."""

    job_id: str
    kind: str
    total: int
    created_ms: int
    completed_ms: int | None = None
    skipped: int = 0


class Suppressions:
    """`/profile-suppression-bulk-create-jobs` and `-delete-jobs`."""

    def __init__(self, register: Register, lists: Lists, later: Later) -> None:
        self._register = register
        self._lists = lists
        self._later = later
        self._jobs: dict[str, Job] = {}

    def create(self, call: Call) -> Answer:
        """Take a job; the path says which kind."""
        check_query(call)
        kind = call.path.strip("/").rpartition("/")[2].removesuffix("s")
        data = call.body_as(JobBody).data
        if data.type != kind:
            raise invalid(f"The type must be '{kind}'.", "/data/type")
        emails, list_id = self._targets(data)
        members = 0 if list_id is None else len(self._lists.all[list_id].members())
        job = Job(str(uuid.uuid4()), kind, len(emails) or members, now_ms())
        self._jobs[job.job_id] = job
        self._later.put(lambda: self._run(job, emails, list_id))
        return Answer({"data": _shape(call, job), "links": links(call, None)}, 202)

    def _targets(self, data: JobData) -> tuple[list[str], str | None]:
        rows = data.attributes.profiles.data if data.attributes.profiles is not None else []
        one = data.relationships.list if data.relationships is not None else None
        if bool(rows) == (one is not None):
            raise invalid("Give either profiles or a list.")
        if len(rows) > MOST_EMAILS:
            raise invalid(f"At most {MOST_EMAILS} addresses fit into one job, not {len(rows)}.", ROWS)
        if one is not None and one.data.id not in self._lists.all:
            raise invalid(f"There is no list with id {one.data.id}.", "/data/relationships/list/data/id")
        emails = [row.attributes.email for row in rows]
        wrong = [
            (f"{ROWS}/{number}/attributes/email", f"'{email}' is not a valid email address.")
            for number, email in enumerate(emails)
            if not is_email(email)
        ]
        if wrong:
            raise invalid_many(wrong)
        return emails, None if one is None else one.data.id

    def _run(self, job: Job, emails: list[str], list_id: str | None) -> None:
        profiles = [self._register.find("email", email) or self._register.create({"email": email}) for email in emails]
        if list_id is not None and list_id in self._lists.all:
            profiles = list(self._register.profiles(map(int, self._lists.all[list_id].members())))
        for profile in profiles:
            self._change(job, profile)
        job.completed_ms = now_ms()

    def _change(self, job: Job, profile: Profile) -> None:
        suppress = job.kind.endswith("create-job")
        if suppress == (BY_HAND in profile.suppressions):
            job.skipped += 1
            return
        if suppress:
            profile.suppressions[BY_HAND] = now_ms()
        else:
            profile.suppressions.pop(BY_HAND, None)
        self._register.keep(profile)

    def get(self, call: Call) -> Answer:
        """One job."""
        job = self._jobs.get(call.params["id"])
        if job is None:
            raise not_found(f"A job with id {call.params['id']}")
        return Answer({"data": _shape(call, job), "links": links(call, None)})


def _shape(call: Call, job: Job) -> JsonObject:
    own = f"{call.base_url}/api/{job.kind}s/{job.job_id}"
    return {
        "type": job.kind,
        "id": job.job_id,
        "attributes": {
            "status": "processing" if job.completed_ms is None else "complete",
            "created_at": stamp(job.created_ms),
            "total_count": job.total,
            "completed_count": 0 if job.completed_ms is None else job.total - job.skipped,
            "completed_at": stamp(job.completed_ms),
            "skipped_count": job.skipped,
        },
        "relationships": {},
        "links": {"self": own},
    }


class DeletionAttributes(BaseModel):
    """Who is to be deleted, unless the id says it."""

    model_config = ConfigDict(extra="forbid")

    email: str | None = None
    phone_number: str | None = None


class DeletedProfile(BaseModel):
    """A profile to be deleted."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["profile"]
    id: str | None = None
    attributes: DeletionAttributes = Field(default_factory=DeletionAttributes)


class OneProfile(BaseModel):
    """The profile of a deletion."""

    model_config = ConfigDict(extra="forbid")

    data: DeletedProfile


class DeletionJobAttributes(BaseModel):
    """Attributes of a deletion."""

    model_config = ConfigDict(extra="forbid")

    profile: OneProfile


class DeletionData(BaseModel):
    """A deletion."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["data-privacy-deletion-job"]
    attributes: DeletionJobAttributes


class DeletionBody(BaseModel):
    """Body of `POST /data-privacy-deletion-jobs`."""

    model_config = ConfigDict(extra="forbid")

    data: DeletionData


class Deletions:
    """`/data-privacy-deletion-jobs`: accepted whether or not there is such a profile."""

    def __init__(self, register: Register, lists: Lists, later: Later) -> None:
        self._register = register
        self._lists = lists
        self._later = later

    def create(self, call: Call) -> Answer:
        """Take a deletion by exactly one identifier."""
        check_query(call)
        target = call.body_as(DeletionBody).data.attributes.profile.data
        given = {"id": target.id, "email": target.attributes.email, "phone_number": target.attributes.phone_number}
        wanted = {kind: value for kind, value in given.items() if value}
        if len(wanted) != 1:
            raise invalid("Give exactly one of email, phone_number and id.", "/data/attributes/profile")
        ((kind, value),) = wanted.items()
        self._later.put(lambda: self._delete(kind, value))
        return Answer(None, 202)

    def _delete(self, kind: str, value: str) -> None:
        while True:
            profile = self._register.get(index_of(value)) if kind == "id" else self._register.find(kind, value)
            if profile is None:
                return
            self._lists.drop_everywhere(profile)
            self._register.forget(profile)
