"""What a destination declares, and the few methods it codes. The engine (``delivery.py``) does the rest.

Every method that writes takes a batch and gives one outcome for each row, in the same order. It may raise what
the session raises: the engine then halves a refused batch, retries later, or stops the sync.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, Generic, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field
from requests.auth import AuthBase

from millstream.destinations.exchange import (
    NOT_THERE,
    DeliveryRow,
    JobProgress,
    Member,
    Outcome,
    PlanFacts,
    accepted,
    accepted_async,
    rejected,
    retry_later,
    suppressed,
)
from millstream.destinations.fields import DestinationField, FieldType, FieldValue, HashRule
from millstream.destinations.http import Http
from millstream.destinations.modes import Leaving, Operation, SyncMode
from millstream.destinations.stopping import sleep_unless_stopped
from millstream.state.errors import MillstreamError
from millstream.state.http import Answer, Budgets, Caution, Classify, RateLimit

__all__ = [
    "NOT_THERE",
    "DeliveryRow",
    "Destination",
    "DestinationField",
    "DestinationSettings",
    "FieldType",
    "FieldValue",
    "HashRule",
    "JobProgress",
    "Member",
    "Outcome",
    "PlanFacts",
    "accepted",
    "accepted_async",
    "rejected",
    "retry_later",
    "suppressed",
]


class DestinationSettings(BaseModel):
    """Settings every destination has. Connectors add their own, each described, secrets as ``SecretStr``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_url: str = Field(description="Root of the API: the vendor, a regional host, a proxy or the sandbox.")


_LEASE_CHECKS = 1.0
"""Seconds between two looks at the lease, at the least."""

SettingsT = TypeVar("SettingsT", bound=DestinationSettings)


