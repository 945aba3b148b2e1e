"""Attempts to send a batch: the intent is in the journal before the request, and what became of it after the answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from millstream.destinations.contract import DeliveryRow, Outcome, rejected
from millstream.destinations.modes import UNCERTAIN, Operation, Status
from millstream.destinations.sending.enrolments import NOT_ENROLLED
from millstream.destinations.sending.jobs import StillRunningError
from millstream.destinations.sending.performing import checked, unanswered
from millstream.destinations.sending.plan_rows import AnyDestination
from millstream.destinations.sending.reasons import name_nobody, without_people
from millstream.destinations.sending.unwanted import NOT_TAKEN_OUT
from millstream.destinations.stopping import overtaken
from millstream.state.errors import (
    AuthenticationError,
    ConfigurationError,
    MillstreamError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExhaustedError,
    RefusedError,
    RetryableError,
    UnknownOutcomeError,
)
from millstream.state.ledger.journal import Journal
from millstream.state.ledger.outcomes import Detail, Outcomes
from millstream.state.privacy import redact

Progress = Callable[[int], None]
"""Called with the number of rows that have an outcome, after each batch."""

Rows = Sequence[DeliveryRow]

_REFUSALS = (AuthenticationError, PermissionDeniedError, NotFoundError, ConfigurationError)


@dataclass(kw_only=True)
class Attempts:
    """Batches of one plan; threads share it.

    Attributes:
        journal: Where intent and outcomes are committed.
        destination: The connector; it counts its requests.
        plan_id: The plan.
        match_key: The field by which its people are found.
        halt: Told of an error that stops the sync.
        progress: Told after each batch.
    """

    journal: Journal
    destination: AnyDestination
    plan_id: str
    match_key: str
    halt: Callable[[MillstreamError], None]
    progress: Progress | None = None
    _done: int = field(default=0, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def begin(self, operation: Operation, numbers: Sequence[int], *, label: str | None = None) -> int:
        """Commit the intent to send rows, which have these numbers in the plan; gives the batch's number.

        Raises:
            OvertakenError: Another run has taken over the sync.
        """
        batch = self.journal.start_batch(self.plan_id, operation.value, numbers, label=label)
        if batch is None:
            raise overtaken()
        return batch

    def carry_out(
        self,
        batch: int,
        operation: Operation,
        rows: Rows,
        work: Callable[[], list[Outcome]],
        *,
        then: Callable[[Rows, list[Outcome]], list[Outcome]] | None = None,
    ) -> list[Rows]:
        """Do a batch's work and commit what became of its rows.

        Args:
            batch: Its number.
            operation: What is done with its rows.
            rows: What it sends.
            work: Sends it, and gives one outcome for each row.
            then: What is made of the outcomes before they are kept.

        Returns:
            The halves of a batch that was refused whole, which are to be sent by themselves.
        """
        numbers, calls = [row.number for row in rows], self.destination.calls
        try:
            outcomes = self._naming_nobody(work, rows)
            if then is not None:
                outcomes = then(rows, outcomes)
        except RefusedError as error:
            if len(rows) > 1:
                self.end(batch, [], [])
                middle = len(rows) // 2
                return [rows[:middle], rows[middle:]]
            outcomes = [rejected(str(error.status), error.what)]
        except StillRunningError as error:
            self.halt(error.stopped_by or error)
            return []
        except RetryableError as error:
            outcomes = [unanswered(Status.RETRY_LATER, error)] * len(rows)
        except UnknownOutcomeError as error:
            outcomes = [unanswered(Status.UNKNOWN, error)] * len(rows)
        except MillstreamError as error:
            self.halt(error)
            made = self.destination.calls - calls
            if not made or (made == 1 and _is_refusal(error)):
                self.end(batch, [], [])  # nothing was written
                return []
            outcomes = [unanswered(Status.UNKNOWN, error)] * len(rows)
        self.end(batch, numbers, self._remembering(operation, rows, outcomes))
        return []

    def end(self, batch: int, numbers: list[int], outcomes: Sequence[Outcome]) -> None:
        """Commit what became of rows, and tell how many have an outcome by now."""
        codes = [outcome.code for outcome in outcomes]
        reasons = {reason: redact(reason) if reason else None for reason in {one.reason for one in outcomes}}
        details: dict[int, Detail] = {
            place: (outcome.code, reasons[outcome.reason], outcome.fault)
            for place, outcome in enumerate(outcomes)
            if outcome.code or outcome.reason or outcome.fault
        }
        statuses = [str(outcome.status) for outcome in outcomes]
        ids = [outcome.external_id for outcome in outcomes]
        self.journal.finish_batch(batch, Outcomes(numbers, statuses, ids, details))
        with self._lock:
            self._done += len(codes) - codes.count(NOT_ENROLLED) - codes.count(NOT_TAKEN_OUT)
            if self.progress and numbers:
                self.progress(self._done)

    def _remembering(self, operation: Operation, rows: Rows, outcomes: list[Outcome]) -> list[Outcome]:
        """The outcomes, with what is to be kept of people of whom nobody knows whether they were put in."""
        if operation is Operation.REMOVE or not self.destination.codes("kept_as"):
            return outcomes
        return [
            replace(outcome, external_id=self.destination.kept_as(row, match_key=self.match_key))
            if outcome.status in UNCERTAIN and outcome.external_id is None
            else outcome
            for row, outcome in zip(rows, outcomes, strict=True)
        ]

    def _naming_nobody(self, work: Callable[[], list[Outcome]], rows: Rows) -> list[Outcome]:
        """The outcomes of some work, which may fail; neither tells who the people are."""
        try:
            return without_people(checked(work(), rows, self.destination), rows)
        except MillstreamError as error:
            name_nobody(error, rows)
            raise


def _is_refusal(error: MillstreamError) -> bool:
    """Whether a request that ended so was not carried out, for sure."""
    if isinstance(error, QuotaExhaustedError):
        return not error.after_a_try
    return isinstance(error, _REFUSALS)
