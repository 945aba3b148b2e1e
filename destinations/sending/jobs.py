"""Async jobs: submitted once, their ids kept before they are asked after, and asked after again by the next run."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from millstream.destinations.contract import DeliveryRow, Outcome
from millstream.destinations.modes import Operation, SyncMode
from millstream.destinations.sending.plan_rows import AnyDestination
from millstream.destinations.stopping import interrupted
from millstream.destinations.sync import Sync
from millstream.state.errors import MillstreamError, RefusedError, RetryableError, UnavailableError, UnknownOutcomeError
from millstream.state.ledger.journal import Journal

FIRST_WAIT = 0.5
LONGEST_WAIT = 30.0
"""Seconds between two looks at a job; each wait is half as long again as the one before."""
PATIENCE = 3600.0
"""Seconds after which a job is left to the next run."""

_NOT_ENDED = "The vendor has not ended the job yet; the next run asks again."


class StillRunningError(UnavailableError):
    """A job has not ended, or cannot be asked after: its rows have no outcome yet, and a later run asks again.

    Attributes:
        stopped_by: What stands in the way until somebody does something about it, such as a refused credential.
    """

    def __init__(self, what: str, *, stopped_by: MillstreamError | None = None) -> None:
        super().__init__(what)
        self.stopped_by = stopped_by


@dataclass(frozen=True, kw_only=True)
class Jobs:
    """Jobs of one sync at its destination.

    Attributes:
        journal: Where ids are kept.
        destination: The connector.
        sync: What is kept in step.
        audience_id: The vendor's id of the audience.
        stop: Set when this process was asked to stop.
    """

    journal: Journal
    destination: AnyDestination
    sync: Sync
    audience_id: str | None
    stop: threading.Event

    def perform(self, batch_id: int, label: str, operation: Operation, rows: Sequence[DeliveryRow]) -> list[Outcome]:
        """Submit a job, keep its id, and wait for its outcomes.

        Raises:
            StillRunningError: It has not ended yet, or the vendor cannot be asked now.
            MillstreamError: Submitting it failed, as the session raises; ``RefusedError`` where the vendor refused the
                job as a whole.
        """
        job_id = self.destination.submit_job(
            operation,
            rows,
            match_key=self.sync.match_key,
            audience_id=self.audience_id,
            creates=self.sync.mode is not SyncMode.UPDATE,
            label=label,
        )
        self.journal.job_submitted(batch_id, job_id)
        return self.outcomes(job_id, operation, rows)

    def outcomes(self, job_id: str, operation: Operation, rows: Sequence[DeliveryRow]) -> list[Outcome]:
        """Wait for a job that was submitted, also by an earlier run.

        Rows of a job are never sent anew while it may still run: it could overtake newer values with its own.

        Raises:
            StillRunningError: It has not ended yet, or the vendor cannot be asked now.
            RefusedError: It failed as a whole, or the vendor no longer knows it.
        """
        try:
            self._wait_for(job_id)
            return self.destination.job_outcomes(job_id, operation, rows)
        except (RefusedError, StillRunningError):
            raise
        except RetryableError as error:
            raise StillRunningError(f"The job cannot be asked after: {error.what}") from error
        except MillstreamError as error:
            raise StillRunningError(f"The job cannot be asked after: {error.what}", stopped_by=error) from error

    def outcomes_at_last(self, job_id: str, operation: Operation, rows: Sequence[DeliveryRow]) -> list[Outcome]:
        """As ``outcomes``, for a job of an earlier run: where the vendor no longer knows it, nobody does.

        Raises:
            StillRunningError: It has not ended yet, or the vendor cannot be asked now.
            UnknownOutcomeError: It failed as a whole, or the vendor no longer knows it.
        """
        try:
            return self.outcomes(job_id, operation, rows)
        except RefusedError as error:
            raise UnknownOutcomeError(error.what) from error

    def _wait_for(self, job_id: str) -> None:
        wait, until = FIRST_WAIT, time.monotonic() + PATIENCE
        while not self.destination.poll_job(job_id).done:
            if self.stop.wait(wait):
                raise StillRunningError(_NOT_ENDED, stopped_by=interrupted())
            if time.monotonic() > until:
                raise StillRunningError(_NOT_ENDED)
            wait = min(wait * 1.5, LONGEST_WAIT)
