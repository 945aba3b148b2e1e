"""What an activation of a sync did, in numbers; kept in the store as a row of ``delivery.runs``."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from millstream.destinations.modes import Status
from millstream.destinations.planning import PlanReport
from millstream.destinations.settling import Settled
from millstream.destinations.sync import Sync
from millstream.state.errors import MillstreamError
from millstream.state.ledger.acknowledged import RunRow


@dataclass
class SyncReport:
    """What an activation of a sync did.

    Attributes:
        sync: Name of the sync.
        status: ``completed``, ``partial`` (some rows were not accepted), ``stopped`` (a guard, an error or SIGTERM),
            ``waiting`` (for a job at the vendor; the next run asks again) or ``skipped`` (another run is at it).
        planned: What was planned.
        accepted: Rows the destination took.
        rejected: Rows it refused.
        suppressed: People kept back for want of consent, and those the vendor may not address.
        retry_later: Rows that found no answer and are tried again by the next run.
        unknown: Rows sent without an answer that may not be repeated; held and listed.
        recovered: Rows the destination took in an earlier run that died before it could say so.
        requests: Requests made.
        codes: How often each code was given to a row that was not accepted.
        error: What stopped it.
    """

    sync: str
    status: str = "completed"
    planned: PlanReport | None = None
    accepted: int = 0
    rejected: int = 0
    suppressed: int = 0
    retry_later: int = 0
    unknown: int = 0
    recovered: int = 0
    requests: int = 0
    seconds: float = 0.0
    codes: dict[str, int] = field(default_factory=dict)
    error: MillstreamError | None = None

    @property
    def ok(self) -> bool:
        """Whether every row is where it should be. Suppressed ones are."""
        return self.status in ("completed", "skipped", "waiting")

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        shown = asdict(self, dict_factory=dict)
        shown["planned"] = self.planned.as_json() if self.planned else None
        shown["error"] = str(self.error) if self.error else None
        return {**shown, "ok": self.ok, "seconds": round(self.seconds, 3)}

    def add(self, settled: Settled) -> None:
        """Count the rows of a settled plan."""
        counts = settled.counts
        self.accepted += counts.get(Status.ACCEPTED, 0) + counts.get(Status.ACCEPTED_ASYNC, 0)
        self.rejected += counts.get(Status.REJECTED, 0)
        self.suppressed += counts.get(Status.SUPPRESSED, 0)
        self.retry_later += counts.get(Status.RETRY_LATER, 0)
        self.unknown += counts.get(Status.UNKNOWN, 0)
        for code, rows in settled.codes.items():
            self.codes[code] = self.codes.get(code, 0) + rows

    def end(self, error: MillstreamError | None, *, waiting: bool) -> None:
        """Set the status by what stopped it, or by what was not accepted."""
        self.error = error
        if error:
            self.status = "stopped"
        elif waiting:
            self.status = "waiting"
        else:
            self.status = "partial" if self.rejected or self.retry_later or self.unknown else "completed"

    def as_row(self, run_id: str, sync: Sync, *, started_at: datetime, finished_at: datetime) -> RunRow:
        """The run as the store's audit keeps it."""
        plan = self.planned or PlanReport(self.sync)
        return RunRow(
            run_id=run_id,
            sync=self.sync,
            destination=sync.destination,
            mode=sync.mode.value,
            plan_id=plan.plan_id,
            started_at=started_at,
            finished_at=finished_at,
            status=self.status,
            wanted=plan.wanted,
            adds=plan.adds,
            updates=plan.updates,
            removes=plan.removes,
            accepted=self.accepted,
            rejected=self.rejected,
            suppressed=self.suppressed,
            retry_later=self.retry_later,
            unknown=self.unknown,
            requests=self.requests,
            error=type(self.error).__name__ if self.error else None,
        )
