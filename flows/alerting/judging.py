"""What the reports of a run say about syncs, sources, connections, and the run itself. Nothing is told here.

A thing that a run says nothing about (a sync that had nothing to send says nothing of its credential) is not judged,
and stays as it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from millstream.destinations.planning.guards import GUARDS
from millstream.destinations.reconciling.report import DriftReport
from millstream.destinations.sync_report import SyncReport
from millstream.sources.ingest import IngestReport
from millstream.state.errors import (
    AuthenticationError,
    GuardError,
    InterruptedRunError,
    MillstreamError,
    PermissionDeniedError,
    RefusedError,
)
from millstream.state.ledger.alerts import AlertKind, Condition

if TYPE_CHECKING:
    from millstream.flows.project import Project
    from millstream.flows.project.alerts import AlertRules
    from millstream.flows.steps.auditing import AuditReport

_CREDENTIALS = (AuthenticationError, PermissionDeniedError)
_DELIVERED = ("completed", "partial")


class Judge:
    """Judges the reports of one run of a project."""

    def __init__(self, project: Project, rules: AlertRules) -> None:
        self._project = project
        self._rules = rules
        self._accepted: dict[str, bool] = {}
        self._refusals: dict[str, str] = {}

    def conditions(
        self,
        *,
        ingested: Sequence[IngestReport] = (),
        activated: Sequence[SyncReport] = (),
        reconciled: Sequence[DriftReport] = (),
        audited: AuditReport | None = None,
    ) -> list[Condition]:
        """Everything that is known now; connections last, once all who use them have spoken."""
        found = [condition for one in ingested for condition in self._of_source(one)]
        found += [condition for one in activated for condition in self._of_sync(one)]
        found += [condition for one in reconciled for condition in self._of_drift(one)]
        found += self._of_quality(audited) if audited else []
        return [*found, *self._of_connections()]

    def _of_source(self, report: IngestReport) -> Iterator[Condition]:
        if report.skipped:
            return
        self._hear(self._project.sources[report.source].connection, report.errors, asked=report.ok)
        faults = [error for error in report.errors if not isinstance(error, _CREDENTIALS)]
        if report.ok or faults:
            what = words_of(faults[0]) if faults else f"{report.rows:,} rows were pulled."
            yield self._condition(f"source {report.source}", "failed", firing=bool(faults), what=what)

    def _of_sync(self, report: SyncReport) -> Iterator[Condition]:
        error, delivered = report.error, report.status in _DELIVERED
        if report.status == "skipped" or isinstance(error, InterruptedRunError):
            return
        connection = self._project.destinations[self._project.sync(report.sync).destination].connection
        self._hear(connection, [error] if error else [], asked=delivered and report.requests > 0)
        failed = error is not None and not isinstance(error, (GuardError, *_CREDENTIALS))
        if delivered or failed:
            what = words_of(error) if error else f"{report.accepted:,} rows were accepted."
            yield self._of(report.sync, "failed", firing=failed, what=what)
        yield from self._of_guards(report)
        yield from self._of_rejections(report)

    def _of_guards(self, report: SyncReport) -> Iterator[Condition]:
        stopped = isinstance(report.error, GuardError)
        if report.planned is None or not (stopped or report.status in _DELIVERED):
            return
        for guard in GUARDS:
            reason = report.planned.tripped.get(guard) if stopped else None
            what = f"{reason} Nothing was sent." if reason else "It was not stopped by it."
            yield self._of(report.sync, "guard", firing=reason is not None, what=what, detail=guard)

    def _of_rejections(self, report: SyncReport) -> Iterator[Condition]:
        """The share of what was sent; a run that sent nothing says something only when nothing waits either."""
        sent = report.accepted + report.rejected + report.retry_later + report.unknown
        waiting = report.planned.waiting if report.planned else 0
        if report.status not in _DELIVERED or (not sent and waiting):
            return
        limit = self._rules.of_sync(report.sync).rejected_share or 1.0
        too_many = report.rejected >= self._rules.fewest_rejected and report.rejected > limit * sent
        codes = ", ".join(
            f"{rows:,} {code}" for code, rows in sorted(report.codes.items(), key=lambda one: -one[1])[:3]
        )
        what = f"{report.rejected:,} of {sent:,} rows were refused" + (f" ({codes})." if codes and too_many else ".")
        if too_many:
            what += f" See `millstream rejected {report.sync}`."
        yield self._of(report.sync, "rejected", firing=too_many, what=what)

    def _of_drift(self, report: DriftReport) -> Iterator[Condition]:
        connection = self._project.destinations[report.destination].connection
        self._hear(connection, [report.error] if report.error else [], asked=report.requests > 0)
        if report.status not in ("in_step", "drifted", "repaired"):
            return
        what = f"{report.missing:,} people are missing, {report.extra:,} are there although they were taken out."
        yield self._of(report.sync, "drift", firing=report.status == "drifted", what=what)

    def _of_quality(self, report: AuditReport) -> Iterator[Condition]:
        """Each threshold; and each source, whether its last whole day was an odd one."""
        for one in report.judgements:
            subject, owner = f"threshold {one.name}", one.owner or self._rules.owner
            yield Condition(subject=subject, kind="quality", firing=not one.ok, what=one.told(), owner=owner)
        rules = self._project.quality
        for source in self._project.sources:
            odd = [day for day in report.odd_yesterday if day.source == source and rules.anomalies.alert]
            what = odd[0].told() + "." if odd else "Its counts of the last day are as usual."
            if len(odd) > 1:
                what += f" {len(odd) - 1} more of its counts are odd: see `millstream audit`."
            yield Condition(
                subject=f"source {source}",
                kind="quality",
                firing=bool(odd),
                what=what,
                detail="daily counts",
                owner=rules.owner or self._rules.owner,
            )

    def _hear(self, connection: str, errors: Sequence[MillstreamError], *, asked: bool) -> None:
        """What a run of a source or sync says about its connection's credential."""
        refusal = next((error for error in errors if isinstance(error, _CREDENTIALS)), None)
        if refusal:
            self._refusals.setdefault(connection, words_of(refusal))
        elif asked:
            self._accepted[connection] = True

    def _of_connections(self) -> Iterator[Condition]:
        for name in {**self._refusals, **self._accepted}:
            what = self._refusals.get(name, "The vendor takes the credential.")
            yield self._condition(f"connection {name}", "credentials", firing=name in self._refusals, what=what)

    def _of(self, sync: str, kind: AlertKind, *, firing: bool, what: str, detail: str = "") -> Condition:
        owner = self._rules.of_sync(sync).owner
        return Condition(subject=f"sync {sync}", kind=kind, firing=firing, what=what, detail=detail, owner=owner)

    def _condition(self, subject: str, kind: AlertKind, *, firing: bool, what: str) -> Condition:
        return Condition(subject=subject, kind=kind, firing=firing, what=what, owner=self._rules.owner)


def of_run(kind: str, problems: Sequence[str], *, owner: str | None) -> Condition:
    """Whether a run went through at all, whatever its sources and syncs did."""
    what = problems[0] if problems else "It went through."
    return Condition(subject=f"run {kind}", kind="failed", firing=bool(problems), what=what, owner=owner)


def words_of(error: BaseException) -> str:
    """What an error says, for people elsewhere: a vendor's words about a single row may name a person."""
    if isinstance(error, RefusedError):
        return f"The vendor refused a request (HTTP {error.status}); the run's log has its words."
    if isinstance(error, MillstreamError):
        return f"{error.what} What to do: {error.remedy}" if error.remedy else error.what
    return f"Unexpected {type(error).__name__}; the run's log says more."
