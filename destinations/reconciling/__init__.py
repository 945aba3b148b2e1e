"""Reconcile: what a destination holds, read back, compared with what it acknowledged; and set right where asked.

Only people whom the sync itself put in or took out are ever touched: the others in an audience are counted.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from millstream.destinations.contract import Member
from millstream.destinations.delivery import Delivery
from millstream.destinations.exchange import PlanFacts
from millstream.destinations.http import Recorded
from millstream.destinations.modes import SyncMode
from millstream.destinations.reconciling.comparing import compare, keep, table_of
from millstream.destinations.reconciling.repairing import forget_unanswered, repair
from millstream.destinations.reconciling.report import DriftReport
from millstream.destinations.stopping import STOP, overtaken
from millstream.destinations.sync_report import SyncReport
from millstream.state.errors import InterruptedRunError, MillstreamError
from millstream.state.ledger.acknowledged import create_tables
from millstream.state.ledger.deliveries import lease_of
from millstream.state.ledger.drift import ReconciliationRow, keep_reconciliation
from millstream.state.ledger.drift import create_tables as create_drift_tables
from millstream.state.ledger.journal import now

if TYPE_CHECKING:
    from datetime import datetime

    import pyarrow as pa

    from millstream.destinations.sending import AnyDestination

__all__ = ["DriftReport", "reconcile"]


def reconcile(delivery: Delivery, run_id: str, *, repair: bool = False, beside: Sequence[str] = ()) -> DriftReport:
    """Read a sync's audience back, and compare it with what was acknowledged.

    What goes wrong at the vendor is in the report; only a wrong configuration is raised. While another run is at the
    sync, nothing is done.

    Args:
        delivery: The sync, with what it needs.
        run_id: The run that asks.
        repair: Whether the next activation is to put right what is not as acknowledged.
        beside: Other syncs into the same audience, whose people are not this one's.
    """
    started = time.monotonic()
    report = DriftReport(delivery.name, delivery.sync.destination)
    lost = threading.Event()
    with delivery.journal.lease(lease_of(delivery.name), run_id, lost=lost) as mine:
        if not mine:
            report.status = "skipped"
        else:
            _Reconciling(delivery, run_id, report, lost).work(repairs=repair, beside=beside)
    report.seconds = time.monotonic() - started
    return report


class _Reconciling:
    """One look at one sync, while its lease is held."""

    def __init__(self, delivery: Delivery, run_id: str, report: DriftReport, lost: threading.Event) -> None:
        self._delivery = delivery
        self._run_id = run_id
        self._report = report
        self._lost = lost

    def work(self, *, repairs: bool, beside: Sequence[str]) -> None:
        report = self._report
        destination = self._delivery.destination()
        if why := self._cannot(destination):
            report.status, report.why = "unsupported", why
            return
        earlier = SyncReport(report.sync)
        if not self._delivery.settle_earlier(earlier):
            report.status, report.error = earlier.status, earlier.error
            return
        try:
            found = self._read(destination)
            self._delivery.check_lease(self._run_id)
        except MillstreamError as error:
            report.status, report.error = "stopped", error
        else:
            self._compare(found, repairs=repairs, beside=beside)
        report.requests = destination.calls + earlier.requests

    def _cannot(self, destination: AnyDestination) -> str | None:
        sync = self._delivery.sync
        if not destination.can_read_back:
            return f"{destination.title} cannot be read back."
        if sync.mode not in destination.read_back_modes:
            modes = ", ".join(sorted(destination.read_back_modes))
            return f"{destination.title} can be read back in mode {modes} only."
        if sync.audience_name is None or sync.mode is SyncMode.UPDATE:
            return "The sync keeps people's fields and no audience, so there are no members to compare."
        return None

    def _read(self, destination: AnyDestination) -> pa.Table:
        audience = self._delivery.sync.audience_name
        assert audience is not None
        destination.plan = PlanFacts(sync=self._report.sync, plan="", made_at=now(), fields=())
        audience_id = _find_audience(destination, audience)
        if audience_id is None:
            return table_of(())
        return table_of(self._alive(destination.read_members(audience_id)))

    def _alive(self, members: Iterator[Member]) -> Iterator[Member]:
        """The members; SIGTERM is heard meanwhile."""
        for member in members:
            if STOP.is_set():
                raise InterruptedRunError("The run was asked to stop while it read members.")
            self._check_lease()
            yield member

    def _check_lease(self) -> None:
        """What was acknowledged meanwhile by another run is not to be judged by what was there before."""
        if self._lost.is_set():
            raise overtaken()

    def _compare(self, found: pa.Table, *, repairs: bool, beside: Sequence[str]) -> None:
        report, delivery, at = self._report, self._delivery, now()
        answered: list[str] = []
        with delivery.store.transaction() as connection:
            create_tables(connection)
            create_drift_tables(connection)
            compare(connection, report, delivery.sync, found, beside=beside)
            keep(connection, report.sync, looked_at=at)
            if repairs and report.drifted:
                answered = repair(connection, report, delivery.sync, run_id=self._run_id, now=at)
            report.status = _status(report)
            keep_reconciliation(connection, self._row(at), keep_days=delivery.rules.keep_days)
            connection.execute("DROP TABLE drift")
        if answered:
            forget_unanswered(delivery.journal, report.sync, answered)

    def _row(self, at: datetime) -> ReconciliationRow:
        report = self._report
        return ReconciliationRow(
            run_id=self._run_id,
            sync=report.sync,
            destination=report.destination,
            looked_at=at,
            status=report.status,
            acknowledged=report.acknowledged,
            found=report.found,
            missing=report.missing,
            extra=report.extra,
            uncertain=report.uncertain,
            of_other_syncs=report.of_other_syncs,
            strangers=report.strangers,
            repaired=report.repaired,
        )


def _status(report: DriftReport) -> str:
    if not report.drifted:
        return "in_step"
    return "repaired" if report.repaired == report.drifted else "drifted"


def _find_audience(destination: AnyDestination, audience: str) -> str | None:
    """The audience's id; None where it is not there any more: looking must not make it."""
    destination.rehearse()
    try:
        return destination.ensure_audience(audience)
    except Recorded:
        return None
    finally:
        destination.rehearse(False)
