"""Send: a plan's rows go out in batches; each batch is in the journal before its request and after its answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import orjson
import pyarrow.parquet as pq

from millstream.destinations.contract import DeliveryRow, Destination, DestinationSettings, Outcome, rejected
from millstream.destinations.modes import Operation, Status, SyncMode
from millstream.destinations.rendering import Renderer
from millstream.destinations.sync import Sync
from millstream.state.errors import (
    FatalError,
    MillstreamError,
    RefusedError,
    RetryableError,
    UnknownOutcomeError,
)
from millstream.state.ledger.journal import Journal, RowOutcome
from millstream.state.privacy import redact

AnyDestination = Destination[DestinationSettings]
Progress = Callable[[int], None]
"""Called with the number of rows that have an outcome, after each batch."""


@dataclass
class Sender:
    """Sends one plan.

    Attributes:
        journal: Where intent and outcomes are committed.
        destination: The connector.
        sync: What is being kept in step.
        plan_id: The plan.
        audience_id: The vendor's id of the audience; None for a sync that only keeps fields.
        progress: Told after each batch.
        error: What stopped the sync early, if something did.
    """

    journal: Journal
    destination: AnyDestination
    sync: Sync
    plan_id: str
    audience_id: str | None
    progress: Progress | None = None
    error: MillstreamError | None = None

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._done = 0
        self._lock = threading.Lock()

    def send(self, path: Path) -> None:
        """Send every row of the plan's file, as many batches at once as the vendor allows.

        What stops the sync is kept in ``error``; batches that were not begun stay for the next run.
        """
        at_once = self.destination.rate_limit.concurrency
        running: set[Future[None]] = set()
        with ThreadPoolExecutor(at_once) as threads:
            for operation, rows in self._batches(path):
                if self._stop.is_set():
                    break
                if len(running) >= 2 * at_once:
                    ended, running = wait(running, return_when=FIRST_COMPLETED)
                    for batch in ended:
                        batch.result()
                running.add(threads.submit(self._send_batch, operation, rows))
            for batch in running:
                batch.result()

    def _batches(self, path: Path) -> Iterator[tuple[Operation, list[DeliveryRow]]]:
        renderer = Renderer(self.destination.fields, self.sync.mappings())
        waiting: list[DeliveryRow] = []
        current: Operation | None = None
        for record in _records(path):
            operation = Operation(record["operation"])
            if waiting and current and (operation is not current or len(waiting) >= self._batch_size(current)):
                yield current, waiting
                waiting = []
            current = operation
            row = self._row(record, renderer, operation)
            if row is not None:
                waiting.append(row)
        if waiting and current:
            yield current, waiting

    def _batch_size(self, operation: Operation) -> int:
        if operation is Operation.REMOVE:
            return self.destination.membership_batch_size
        return self.destination.batch_size

    def _row(self, record: dict[str, str], renderer: Renderer, operation: Operation) -> DeliveryRow | None:
        """The row to send; one that does not fit its fields gets its outcome here and is not sent."""
        number = int(record["number"])
        fields = renderer.render(orjson.loads(record["fields"]))
        if isinstance(fields, Outcome):
            batch = self.journal.start_batch(self.plan_id, operation.value, [number])
            self._finish(batch, [number], [fields])
            return None
        return DeliveryRow(
            number=number,
            match_value=record["match_value"],
            fields=fields,
            external_id=record["external_id"],
        )

    def _send_batch(self, operation: Operation, rows: Sequence[DeliveryRow]) -> None:
        if self._stop.is_set():
            return
        numbers = [row.number for row in rows]
        batch = self.journal.start_batch(self.plan_id, operation.value, numbers)
        try:
            outcomes = self._perform(operation, rows)
        except RefusedError as error:
            if len(rows) == 1:
                self._finish(batch, numbers, [rejected(str(error.status), error.what)])
                return
            self._finish(batch, [], [])
            middle = len(rows) // 2
            self._send_batch(operation, rows[:middle])
            self._send_batch(operation, rows[middle:])
        except RetryableError as error:
            self._finish(batch, numbers, [_same(Status.RETRY_LATER, error)] * len(rows))
        except UnknownOutcomeError as error:
            self._finish(batch, numbers, [_same(Status.UNKNOWN, error)] * len(rows))
        except MillstreamError as error:
            self._finish(batch, [], [])
            self._halt(error)
        else:
            self._finish(batch, numbers, outcomes)

    def _perform(self, operation: Operation, rows: Sequence[DeliveryRow]) -> list[Outcome]:
        """The calls of one batch: fields first, then membership of those whose fields were taken."""
        destination, audience = self.destination, self.audience_id
        if operation is Operation.REMOVE:
            if audience is None:
                raise FatalError("A removal needs an audience.", where=f"sync to {destination.name}")
            return self._checked(destination.remove_members(audience, rows), rows)
        call = destination.update if self.sync.mode is SyncMode.UPDATE else destination.upsert
        outcomes = self._checked(call(rows, match_key=self.sync.match_key), rows)
        if operation is not Operation.ADD or audience is None:
            return outcomes
        return self._enrol(audience, rows, outcomes)

    def _enrol(self, audience: str, rows: Sequence[DeliveryRow], outcomes: list[Outcome]) -> list[Outcome]:
        taken = [at for at, outcome in enumerate(outcomes) if outcome.status is Status.ACCEPTED]
        members = [
            DeliveryRow(
                number=rows[at].number,
                match_value=rows[at].match_value,
                fields={},
                external_id=outcomes[at].external_id or rows[at].external_id,
            )
            for at in taken
        ]
        if not members:
            return outcomes
        enrolled = self._checked(self.destination.add_members(audience, members), members)
        for at, member, outcome in zip(taken, members, enrolled, strict=True):
            outcomes[at] = _with_id(outcome, member.external_id)
        return outcomes

    def _checked(self, outcomes: list[Outcome], rows: Sequence[DeliveryRow]) -> list[Outcome]:
        if len(outcomes) != len(rows):
            raise FatalError(
                f"The connector gave {len(outcomes)} outcomes for {len(rows)} rows.",
                where=f"destination {self.destination.name}",
                remedy="the connector breaks the contract; report it to its author.",
            )
        return outcomes

    def _finish(self, batch: int, numbers: Sequence[int], outcomes: Sequence[Outcome]) -> None:
        self.journal.finish_batch(
            batch,
            [
                RowOutcome(
                    number,
                    outcome.status.value,
                    outcome.code,
                    redact(outcome.reason) if outcome.reason else None,
                    outcome.fault,
                    outcome.external_id,
                )
                for number, outcome in zip(numbers, outcomes, strict=True)
            ],
        )
        with self._lock:
            self._done += len(numbers)
            if self.progress and numbers:
                self.progress(self._done)

    def _halt(self, error: MillstreamError) -> None:
        with self._lock:
            self.error = self.error or error
        self._stop.set()


def _records(path: Path) -> Iterator[dict[str, str]]:
    with pq.ParquetFile(path) as plan:
        for batch in plan.iter_batches(batch_size=10_000):
            yield from batch.to_pylist()


def _same(status: Status, error: MillstreamError) -> Outcome:
    return Outcome(status=status, code=type(error).__name__, reason=error.what, fault="vendor")


def _with_id(outcome: Outcome, external_id: str | None) -> Outcome:
    if outcome.external_id or not external_id:
        return outcome
    return Outcome(
        status=outcome.status,
        code=outcome.code,
        reason=outcome.reason,
        fault=outcome.fault,
        external_id=external_id,
    )