class Destination(ABC, Generic[SettingsT]):
    """A system to keep in step.

    Class attributes:
        name, title, docs_url, api_version, Settings, rate_limit: As for a source.
        match_keys: Fields by which the vendor finds a person; the first is the default.
        modes: Sync modes it supports.
        fields: The vendor's standard fields.
        custom_fields: Whether fields beyond ``fields`` may be mapped.
        custom_field_type: What those fields are: rendered as text, or, where it is None, numbers and booleans stay what
            they are because the vendor's own fields have types.
        consent_fields: Fields that carry consent or cost money, which no sync may write; ``*`` stands for any ending.
        batch_size: Most rows in one ``upsert`` or ``update``.
        membership_batch_size: Most rows in one ``add_members`` or ``remove_members``.
        enrolment_delay: Seconds that the vendor needs, once it took the fields of somebody new, until they can become a
            member of an audience; people go into audiences in batches of their own then.
        idempotent: Operations that may be sent again when nobody knows whether they were carried out. Any other makes
            one request that changes something, so that a lost answer leaves nothing half done.
        leavings: What can happen to people who left.
        leaving_warnings: What cannot be undone about one of them, said wherever a plan does it.
        jobs: Operations that can go as a job: uploaded in one piece, worked off by the vendor, asked after.
        job_from: Rows of one operation from which a plan uses jobs.
        job_size: Most rows in one job.
        job_requests: Requests of one job at the least: to submit it, to look whether it ended, to fetch its results.
        one_by_one: Operations, and what removals can be, that take a request for each row.
        read_back_modes: Sync modes whose audiences ``read_back`` can tell of.
        audience_only: Whether people are there only as members of audiences: their fields go with the membership, by
            ``add_members``, and ``upsert`` is never called.
        whole_rows: Whether a change carries all fields of a person, also those that stayed as they are.
        largest_request: Most bytes of rows in one request or job; None where only their number counts.
        largest_job: Most bytes of rows in one job, where that is another number than in a request.
        largest_row: Most bytes of one row; a larger one is rejected before it is sent.

    Attributes:
        plan: What is being sent; the engine says so before the audience is made. None outside of a delivery.
        staying: Names by ``known_as`` of people who leave that somebody who stays has, too, by ``stays_as``; the engine
            says so before anybody is taken out, and leaves alone whose id is among them.
        check_lease: Raises where another run has taken over the sync; the engine says how to tell.

    ``fields`` and the sizes of batches may also be set on an instance, where they follow from its settings.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    docs_url: ClassVar[str]
    api_version: ClassVar[str]
    Settings: ClassVar[type[DestinationSettings]]
    rate_limit: ClassVar[RateLimit]
    match_keys: ClassVar[tuple[str, ...]]
    modes: ClassVar[frozenset[SyncMode]]
    fields: tuple[DestinationField, ...]
    custom_fields: ClassVar[bool] = False
    custom_field_type: ClassVar[FieldType | None] = "text"
    consent_fields: ClassVar[tuple[str, ...]] = ()
    batch_size: int
    membership_batch_size: int
    enrolment_delay: float = 0.0
    idempotent: ClassVar[frozenset[Operation]]
    leavings: ClassVar[frozenset[Leaving]] = frozenset({Leaving.LEAVE_AUDIENCE})
    leaving_warnings: ClassVar[Mapping[Leaving, str]] = {}
    jobs: ClassVar[frozenset[Operation]] = frozenset()
    job_from: ClassVar[int] = 1_000
    job_size: ClassVar[int] = 10_000
    job_requests: ClassVar[int] = 3
    one_by_one: ClassVar[frozenset[Operation | Leaving]] = frozenset({Leaving.ARCHIVE, Leaving.DELETE})
    read_back_modes: ClassVar[frozenset[SyncMode]] = frozenset(SyncMode)
    audience_only: ClassVar[bool] = False
    whole_rows: ClassVar[bool] = False
    largest_request: int | None = None
    largest_job: ClassVar[int | None] = None
    largest_row: int | None = None

    def __init__(self, settings: SettingsT) -> None:
        self.settings = settings
        self.plan: PlanFacts | None = None
        self.staying: frozenset[str] = frozenset()
        self.check_lease: Callable[[], None] = lambda: None
        self._lease_checked = 0.0
        self._https: dict[str, Http] = {}
        self._budgets: Budgets | None = None
        self._rehearses = False
        self._making_http = threading.RLock()

    @property
    def http(self) -> Http:
        """The engine's HTTP for ``base_url``, made on first use; threads may share it."""
        with self._making_http:
            found = self._https.get("")
            return found or self.open_http(
                "", base_url=self.settings.base_url, auth=self.auth(), limit=self.pace(), classify=self.classify
            )

    def open_http(
        self,
        part: str,
        *,
        base_url: str,
        auth: AuthBase,
        limit: RateLimit,
        classify: Classify | None = None,
        caution: Caution | None = None,
    ) -> Http:
        """HTTP for a part of the vendor that has a host, a credential or limits of its own; made once for each part.

        Args:
            part: Names it, such as ``jobs``.
            base_url: Its root.
            auth: Signs its requests.
            limit: Its limits.
            classify: The connector's reading of its answers.
            caution: What holds where the host is anybody's.
        """
        with self._making_http:
            if part not in self._https:
                budget_name = f"{self.name} {part}".strip()
                made = Http(
                    system=self.name,
                    base_url=base_url,
                    auth=auth,
                    limit=limit,
                    classify=classify,
                    budget=self._budgets.of(budget_name, self.settings, limit) if self._budgets else None,
                    repeats=self.idempotent >= frozenset(Operation),
                    caution=caution,
                    sleep=self.wait,
                )
                made.rehearses = self._rehearses
                self._https[part] = made
            return self._https[part]

    def share(self, budgets: Budgets) -> None:
        """Keep the limits together with all others who use the credential; the engine says so before any request."""
        self._budgets = budgets

    def rehearse(self, rehearses: bool = True) -> None:
        """From now on make no request that could change something; see ``millstream.destinations.http.Recorded``."""
        self._rehearses = rehearses
        for http in self._https.values():
            http.rehearses = rehearses

    def wait(self, seconds: float) -> None:
        """Wait before a request is made, or made again.

        Raises:
            UnavailableError: This process was asked to stop.
            OvertakenError: Another run has taken over the sync: it may have sent newer values meanwhile.
        """
        sleep_unless_stopped(seconds)
        # By the clock on the wall, which goes on while a machine is asleep. Threads that wait for a turn come often.
        if abs(time.time() - self._lease_checked) > _LEASE_CHECKS:
            self.check_lease()
            self._lease_checked = time.time()

    @property
    def calls(self) -> int:
        """Requests made so far."""
        return sum(http.calls for http in self._https.values())

    @abstractmethod
    def auth(self) -> AuthBase:
        """The credential, as something that signs requests."""

    def pace(self) -> RateLimit:
        """The limits to keep; a connector whose settings carry the account's plan changes the declared ones."""
        return self.rate_limit

    @abstractmethod
    def probe(self) -> None:
        """Make one cheap request that needs the credential; raise what the session raises."""

    def missing_fields(self, names: Sequence[str]) -> list[str]:
        """Those of these fields that the account does not have; none where fields need not be made before use."""
        return []

    def create_field(self, name: str, field_type: FieldType) -> None:
        """Make a custom field, where the API can and the sync asks for it."""
        raise MillstreamError(f"{self.title} makes no fields by API.", where=f"destination {self.name}")

    def audience_field(self, audience: str) -> str | None:
        """The field of a person that says whether they are in this audience; None where an audience is something else.

        The engine refuses an audience whose field carries consent, is one of ``fields``, or is filled by the sync.
        """
        return None

    @abstractmethod
    def ensure_audience(self, audience: str) -> str:
        """The vendor's id of the audience (list, tag) with this name; made when missing."""

    def upsert(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Create people or change their fields; every connector codes it that is not ``audience_only``."""
        raise MillstreamError(f"{self.title} has people in audiences only.", where=f"destination {self.name}")

    def upsert_into(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """As ``upsert`` and ``add_members`` together, where one request does both; used for all who are added."""
        raise MillstreamError(f"{self.title} takes fields and membership apart.", where=f"destination {self.name}")

    def update(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Change fields of people who are there; needed for the mode ``update``. Never creates one."""
        raise MillstreamError(f"{self.title} cannot update without creating.", where=f"destination {self.name}")

    @abstractmethod
    def add_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Put people who are there into an audience; ``external_id`` is set where ``upsert`` gave one."""

    @abstractmethod
    def remove_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Take people out of an audience, by what was acknowledged. Someone who is not in it counts as out.

        It must not unsubscribe or delete anyone.
        """

    def known_as(self, match_value: str, external_id: str | None, *, match_key: str) -> Collection[str]:
        """Names under which the vendor has somebody: the id that it gave.

        Where it gives none, the identifiers that people are found by, of which several people may have the same:
        ``remove_members`` leaves those out then that are in ``staying``. Of such a vendor, the engine takes out also
        who was put in before and whose row the connector suppresses now.
        """
        return (external_id,) if external_id else ()

    def stays_as(self, match_value: str, external_id: str | None, *, match_key: str) -> Collection[str]:
        """Those of the names under which somebody who stays is to be found from now on.

        By what a person no longer has, nobody is kept in who has it now, and leaves: to keep in somebody who wants out
        is the worse fault.
        """
        return self.known_as(match_value, external_id, match_key=match_key)

    def kept_as(self, row: DeliveryRow, *, match_key: str) -> str | None:
        """What to keep in place of an id of somebody who may have been put in, though no answer ever said so.

        As the outcome's ``external_id`` would be, for vendors that give no ids: what may be there has to be taken out
        one day, also where the person has other identifiers by then. None where the vendor gives ids.
        """
        return None

    def replace_members(
        self, audience_id: str, batches: Iterable[Sequence[DeliveryRow]], *, match_key: str, label: str
    ) -> list[Outcome]:
        """Make these people, all at once, the only members of an audience; needed for the mode ``replace``.

        Whoever is in none of the batches is out afterwards. Where it fails half way, the audience is as it was, or
        doing it again mends it.

        Args:
            audience_id: The audience.
            batches: Everybody, in batches of at most ``batch_size``, with all their fields; made while they are read.
            match_key: The field by which people are found.
            label: A name of ours for this replacement, the same when it is tried again within the run.

        Returns:
            One outcome for each row, in order.
        """
        raise MillstreamError(f"{self.title} cannot replace an audience.", where=f"destination {self.name}")

    def archive(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
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

    def row_bytes(self, row: DeliveryRow) -> int:
        """About how many bytes a row takes in a request, for ``largest_request`` and ``largest_row``."""
        return len(orjson.dumps(row.fields)) + len(row.match_value.encode()) + 100

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
        together = operation is Operation.ADD and (self.audience_only or self.adds_at_once)
        if not in_audience or together or operation is Operation.UPDATE:
            return requests
        if operation is Operation.ADD and operation in self.idempotent:
            return requests + -(-rows // self.membership_batch_size)
        # Membership goes with each batch of the rest, not in batches of its own.
        each, last = (-(-size // self.membership_batch_size) for size in (self.batch_size, rest))
        return requests + batches * each + last

    def read_back(self, audience_id: str) -> Iterator[str]:
        """Match values (or external ids) of an audience's members as the vendor has them now."""
        raise MillstreamError(f"{self.title} cannot be read back.", where=f"destination {self.name}")

    @classmethod
    def codes(cls, method: str) -> bool:
        """Whether the connector codes a method that it may leave out."""
        return getattr(cls, method) is not getattr(Destination, method)

    @property
    def adds_at_once(self) -> bool:
        """Whether people are added by ``upsert_into``; it may depend on what an audience is by the settings."""
        return self.codes("upsert_into")

    @property
    def can_read_back(self) -> bool:
        """Whether the connector codes ``read_back``."""
        return self.codes("read_back")

    def read_members(self, audience_id: str) -> Iterator[Member]:
        """An audience's members, each with every name that the vendor has of them.

        Connectors whose vendor knows a person by several values, or gave an id that outlives a change of address, say
        all of them here: so someone who was renamed or merged there is not taken for missing.
        """
        return (Member((value,), value) for value in self.read_back(audience_id))

    def erase(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        """Delete people at the vendor for good, where its API can."""
        raise MillstreamError(
            f"{self.title} has no erasure by API.",
            where=f"destination {self.name}",
            remedy=f"erase by hand, see {self.docs_url}",
        )

    def classify(self, answer: Answer) -> MillstreamError | None:
        """The connector's own reading of an answer; None leaves it to the usual meaning of the HTTP status."""
        return None
