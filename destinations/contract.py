"""What a destination declares, and the few methods it codes. The engine (``delivery.py``) does the rest.

Every method that writes takes a batch and gives one outcome for each row, in the same order. It may raise what
the session raises: the engine then halves a refused batch, retries later, or stops the sync.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from requests.auth import AuthBase

from millstream.destinations.http import Http
from millstream.destinations.modes import Leaving, Operation, Status, SyncMode
from millstream.state.errors import MillstreamError
from millstream.state.http import Answer, Budgets, RateLimit

FieldType = Literal["text", "number", "boolean", "date", "timestamp"]
FieldValue = str | float | int | bool | None


NOT_THERE = frozenset({"not_found", "not_on_list", "record_missing"})
"""Codes of a row that was rejected because the vendor does not have the person."""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What became of a row, in the vendor's words.

    Attributes:
        status: See ``Status``.
        code: The vendor's code, or ours in lower case, for a row that was not accepted.
        reason: Why, in words without personal data in clear.
        fault: Who has to act: ``data`` (the row), ``vendor``, ``configuration``.
        external_id: The vendor's id of the person, where it gave one; kept and given back with later rows.
    """

    status: Status
    code: str | None = None
    reason: str | None = None
    fault: Literal["data", "vendor", "configuration"] | None = None
    external_id: str | None = None


def accepted(external_id: str | None = None) -> Outcome:
    """The vendor took the row."""
    return Outcome(status=Status.ACCEPTED, external_id=external_id)


def rejected(code: str, reason: str, *, fault: Literal["data", "vendor", "configuration"] = "data") -> Outcome:
    """The vendor refused the row."""
    return Outcome(status=Status.REJECTED, code=code, reason=reason, fault=fault)


def suppressed(code: str, reason: str) -> Outcome:
    """The vendor may not address this person: unsubscribed, bounced, erased."""
    return Outcome(status=Status.SUPPRESSED, code=code, reason=reason)


def retry_later(code: str, reason: str) -> Outcome:
    """The row was not sent, or may be sent again: a later run does."""
    return Outcome(status=Status.RETRY_LATER, code=code, reason=reason, fault="vendor")


@dataclass(slots=True, kw_only=True)
class DeliveryRow:
    """One person on the way to a destination. Not frozen, for speed: only the engine notes an id in one.

    Attributes:
        number: The row's number in its plan.
        match_value: Value of the match key, normalised (an e-mail address in lower case).
        fields: Values by destination field; a field that is absent is left alone, None clears it.
        external_id: The vendor's id from an earlier acknowledgement, if there was one.
        key: By which two rows are the same person.
    """

    number: int
    match_value: str
    fields: Mapping[str, FieldValue]
    external_id: str | None = None
    key: str = field(init=False)

    def __post_init__(self) -> None:
        self.key = self.match_value.strip().lower()


@dataclass(frozen=True, slots=True)
class Member:
    """Someone in an audience, by the names that the vendor has of them.

    Attributes:
        match_values: All values by which the vendor finds the person.
        external_id: The vendor's id of the person.
    """

    match_values: tuple[str, ...]
    external_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class JobProgress:
    """How far a job at the vendor is.

    Attributes:
        done: Whether its outcomes can be read.
        share: How much of it is done, from 0 to 1, where the vendor says so.
    """

    done: bool
    share: float | None = None


@dataclass(frozen=True, kw_only=True)
class DestinationField:
    """A field that people have at the destination.

    Attributes:
        name: The vendor's name.
        type: What its values are; the engine renders numbers, dates and booleans as text where ``text`` is asked.
        description: What it holds.
        required: A row without it is rejected before it is sent.
        max_length: Longest text the vendor takes.
    """

    name: str
    type: FieldType = "text"
    description: str = ""
    required: bool = False
    max_length: int | None = None


