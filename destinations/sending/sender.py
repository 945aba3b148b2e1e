"""Sends one plan: its batches in turn, as many at once as the vendor allows, until it is stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

from millstream.destinations.contract import Outcome
from millstream.destinations.modes import Operation, SyncMode
from millstream.destinations.sending.attempts import Attempts, Progress, Rows
from millstream.destinations.sending.enrolments import Enrolments, with_ids
from millstream.destinations.sending.jobs import Jobs
from millstream.destinations.sending.kept_back import KeptBack
from millstream.destinations.sending.performing import Performer, checked
from millstream.destinations.sending.plan_rows import AnyDestination, Batch, PlanRows
from millstream.destinations.sending.replacing import Everybody
from millstream.destinations.sending.unwanted import Unwanted
from millstream.destinations.stopping import OvertakenError, interrupted, overtaken
from millstream.destinations.sync import Sync
from millstream.state.errors import InterruptedRunError, MillstreamError
from millstream.state.ledger.journal import BatchEntry, Journal

_TICK = 0.01
"""Seconds by which a wait is longer, so that it does not end a moment too early."""


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
        self._halting = threading.Lock()
        self._taking = threading.Lock()
        self._rows = PlanRows(self.path, self.sync, self.destination)
        self._performer = Performer(self.destination, self.sync, self.audience_id)
        self._attempts = Attempts(
            journal=self.journal,
            destination=self.destination,
            plan_id=self.plan_id,
            match_key=self.sync.match_key,
            halt=self._halt,
            progress=self.progress,
        )
        self._enrolments = Enrolments(self.destination.membership_batch_size, self.destination.enrolment_delay)
        self._unwanted = Unwanted()
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
        try:
            if self.sync.mode is SyncMode.REPLACE:
                self._replace()
            else:
                self._send_in_turns()
        except OvertakenError as error:
            self._halt(error)

    def _send_in_turns(self) -> None:
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
            self._take_out_unwanted(threads)

    def _take_out_unwanted(self, threads: ThreadPoolExecutor) -> None:
        """Take out who may not be in the audience any more, but for what somebody has who stays."""
        if self._unwanted.rows and not self._is_over():
            self._look_who_stays()
            rows, size = self._unwanted.rows, self.destination.membership_batch_size
            list(threads.map(self._withdraw, [rows[start : start + size] for start in range(0, len(rows), size)]))

    def _enrol_rest(self, threads: ThreadPoolExecutor) -> None:
        """Enrol who fills no batch of memberships; also when asked to stop: people who are half in are in flight."""
        self._wait_for_early_ones()
        list(threads.map(self._enrol, self._enrolments.batches(rest=True)))

    def _look_who_stays(self) -> bool:
        if self._is_over():
            return False
        try:
            return self.kept_back.look_who_stays(self._unwanted.rows)
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
            work = partial(self._jobs.outcomes_at_last, job_id, operation, rows)
            self._attempts.carry_out(entry.batch_id, operation, rows, work)

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
        into = self._attempts.begin(Operation.ADD, self._rows.numbers(out=False))
        gone = self._rows.numbers(out=True)
        out = self._attempts.begin(Operation.REMOVE, gone) if gone else None
        everybody = Everybody(self._rows, self.kept_back.sort_out)
        result = everybody.hand_over(self._performer, label=self.plan_id)
        if result.error is not None:
            self._halt(result.error)
        self._attempts.end(into, result.numbers, result.outcomes)
        if out is not None:
            self._attempts.end(out, gone, [result.of_those_out] * len(gone))

    def _send(self, batch: Batch) -> None:
        if self._is_over():
            return
        try:
            rows, kept_back = self.kept_back.sort_out(batch)
        except MillstreamError as error:
            self._halt(error)
            return
        if kept_back:
            number = self._attempts.begin(batch.operation, list(kept_back))
            self._attempts.end(number, list(kept_back), list(kept_back.values()))
        if rows and batch.as_job:
            self._send_job(batch.operation, rows)
        elif rows:
            self._send_rows(batch.operation, rows)

    def _send_rows(self, operation: Operation, rows: Rows) -> None:
        if self._is_over():
            return
        batch = self._attempts.begin(operation, _numbers(rows))
        work: Callable[[], list[Outcome]] = partial(self._performer.perform, operation, rows)
        then: Callable[[Rows, list[Outcome]], list[Outcome]] | None = None
        if self._performer.enrols_apart(operation):
            work, then = partial(self._performer.write, rows), self._enrolments.put_off
        elif operation is not Operation.REMOVE and self.destination.codes("known_as"):
            then = partial(self._unwanted.put_off, operation)
        for half in self._attempts.carry_out(batch, operation, rows, work, then=then):
            self._send_rows(operation, half)

    def _enrol(self, rows: Rows) -> None:
        """Put people into the audience whose fields were taken; see ``Enrolments``."""
        if self.error and not isinstance(self.error, InterruptedRunError):
            return
        batch = self._attempts.begin(Operation.ENROL, _numbers(rows))
        for half in self._attempts.carry_out(batch, Operation.ENROL, rows, partial(self._memberships, rows)):
            self._enrol(half)

    def _withdraw(self, rows: Rows) -> None:
        if self._is_over():
            return
        batch = self._attempts.begin(Operation.WITHDRAW, _numbers(rows))
        work = partial(self._performer.leave_audience, rows)
        for half in self._attempts.carry_out(batch, Operation.REMOVE, rows, work, then=self._unwanted.taken_out):
            self._withdraw(half)

    def _memberships(self, rows: Rows) -> list[Outcome]:
        return with_ids(rows, checked(self._performer.enrol(rows), rows, self.destination))

    def _send_job(self, operation: Operation, rows: Rows) -> None:
        if self._is_over():
            return
        label = f"{self.plan_id}-{rows[0].number}-{len(rows)}"
        batch = self._attempts.begin(operation, _numbers(rows), label=label)
        work = partial(self._jobs.perform, batch, label, operation, rows)
        for half in self._attempts.carry_out(batch, operation, rows, work):
            self._send_job(operation, half)

    def _halt(self, error: MillstreamError) -> None:
        with self._halting:
            self.error = self.error or error
        self._halted.set()


def _numbers(rows: Rows) -> list[int]:
    return [row.number for row in rows]
