"""Delivery: plan, send, settle, in that order, so that nothing is lost and nothing is sent twice in silence."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from glob import escape
from pathlib import Path
from tempfile import TemporaryDirectory

from millstream.destinations.exchange import PlanFacts
from millstream.destinations.needed_fields import ensure_fields
from millstream.destinations.planning import PlanReport, PlanRequest, make_plan
from millstream.destinations.preview import Look, PlanPreview, SavedPlan, check_saved, latency_of, look_at, settings_of
from millstream.destinations.rules import DeliveryRules, Holdout, Restraints, Suppression
from millstream.destinations.same_audience import check_same_audience
from millstream.destinations.same_destination import check_same_destination
from millstream.destinations.sending import AnyDestination, KeptBack, Sender, Staying, Withdrawals
from millstream.destinations.sending.jobs import StillRunningError
from millstream.destinations.sending.long_lived import only_new_objects_collected
from millstream.destinations.settling import settle
from millstream.destinations.stopping import STOP, OvertakenError, overtaken
from millstream.destinations.sync import Sync
from millstream.destinations.sync_report import SyncReport
from millstream.state.errors import ConfigurationError, GuardError, MillstreamError
from millstream.state.ledger.acknowledged import forget_old, keep_run
from millstream.state.ledger.deliveries import lease_of
from millstream.state.ledger.journal import Journal, PlanEntry, now
from millstream.state.ledger.suppressions import salt, suppressions_for
from millstream.state.store import SECONDS, Connection, Store, in_little_memory

Progress = Callable[[str, int, int], None]
"""Called with the sync's name, the rows that have an outcome, and all rows of the plan."""


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
        rules: What the project says about delivery as a whole.
        sql_seconds: How long the SQL of the sync may take.
    """

    name: str
    sync: Sync
    destination: Callable[[], AnyDestination]
    store: Store
    journal: Journal
    plans: Path
    rules: DeliveryRules = field(default_factory=DeliveryRules)
    sql_seconds: float = SECONDS
    _lost: threading.Event = field(default_factory=threading.Event, init=False)

    def plan(self, run_id: str, look: Look | None = None) -> PlanPreview:
        """What an activation would do; nothing is sent and nothing is kept."""
        with TemporaryDirectory() as folder:
            with self.store.rehearsal() as connection:
                plan = make_plan(connection, self._request(run_id, folder=Path(folder)))
                latency = latency_of(connection, self.sync.destination)
            return look_at(plan, self.name, self.sync, self.destination, look or Look(), latency=latency, now=now())

    def foresee(self, connection: Connection, run_id: str) -> PlanReport:
        """What an activation would do, on a connection whose work is taken back; no vendor is asked.

        Raises:
            ConfigurationError: A column that is not there.
            TimeLimitError: The SQL of the sync took longer than it may.
        """
        return make_plan(connection, self._request(run_id))

    def activate(
        self,
        run_id: str,
        *,
        override_guards: bool = False,
        saved: SavedPlan | None = None,
        progress: Progress | None = None,
    ) -> SyncReport:
        """Settle what an earlier run left, plan, send, settle.

        What goes wrong at the vendor is in the report; that it cannot be planned is raised.

        Args:
            run_id: The run that asks.
            override_guards: Whether to send although a guard says stop.
            saved: What was looked at: nothing is sent if the plan is another one by now.
            progress: Told after each batch.

        Raises:
            ConfigurationError: A column that is not there; or ``saved`` is not what would be sent.
            TimeLimitError: The SQL of the sync took longer than it may.
        """
        started, began = time.monotonic(), now()
        report = SyncReport(self.name)
        self._lost.clear()
        with self.journal.lease(lease_of(self.name), run_id, lost=self._lost) as mine:
            died = self.journal.unsettled_plans(self.name) if mine else []
            if not mine:
                report.status = "skipped"
            elif not died or self.settle_earlier(report, override_guards=override_guards):
                self._sweep()
                plan = report.planned = self._plan(run_id, report, override_guards=override_guards)
                if saved:
                    self._check_saved(saved, plan)
                if plan.operations:
                    self._send(run_id, plan, died, report, override_guards=override_guards, progress=progress)
                    self._audit(run_id, report, began)
        report.seconds = time.monotonic() - started
        return report

    def _check_saved(self, saved: SavedPlan, plan: PlanReport) -> None:
        try:
            settings = settings_of(self.destination().settings)
            check_saved(saved, self.name, self.sync, plan.path, plan.counts, settings=settings)
        except ConfigurationError:
            if plan.path:
                plan.path.unlink(missing_ok=True)
            raise

    def _send(
        self,
        run_id: str,
        plan: PlanReport,
        died: Sequence[PlanEntry],
        report: SyncReport,
        *,
        override_guards: bool,
        progress: Progress | None,
    ) -> None:
        destination = self.destination()
        destination.check_lease = partial(self.check_lease, run_id)
        error: MillstreamError | None = None
        try:
            self._keep(run_id, plan)
            if not override_guards:
                plan.check_guards()
            sender = self._sender(destination, plan, died, progress, override_guards=override_guards)
        except MillstreamError as problem:
            error = problem
        else:
            with only_new_objects_collected():
                sender.send()
            error = sender.error
        report.requests += destination.calls
        waiting = False
        try:
            mine = [one for one in self.journal.unsettled_plans(self.name) if one.plan_id == plan.plan_id]
            waiting = self._settle(mine, report, own=True)
        except OvertakenError as problem:
            error = error or problem
        report.end(None if isinstance(error, StillRunningError) else error, waiting=waiting)

    def _keep(self, run_id: str, plan: PlanReport) -> None:
        """Keep the plan in the journal before anything of it is sent."""
        assert plan.plan_id is not None
        assert plan.path is not None
        if not self.journal.add_plan(plan.plan_id, sync=self.name, run_id=run_id, path=plan.path, counts=plan.counts):
            plan.path.unlink(missing_ok=True)
            raise overtaken()

    def check_lease(self, run_id: str) -> None:
        """Look into the journal whether a run of this process still holds the sync.

        Raises:
            OvertakenError: Another run has taken it over.
        """
        if not self.journal.holds(self.name, run_id):
            raise overtaken()

    def _facts(self, plan_id: str, died: Sequence[PlanEntry]) -> PlanFacts:
        """What connectors are told of a plan: under the name of one that an earlier run died over, if there was one."""
        earlier = next((one for one in reversed(died) if one.status != "planned"), None)
        return PlanFacts(
            sync=self.name,
            plan=earlier.plan_id if earlier else plan_id,
            made_at=earlier.made_at if earlier else now(),
            fields=tuple(self.sync.fields),
        )

    def settle_earlier(self, report: SyncReport, *, override_guards: bool = False) -> bool:
        """Settle what an earlier run left; False while a job of it has not ended, or cannot be asked after."""
        try:
            error = self._finish_jobs(report, override_guards=override_guards)
        except GuardError as problem:
            error = problem
        if error and not isinstance(error, StillRunningError):
            # A job that could not be looked for may be running: its rows must not be sent anew before it is found.
            report.end(error, waiting=False)
            return False
        earlier = SyncReport(self.name)
        try:
            waiting = self._settle(self.journal.unsettled_plans(self.name), earlier, own=False)
        except OvertakenError as problem:
            report.end(problem, waiting=False)
            return False
        report.recovered = earlier.accepted
        if waiting:
            report.end(None, waiting=True)
        return not waiting

    def _finish_jobs(self, report: SyncReport, *, override_guards: bool) -> MillstreamError | None:
        """Ask after the jobs of earlier runs; what stopped one of them."""
        error: MillstreamError | None = None
        for plan in self.journal.unsettled_plans(self.name):
            if jobs := self.journal.open_jobs(plan.plan_id):
                if not override_guards:
                    check_same_destination(self.store, self.name, self.sync, jobs)
                destination = self.destination()
                sender = self._make_sender(destination, plan.plan_id, plan.path, plan.audience_id, None)
                sender.finish_jobs(jobs)
                report.requests += destination.calls
                error = error or sender.error
        return error

    def _sender(
        self,
        destination: AnyDestination,
        plan: PlanReport,
        died: Sequence[PlanEntry],
        progress: Progress | None,
        *,
        override_guards: bool,
    ) -> Sender:
        assert plan.plan_id is not None
        assert plan.path is not None
        destination.plan = self._facts(plan.plan_id, died)
        ensure_fields(destination, self.name, self.sync, plan.columns)
        audience = self.sync.audience_name
        audience_id = destination.ensure_audience(audience) if audience else None
        if audience_id is not None and not override_guards:
            check_same_audience(self.journal, plan, self.sync, audience_id)
        if not self.journal.plan_sending(plan.plan_id, audience_id):
            raise overtaken()

        def batch_done(rows: int) -> None:
            if progress:
                progress(self.name, rows, plan.operations)

        return self._make_sender(destination, plan.plan_id, plan.path, audience_id, batch_done)

    def _make_sender(
        self,
        destination: AnyDestination,
        plan_id: str,
        path: Path,
        audience_id: str | None,
        batch_done: Callable[[int], None] | None,
    ) -> Sender:
        return Sender(
            journal=self.journal,
            destination=destination,
            sync=self.sync,
            plan_id=plan_id,
            path=path,
            audience_id=audience_id,
            kept_back=KeptBack(
                destination,
                Withdrawals(
                    store=self.store,
                    path=path,
                    sync=self.sync,
                    suppressions=self._suppressions,
                    looked_at=time.monotonic(),
                ),
                Staying(
                    store=self.store, journal=self.journal, name=self.name, sync=self.sync, plan_id=plan_id, path=path
                ),
            ),
            stop=STOP,
            lost=self._lost,
            progress=batch_done,
        )

    def _request(self, run_id: str, *, folder: Path | None = None, override_guards: bool = False) -> PlanRequest:
        return PlanRequest(
            name=self.name,
            sync=self.sync,
            run_id=run_id,
            now=now(),
            required=[name for name, mapping in self.sync.mappings().items() if mapping.required],
            restraints=self._restraints(),
            waiting=self.journal.rejected_rows(self.name),
            folder=folder,
            override_guards=override_guards,
            sql_seconds=self.sql_seconds,
        )

    def _restraints(self) -> Restraints:
        audience = self.sync.audience
        shares = self.rules.holdouts_of(audience) if self.sync.has_holdouts else {}
        return Restraints(
            holdouts=tuple(
                Holdout(name=name, share=share, salt=salt(self.journal, name)) for name, share in shares.items()
            ),
            earlier=self.rules.earlier_than(audience) if audience else (),
            suppressions=self._suppressions(),
        )

    def _suppressions(self) -> tuple[Suppression, ...]:
        channel = None if self.sync.consent == "not_needed" else self.sync.consent.channel
        return tuple(
            Suppression(channel=row["channel"], value_hash=row["value_hash"], reason=row["reason"])
            for row in suppressions_for(self.journal, channel)
        )

    def _plan(self, run_id: str, report: SyncReport, *, override_guards: bool) -> PlanReport:
        """Plan; a run that has nothing to send is in the audit with it, for one look at the store."""
        request = self._request(run_id, folder=self.plans, override_guards=override_guards)

        def planned(connection: Connection) -> PlanReport:
            plan = make_plan(connection, request)
            report.suppressed = plan.suppressed
            if not plan.operations:
                report.planned = plan
                if {"destination", "audience"} & plan.tripped.keys() and not override_guards:
                    # As nothing differs from what the other one holds, this one would get nobody, for ever.
                    report.end(plan.guard_error(), waiting=False)
                keep_run(connection, report.as_row(run_id, self.sync, started_at=request.now, finished_at=now()))
            return plan

        # A second thread takes more memory and hardly less time; only what somebody else wrote may gain by it.
        return in_little_memory(self.store, planned, threads=None if self.sync.sql else 1)

    def _sweep(self) -> None:
        """Delete this sync's files that no open plan has: a run died between writing or settling one and noting it."""
        open_plans = {plan.path for plan in self.journal.unsettled_plans(self.name)}
        for path in self.plans.glob(f"{escape(self.name)}.plan_*"):
            if path not in open_plans:
                path.unlink(missing_ok=True)

    def _settle(self, plans: Sequence[PlanEntry], report: SyncReport, *, own: bool) -> bool:
        """Settle plans, and count their rows in the report.

        Args:
            plans: Those of this sync that are to be settled.
            report: The counts go here.
            own: Whether they are of this run.

        Returns:
            Whether one is left because a job of it has not ended.

        Raises:
            OvertakenError: Another run has taken over the sync, and settles them.
        """
        waiting = False
        for plan in plans:
            if any(batch.job_id for batch in self.journal.open_jobs(plan.plan_id)):
                waiting = True
                continue
            if self._lost.is_set() or not self.journal.close_plan(plan.plan_id, own=own):
                raise overtaken()
            settled = settle(
                self.store,
                self.journal,
                plan,
                sync=self.sync,
                rules=self.rules,
                destination=self.destination(),
                now=now(),
            )
            report.add(settled)
        return waiting

    def _audit(self, run_id: str, report: SyncReport, began: datetime) -> None:
        """Keep the run in the store, and drop what is older than the project keeps."""
        with self.store.transaction() as connection:
            keep_run(connection, report.as_row(run_id, self.sync, started_at=began, finished_at=now()))
            forget_old(connection, keep_days=self.rules.keep_days, now=now())
        self.journal.forget_plans(before=now() - timedelta(days=self.rules.keep_days))