class DestinationSettings(BaseModel):
    """Settings every destination has. Connectors add their own, each described, secrets as ``SecretStr``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_url: str = Field(description="Root of the API: the vendor, a regional host, a proxy or the sandbox.")


SettingsT = TypeVar("SettingsT", bound=DestinationSettings)


class Destination(ABC, Generic[SettingsT]):
    """A system to keep in step.

    Class attributes:
        name, title, docs_url, api_version, Settings, rate_limit: As for a source.
        match_keys: Fields by which the vendor finds a person; the first is the default.
        modes: Sync modes it supports.
        fields: The vendor's standard fields.
        custom_fields: Whether fields beyond ``fields`` may be mapped.
        batch_size: Most rows in one ``upsert`` or ``update``.
        membership_batch_size: Most rows in one ``add_members`` or ``remove_members``.
        idempotent: Operations that may be sent again when nobody knows whether they were carried out. Any other makes
            one request that changes something, so that a lost answer leaves nothing half done.
        leavings: What can happen to people who left.
        leaving_warnings: What cannot be undone about one of them, said wherever a plan does it.
        jobs: Operations that can go as a job: uploaded in one piece, worked off by the vendor, asked after.
        job_from: Rows of one operation from which a plan uses jobs.
        job_size: Most rows in one job.
        job_requests: Requests of one job at the least: to submit it, to look whether it ended, to fetch its results.
        one_by_one: Operations, and what removals can be, that take a request for each row.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    docs_url: ClassVar[str]
    api_version: ClassVar[str]
    Settings: ClassVar[type[DestinationSettings]]
    rate_limit: ClassVar[RateLimit]
    match_keys: ClassVar[tuple[str, ...]]
    modes: ClassVar[frozenset[SyncMode]]
    fields: ClassVar[tuple[DestinationField, ...]]
    custom_fields: ClassVar[bool] = False
    batch_size: ClassVar[int]
    membership_batch_size: ClassVar[int]
    idempotent: ClassVar[frozenset[Operation]]
    leavings: ClassVar[frozenset[Leaving]] = frozenset({Leaving.LEAVE_AUDIENCE})
    leaving_warnings: ClassVar[Mapping[Leaving, str]] = {}
    jobs: ClassVar[frozenset[Operation]] = frozenset()
    job_from: ClassVar[int] = 1_000
    job_size: ClassVar[int] = 10_000
    job_requests: ClassVar[int] = 3
    one_by_one: ClassVar[frozenset[Operation | Leaving]] = frozenset({Leaving.ARCHIVE, Leaving.DELETE})

    def __init__(self, settings: SettingsT) -> None:
        self.settings = settings
        self._http: Http | None = None
        self._budgets: Budgets | None = None
        self._making_http = threading.Lock()

    @property
    def http(self) -> Http:
        """The engine's HTTP, made on first use; threads may share it."""
        with self._making_http:
            if self._http is None:
                limit = self.pace()
                self._http = Http(
                    system=self.name,
                    base_url=self.settings.base_url,
                    auth=self.auth(),
                    limit=limit,
                    classify=self.classify,
                    budget=self._budgets.of(self.name, self.settings, limit) if self._budgets else None,
                    repeats=self.idempotent >= frozenset(Operation),
                )
            return self._http

    def share(self, budgets: Budgets) -> None:
        """Keep the limits together with all others who use the credential; the engine says so before any request."""
        self._budgets = budgets

    def rehearse(self) -> None:
        """From now on make no request that could change something; see ``millstream.destinations.http.Recorded``."""
        self.http.rehearses = True

    @property
    def calls(self) -> int:
        """Requests made so far."""
        return self._http.calls if self._http else 0

    @abstractmethod
    def auth(self) -> AuthBase:
        """The credential, as something that signs requests."""

    def pace(self) -> RateLimit:
        """The limits to keep; a connector whose settings carry the account's plan changes the declared ones."""
        return self.rate_limit

    @abstractmethod
    def probe(self) -> None:
        """Make one cheap request that needs the credential; raise what the session raises."""

    @abstractmethod
    def ensure_audience(self, audience: str) -> str:
        """The vendor's id of the audience (list, tag) with this name; made when missing."""

    @abstractmethod
    def upsert(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Create people or change their fields."""

    def update(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Change fields of people who are there; needed for the mode ``update``. Never creates one."""
        raise MillstreamError(f"{self.title} cannot update without creating.", where=f"destination {self.name}")

    @abstractmethod
    def add_members(self, audience_id: str, rows: Sequence[DeliveryRow]) -> list[Outcome]:
        """Put people who are there into an audience; ``external_id`` is set where ``upsert`` gave one."""

    @abstractmethod
    def remove_members(self, audience_id: str, rows: Sequence[DeliveryRow]) -> list[Outcome]:
        """Take people out of an audience, by what was acknowledged. Someone who is not in it counts as out.

        It must not unsubscribe or delete anyone.
        """

    def archive(self, rows: Sequence[DeliveryRow]) -> list[Outcome]:
        """Archive people, where the vendor has an archive. Someone who is not there counts as archived."""
        raise MillstreamError(f"{self.title} has no archive.", where=f"destination {self.name}")

    def submit_job(
        self,
        operation: Operation,
        rows: Sequence[DeliveryRow],
        *,
        match_key: str,
        audience_id: str | None,
        creates: bool,
        label: str,
    ) -> str:
        """Hand rows to the vendor as one job, and give its id.

        The job does all of the operation: ``add`` writes fields and puts people into the audience.

        Args:
            operation: One of ``jobs``.
            rows: At most ``job_size``.
            match_key: The field by which people are found.
            audience_id: The audience; None where the sync keeps fields only.
            creates: Whether people who are not there are created, as ``upsert`` does; else it is like ``update``.
            label: A name of ours, by which ``find_job`` finds it where the vendor keeps one.
        """
        raise MillstreamError(f"{self.title} has no jobs.", where=f"destination {self.name}")

    def find_job(self, label: str) -> str | None:
        """The id of the job with this label, for one whose answer was lost; None where the vendor cannot say."""
        return None

    def poll_job(self, job_id: str) -> JobProgress:
        """How far a job is. A job that failed as a whole raises ``RefusedError``."""
        raise MillstreamError(f"{self.title} has no jobs.", where=f"destination {self.name}")

    def job_outcomes(self, job_id: str, operation: Operation, rows: Sequence[DeliveryRow]) -> list[Outcome]:
        """One outcome for each row of a job that is done, in the same order."""
        raise MillstreamError(f"{self.title} has no jobs.", where=f"destination {self.name}")

    def requests_for(
        self, operation: Operation, rows: int, *, in_audience: bool, leaving: Leaving = Leaving.LEAVE_AUDIENCE
    ) -> int:
        """The least requests that so many rows of an operation take, for forecasts and benchmarks.

        Args:
            operation: What is done.
            rows: How many.
            in_audience: Whether the sync keeps an audience.
            leaving: What a removal is.
        """
        if operation in self.jobs and rows >= self.job_from:
            return -(-rows // self.job_size) * self.job_requests
        if operation is Operation.REMOVE and leaving is Leaving.LEAVE_AUDIENCE:
            return -(-rows // self.membership_batch_size)
        batches, rest = divmod(rows, self.batch_size)
        work = leaving if operation is Operation.REMOVE else operation
        requests = rows if work in self.one_by_one else batches + bool(rest)
        if not in_audience or operation is Operation.UPDATE:
            return requests
        if operation is Operation.ADD and operation in self.idempotent:
            return requests + -(-rows // self.membership_batch_size)
        # Membership goes with each batch of the rest, not in batches of its own.
        each, last = (-(-size // self.membership_batch_size) for size in (self.batch_size, rest))
        return requests + batches * each + last

    def read_back(self, audience_id: str) -> Iterator[str]:
        """Match values (or external ids) of an audience's members as the vendor has them now."""
        raise MillstreamError(f"{self.title} cannot be read back.", where=f"destination {self.name}")

    @property
    def can_read_back(self) -> bool:
        """Whether the connector codes ``read_back``."""
        return type(self).read_back is not Destination.read_back

    def read_members(self, audience_id: str) -> Iterator[Member]:
        """An audience's members, each with every name that the vendor has of them.

        Connectors whose vendor knows a person by several values, or gave an id that outlives a change of address, say
        all of them here: so someone who was renamed or merged there is not taken for missing.
        """
        return (Member((value,), value) for value in self.read_back(audience_id))

    def erase(self, rows: Sequence[DeliveryRow]) -> list[Outcome]:
        """Delete people at the vendor for good, where its API can."""
        raise MillstreamError(
            f"{self.title} has no erasure by API.",
            where=f"destination {self.name}",
            remedy=f"erase by hand, see {self.docs_url}",
        )

    def classify(self, answer: Answer) -> MillstreamError | None:
        """The connector's own reading of an answer; None leaves it to the usual meaning of the HTTP status."""
        return None
