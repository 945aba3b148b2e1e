"""A destination that lives in this process, for properties of delivery that need thousands of runs.

It is an ordinary plugin: it declares facts and codes the operations. What it holds survives a run, as a vendor's
would; how it fails is set from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from pydantic import SecretStr
from requests.auth import AuthBase

from millstream.destinations.contract import (
    DeliveryRow,
    Destination,
    DestinationField,
    DestinationSettings,
    FieldValue,
    JobProgress,
    Outcome,
    accepted,
    rejected,
)
from millstream.destinations.modes import Leaving, Operation, SyncMode
from millstream.state.errors import RefusedError
from millstream.state.http import BearerAuth, RateLimit


class Killed(BaseException):
    """Stands for a process that is gone: nothing may catch it and go on."""


@dataclass
class Memory:
    """What the vendor holds, and how it behaves."""

    people: dict[str, dict[str, FieldValue]] = field(default_factory=dict)
    members: set[str] = field(default_factory=set)
    bad: set[str] = field(default_factory=set)
    whole_batch: bool = False
    calls_to_kill: int | None = None
    kill_after_work: bool = False
    calls: int = 0
    sent: list[tuple[str, dict[str, FieldValue]]] = field(default_factory=list)
    archived: set[str] = field(default_factory=set)
    jobs: dict[str, list[Outcome]] = field(default_factory=dict)
    polls_to_end: int = 0
    before_upsert: Callable[[], None] = lambda: None

    def step(self, work: object) -> None:
        """Count a call, do its work, and kill the process where the test says so."""
        self.calls += 1
        killing = self.calls_to_kill is not None and self.calls >= self.calls_to_kill
        if killing and not self.kill_after_work:
            raise Killed
        assert callable(work)
        work()
        if killing:
            raise Killed


class MemorySettings(DestinationSettings):
    """Nothing of its own."""

    base_url: str = "http://127.0.0.1:9"


class MemoryDestination(Destination[MemorySettings]):
    """Keeps people and one audience in a ``Memory``."""

    name = "memory"
    title = "Memory"
    docs_url = "https://example.com"
    api_version = "1"
    Settings = MemorySettings
    rate_limit = RateLimit(requests=1_000_000, seconds=1, concurrency=1)
    match_keys = ("email",)
    modes = frozenset(SyncMode) - {SyncMode.REPLACE}
    fields: ClassVar[tuple[DestinationField, ...]] = (DestinationField(name="NAME", max_length=200),)
    custom_fields = True
    batch_size = 4
    membership_batch_size = 3
    idempotent = frozenset(Operation)
    leavings = frozenset(Leaving)

    def __init__(self, memory: Memory) -> None:
        super().__init__(MemorySettings())
        self.memory = memory

    @property
    def calls(self) -> int:
        return self.memory.calls

    def auth(self) -> AuthBase:
        return BearerAuth(SecretStr("none"))

    def probe(self) -> None:
        """Always there."""

    def ensure_audience(self, audience: str) -> str:
        return f"id-of-{audience}"

    def upsert(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        self.memory.before_upsert()
        bad = [row for row in rows if row.match_value in self.memory.bad]
        if bad and self.memory.whole_batch:
            self.memory.step(lambda: None)
            raise RefusedError("One of the rows is bad.", status=400)

        def work() -> None:
            self.memory.sent += [(row.match_value, dict(row.fields)) for row in rows]
            for row in rows:
                if row not in bad:
                    self.memory.people.setdefault(row.match_value, {}).update(row.fields)

        self.memory.step(work)
        return [rejected("bad", "A bad row.") if row in bad else accepted(f"x-{row.match_value}") for row in rows]

    def update(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        there = [row for row in rows if row.match_value in self.memory.people]
        self.memory.step(lambda: [self.memory.people[row.match_value].update(row.fields) for row in there])
        return [accepted() if row in there else rejected("not_found", "Nobody there.") for row in rows]

    def add_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        assert all(row.external_id == f"x-{row.match_value}" for row in rows)
        self.memory.step(lambda: self.memory.members.update(row.match_value for row in rows))
        return [accepted() for _ in rows]

    def remove_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        self.memory.step(lambda: self.memory.members.difference_update(row.match_value for row in rows))
        return [accepted() for _ in rows]

    def archive(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        self.memory.step(lambda: self.memory.archived.update(row.match_value for row in rows))
        return [accepted() for _ in rows]

    def read_back(self, audience_id: str) -> Iterator[str]:
        yield from self.memory.members


class MemoryWithJobs(MemoryDestination):
    """Takes additions as jobs, which are done after some looks at them."""

    jobs = frozenset({Operation.ADD})
    job_from = 1
    job_size = 6

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
        """Do the work, and keep its outcomes for whoever asks."""

        def work() -> None:
            calls, self.memory.calls_to_kill = self.memory.calls_to_kill, None
            outcomes = self.upsert(rows, match_key=match_key)
            self.memory.members.update(
                row.match_value for row, outcome in zip(rows, outcomes, strict=True) if outcome.status == "accepted"
            )
            self.memory.jobs[label] = outcomes
            self.memory.calls_to_kill = calls

        self.memory.step(work)
        return label

    def find_job(self, label: str) -> str | None:
        return label if label in self.memory.jobs else None

    def poll_job(self, job_id: str) -> JobProgress:
        self.memory.step(lambda: None)
        self.memory.polls_to_end -= 1
        return JobProgress(done=self.memory.polls_to_end < 0)

    def job_outcomes(self, job_id: str, operation: Operation, rows: Sequence[DeliveryRow]) -> list[Outcome]:
        self.memory.step(lambda: None)
        return self.memory.jobs[job_id]
