"""Sends one plan: each batch is in the journal before its request and after its answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

from millstream.destinations.contract import DeliveryRow, Outcome, rejected
from millstream.destinations.modes import Operation, Status, SyncMode
from millstream.destinations.sending.enrolments import NOT_ENROLLED, Enrolments, with_ids
from millstream.destinations.sending.jobs import Jobs, StillRunningError
from millstream.destinations.sending.kept_back import KeptBack
from millstream.destinations.sending.performing import Performer, unanswered
from millstream.destinations.sending.plan_rows import AnyDestination, Batch, PlanRows
from millstream.destinations.sending.reasons import name_nobody, without_people
from millstream.destinations.sending.replacing import Everybody
from millstream.destinations.stopping import interrupted, overtaken
from millstream.destinations.sync import Sync
from millstream.state.errors import (
    InterruptedRunError,
    MillstreamError,
    RefusedError,
    RetryableError,
    UnknownOutcomeError,
)
from millstream.state.ledger.journal import BatchEntry, Journal
from millstream.state.ledger.outcomes import Detail, Outcomes
from millstream.state.privacy import redact

_TICK = 0.01
"""Seconds by which a wait is longer, so that it does not end a moment too early."""

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
        path: Its file.
        audience_id: The vendor's id of the audience; None for a sync that only keeps fields.
        kept_back: Tells which rows are not sent.
        stop: Set when this process was asked to stop.
        lost: Set when another run has taken over the sync.
        progress: Told after each batch.
        error: What stopped the sync early, if something did.
    """

    journal: Journal
    destination: AnyDestination
    sync: Sync
    plan_id: str
    path: Path
    audience_id: str | None
    kept_back: KeptBack
    stop: threading.Event
    lost: threading.Event
    progress: Progress | None = None
    error: MillstreamError | None = None

    def __post_init__(self) -> None:
        self._halted = threading.Event()
        self._done = 0
        self._lock = threading.Lock()
        self._taking = threading.Lock()
        self._rows = PlanRows(self.path, self.sync, self.destination)
        self._performer = Performer(self.destination, self.sync, self.audience_id)
        self._enrolments = Enrolments(self.destination.membership_batch_size, self.destination.enrolment_delay)
        self._jobs = Jobs(
            journal=self.journal,
            destination=self.destination,
            sync=self.sync,
            audience_id=self.audience_id,
            stop=self.stop,
        )

    def send(self) -> None:
        """Send every row of the plan, as many batches at once as the vendor allows.

        What stops the sync is kept in ``error``; batches that were not begun stay for the next run. The first batch
        goes alone, so that a wrong credential or mapping costs its requests only. Nobody is taken out before those are
        in who come, so that it is known who is still there, under another match value.
        """
        if self.sync.mode is SyncMode.REPLACE:
            self._replace()
            return
        at_once, alone = self.destination.rate_limit.concurrency, True
        with ThreadPoolExecutor(at_once) as threads:
            try:
                for takes_out, turn in groupby(self._rows.batches(), lambda one: one.operation is Operation.REMOVE):
                    if takes_out and self._look_who_stays() and self._enrolments.are_left():
                        self._enrol_rest(threads)  # who is refused now does not stay
                        self._look_who_stays()
                    if alone:
                        threads.submit(self._send_next, turn).result()
                        alone = False
                    for worker in [threads.submit(self._send_all, turn) for _ in range(at_once)]:
                        worker.result()
                    if self._is_over():
                        break  # else the rest of the turn would be read
            except BaseException:
                self._halted.set()  # else leaving the pool would wait until all is sent
                raise
            self._enrol_rest(threads)

    def _enrol_rest(self, threads: ThreadPoolExecutor) -> None:
        """Enrol who fills no batch of memberships; also when asked to stop: people who are half in are in flight."""
        self._wait_for_early_ones()
        list(threads.map(self._enrol, self._enrolments.batches(rest=True)))

    def _look_who_stays(self) -> bool:
        if self._is_over():
            return False
        try:
            return self.kept_back.look_who_stays()
        except MillstreamError as error:
            self._halt(error)
            return False

    def _send_all(self, batches: Iterator[Batch]) -> None:
        while self._send_next(batches):
            pass

    def _send_next(self, batches: Iterator[Batch]) -> bool:
        """Send the next batch, and enrol whoever fills a batch of memberships by now; False where none is left."""
        if self._is_over():
            return False
        try:
            with self._taking:
                batch = next(batches, None)
            if batch is not None:
                self._send(batch)
            for rows in self._enrolments.batches(rest=False):
                self._enrol(rows)
        except BaseException:
            self._halted.set()
            raise
        return batch is not None

    def _wait_for_early_ones(self) -> None:
        """Wait until all can become members; who cannot yet when asked to stop is left to the next run."""
        left = self._enrolments.seconds_left()
        if left > 0 and not self._halted.is_set() and self.stop.wait(left + _TICK):
            self._is_over()

    def finish_jobs(self, jobs: Sequence[BatchEntry]) -> None:
        """Ask after jobs of an earlier run, submit none again, and keep their outcomes.

        A job whose submission got no answer is looked for by its label; where the vendor does not know it, its rows
        stay without an outcome, which settling takes as unknown.
        """
        for entry in jobs:
            try:
                job_id = entry.job_id or self._find(entry)
            except MillstreamError as error:
                self._halt(error)
                continue
            if job_id is None:
                continue
            operation = Operation(entry.operation)
            rows = self._rows.of_numbers(operation, entry.numbers)
            self._keep(
                entry.batch_id,
                rows,
                lambda rows=rows, job_id=job_id, operation=operation: (  # type: ignore[misc]
                    self._jobs.outcomes_at_last(job_id, operation, rows)
                ),
            )

    def _find(self, entry: BatchEntry) -> str | None:
        """The id of a job whose submission got no answer, kept as if it had."""
        job_id = self.destination.find_job(entry.label or "")
        if job_id is not None:
            self.journal.job_submitted(entry.batch_id, job_id)
        return job_id

    def _is_over(self) -> bool:
        if self.stop.is_set():
            self._halt(interrupted())
        if self.lost.is_set():
            self._halt(overtaken())
        return self._halted.is_set()

    def _replace(self) -> None:
        """Hand over everybody at once; whoever is taken out has the outcome of the whole."""
        if self._is_over():
            return
        into = self.journal.start_batch(self.plan_id, Operation.ADD.value, self._rows.numbers(out=False))
        gone = self._rows.numbers(out=True)
        out = self.journal.start_batch(self.plan_id, Operation.REMOVE.value, gone) if gone else None
        everybody = Everybody(self._rows, self.kept_back.sort_out)
        result = everybody.hand_over(self._performer, label=self.plan_id)
        if result.error is not None:
            self._halt(result.error)
        self._finish(into, result.numbers, result.outcomes)
        if out is not None:
            self._finish(out, gone, [result.of_those_out] * len(gone))

    def _send(self, batch: Batch) -> None:
        if self._is_over():
            return
        try:
            rows, kept_back = self.kept_back.sort_out(batch)
        except MillstreamError as error:
            self._halt(error)
            return
        if kept_back:
            number = self.journal.start_batch(self.plan_id, batch.operation.value, list(kept_back))
            self._finish(number, list(kept_back), list(kept_back.values()))
        if rows and batch.as_job:
            self._send_job(batch.operation, rows)
        elif rows:
            self._send_rows(batch.operation, rows)

    def _send_rows(self, operation: Operation, rows: Sequence[DeliveryRow]) -> None:
        if self._is_over():
            return
        batch = self.journal.start_batch(self.plan_id, operation.value, [row.number for row in rows])
        apart = self._performer.enrols_apart(operation)
        work = self._performer.write if apart else partial(self._performer.perform, operation)
        for half in self._keep(batch, rows, lambda: work(rows), enrols_apart=apart):
            self._send_rows(operation, half)

    def _enrol(self, rows: Sequence[DeliveryRow]) -> None:
        """Put people into the audience whose fields were taken; see ``Enrolments``."""
        if self.error and not isinstance(self.error, InterruptedRunError):
            return
        batch = self.journal.start_batch(self.plan_id, Operation.ENROL.value, [row.number for row in rows])
        for half in self._keep(batch, rows, lambda: self._memberships(rows)):
            self._enrol(half)

    def _memberships(self, rows: Sequence[DeliveryRow]) -> list[Outcome]:
        return with_ids(rows, self._performer.checked(self._performer.enrol(rows), rows))

    def _send_job(self, operation: Operation, rows: Sequence[DeliveryRow]) -> None:
        if self._is_over():
            return
        label = f"{self.plan_id}-{rows[0].number}-{len(rows)}"
        batch = self.journal.start_batch(self.plan_id, operation.value, [row.number for row in rows], label=label)
        halves = self._keep(batch, rows, lambda: self._jobs.perform(batch, label, operation, rows))
        for half in halves:
            self._send_job(operation, half)

    def _keep(
        self,
        batch: int,
        rows: Sequence[DeliveryRow],
        work: Callable[[], list[Outcome]],
        *,
        enrols_apart: bool = False,
    ) -> list[Sequence[DeliveryRow]]:
        """Do a batch's work and keep what became of its rows; gives the halves of one that was refused whole."""
        numbers, calls = [row.number for row in rows], self.destination.calls
        try:
            outcomes = self._named_nobody(work, rows)
            if enrols_apart:
                outcomes = self._enrolments.put_off(rows, outcomes)
        except RefusedError as error:
            if len(rows) > 1:
                self._finish(batch, [], [])
                middle = len(rows) // 2
                return [rows[:middle], rows[middle:]]
            outcomes = [rejected(str(error.status), error.what)]
        except StillRunningError as error:
            self._halt(error.stopped_by or error)
            return []
        except RetryableError as error:
            outcomes = [unanswered(Status.RETRY_LATER, error)] * len(rows)
        except UnknownOutcomeError as error:
            outcomes = [unanswered(Status.UNKNOWN, error)] * len(rows)
        except MillstreamError as error:
            self._halt(error)
            if self.destination.calls - calls <= 1:
                self._finish(batch, [], [])  # its only request was refused
                return []
            outcomes = [unanswered(Status.UNKNOWN, error)] * len(rows)
        self._finish(batch, numbers, outcomes)
        return []

    def _named_nobody(self, work: Callable[[], list[Outcome]], rows: Sequence[DeliveryRow]) -> list[Outcome]:
        """The outcomes of some work, which may fail; neither tells who the people are."""
        try:
            return without_people(self._performer.checked(work(), rows), rows)
        except MillstreamError as error:
            name_nobody(error, rows)
            raise

    def _finish(self, batch: int, numbers: list[int], outcomes: Sequence[Outcome]) -> None:
        reasons = {reason: redact(reason) if reason else None for reason in {one.reason for one in outcomes}}
        details: dict[int, Detail] = {
            place: (outcome.code, reasons[outcome.reason], outcome.fault)
            for place, outcome in enumerate(outcomes)
            if outcome.code or outcome.reason or outcome.fault
        }
        statuses = [str(outcome.status) for outcome in outcomes]
        self.journal.finish_batch(
            batch, Outcomes(numbers, statuses, [outcome.external_id for outcome in outcomes], details)
        )
        with self._lock:
            self._done += sum(outcome.code != NOT_ENROLLED for outcome in outcomes)
            if self.progress and numbers:
                self.progress(self._done)

    def _halt(self, error: MillstreamError) -> None:
        with self._lock:
            self.error = self.error or error
        self._halted.set()
