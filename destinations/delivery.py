"""Delivery: plan, send, settle, in that order, so that nothing is lost and nothing is sent twice in silence."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from glob import escape
from pathlib import Path
from typing import Any

from millstream.destinations.modes import Status
from millstream.destinations.plan import PlanReport, make_plan
from millstream.destinations.send import AnyDestination, Sender
from millstream.destinations.settle import Settled, settle
from millstream.destinations.sync import Sync
from millstream.state.errors import MillstreamError
from millstream.state.ledger.journal import Journal, now
from millstream.state.store import Store

RENEW_AFTER = 60.0
"""Seconds after which a running sync says again that it is alive; its lease holds for much longer."""

Progress = Callable[[str, int, int], None]
"""Called with the sync's name, the rows that have an outcome, and all rows of the plan."""


@dataclass
class SyncReport:
    """What an activation of a sync did.

    Attributes:
        sync: Name of the sync.
        status: ``completed``, ``partial`` (some rows were not accepted), ``stopped`` (a guard or an error) or
            ``skipped`` (another run is at it).
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
        return self.status in ("completed", "skipped")

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        shown = asdict(self, dict_factory=dict)
        shown["planned"] = self.planned.as_json() if self.planned else None
        shown["error"] = str(self.error) if self.error else None
        return {**shown, "ok": self.ok, "seconds": round(self.seconds, 3)}


@dataclass
class Delivery:
    """One sync of a project, with what it needs.

    Attributes:
        name: Name of the sync.
        sync: What it is.
        destination: Makes the connector; called only when there is something to send.
        store: The analytical database.
        journal: The transactional one.
        plans: Folder for plan files.
    """

    name: str
    sync: Sync
    destination: Callable[[], AnyDestination]
    store: Store
    journal: Journal
    plans: Path

    def plan(self, run_id: str) -> PlanReport:
        """What an activation would do; nothing is sent and nothing is kept."""
        return self._plan(run_id, keep=False)

    def activate(self, run_id: str, *, override_guards: bool = False, progress: Progress | None = None) -> SyncReport:
        """Settle what an earlier run left, plan, send, settle.

        What goes wrong is in the report; only a wrong configuration is raised.
        """
        started = time.monotonic()
        report = SyncReport(self.name)
        with self.journal.lease(f"sync {self.name}", run_id) as mine:
            if mine:
                self._activate(run_id, report, override_guards, progress)
            else:
                report.status = "skipped"
        report.seconds = time.monotonic() - started
        return report

    def _activate(self, run_id: str, report: SyncReport, override_guards: bool, progress: Progress | None) -> None:
        report.recovered = self._settle_all(SyncReport(self.name)).accepted
        self._sweep()
        plan = report.planned = self._plan(run_id, keep=True)
        report.suppressed = plan.suppressed
        if not plan.operations:
            return
        destination = self.destination()
        sender: Sender | None = None
        try:
            if not override_guards:
                plan.check_guards()
            sender = self._sender(destination, plan, progress)
        except MillstreamError as error:
            report.error = error
        if sender and plan.path:
            sender.send(plan.path)
            report.error = sender.error
        report.requests = destination.calls
        self._settle_all(report)
        report.status = _status(report)

    def _sender(self, destination: AnyDestination, plan: PlanReport, progress: Progress | None) -> Sender:
        audience = self.sync.audience_name
        audience_id = destination.ensure_audience(audience) if audience else None
        assert plan.plan_id is not None
        self.journal.plan_sending(plan.plan_id, audience_id)

        renewed = time.monotonic()

        def batch_done(rows: int) -> None:
            nonlocal renewed
            if time.monotonic() - renewed > RENEW_AFTER:
                renewed = time.monotonic()
                self.journal.renew_lease(f"sync {self.name}")
            if progress:
                progress(self.name, rows, plan.operations)

        return Sender(self.journal, destination, self.sync, plan.plan_id, audience_id, batch_done)

    def _plan(self, run_id: str, *, keep: bool) -> PlanReport:
        waiting = self.journal.rejected_rows(self.name)
        with self.store.transaction() as connection:
            folder = self.plans if keep else None
            report = make_plan(connection, self.name, self.sync, waiting=waiting, folder=folder, now=now())
        if report.plan_id and report.path:
            counts = {"add": report.adds, "update": report.updates, "remove": report.removes}
            self.journal.add_plan(report.plan_id, sync=self.name, run_id=run_id, path=report.path, counts=counts)
        return report

    def _sweep(self) -> None:
        """Delete this sync's files that no open plan has: a run died between writing or settling one and noting it."""
        open_plans = {plan.path for plan in self.journal.unsettled_plans(self.name)}
        for path in self.plans.glob(f"{escape(self.name)}.plan_*"):
            if path not in open_plans:
                path.unlink(missing_ok=True)

    def _settle_all(self, report: SyncReport) -> SyncReport:
        """Settle every plan of this sync that is not settled yet, and count its rows in the report."""
        plans = self.journal.unsettled_plans(self.name)
        idempotent = self.destination().idempotent if plans else frozenset()
        for plan in plans:
            settled = settle(self.store, self.journal, plan, mode=self.sync.mode, idempotent=idempotent, now=now())
            _count(report, settled)
        return report


def _count(report: SyncReport, settled: Settled) -> None:
    counts = settled.counts
    report.accepted += counts.get(Status.ACCEPTED, 0) + counts.get(Status.ACCEPTED_ASYNC, 0)
    report.rejected += counts.get(Status.REJECTED, 0)
    report.suppressed += counts.get(Status.SUPPRESSED, 0)
    report.retry_later += counts.get(Status.RETRY_LATER, 0)
    report.unknown += counts.get(Status.UNKNOWN, 0)
    for code, rows in settled.codes.items():
        report.codes[code] = report.codes.get(code, 0) + rows


def _status(report: SyncReport) -> str:
    if report.error:
        return "stopped"
    whole = not (report.rejected or report.retry_later or report.unknown)
    return "completed" if whole else "partial"
