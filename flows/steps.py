"""The steps as plain functions: ingest, resolve, describe, select, plan, activate, measure, audit, and all in order.

The flows and the command line both call these; nothing here needs Prefect. Heavy libraries are imported when a step
runs, so that the command line starts quickly.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from millstream.flows.people import ResolveReport, bring_up_to_date
from millstream.state.errors import ConfigurationError, MillstreamError
from millstream.state.privacy import redact
from millstream.state.store import Store
from millstream.state.traits.report import DescribeReport

if TYPE_CHECKING:
    from millstream.destinations.delivery import Delivery
    from millstream.destinations.delivery import Progress as DeliveryProgress
    from millstream.destinations.preview import Look, PlanPreview, SavedPlan
    from millstream.destinations.registry import AnyDestination
    from millstream.destinations.sync_report import SyncReport
    from millstream.flows.auditing import AuditReport
    from millstream.flows.measuring import MeasureReport
    from millstream.flows.project import Project
    from millstream.sources.dlt_source import Forecasts
    from millstream.sources.dlt_source import Progress as PullProgress
    from millstream.sources.forecast import Forecast
    from millstream.sources.ingest import IngestReport
    from millstream.sources.pull import Window
    from millstream.state.audiences.select import AudienceReport
    from millstream.state.checks import CheckResult
    from millstream.state.ledger.journal import Journal

WORK_FOLDER = ".millstream"
LONGEST_PULL = 12 * 3600.0
"""Seconds after which a pull on another machine counts as dead."""

Report = TypeVar("Report")


def new_run_id() -> str:
    """An id that sorts by time: ``20261122T101500-1a2b3c``."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


@dataclass
class Workspace:
    """Everything a step needs: the project and its two databases."""

    project: Project
    store: Store
    journal: Journal

    @classmethod
    def open(cls, project: Project) -> Workspace:
        """Open the project's databases; the store's file is opened only while a step works on it."""
        from millstream.state.ledger.journal import Journal

        store = Store.from_url(project.store, root=project.root)
        return cls(project, store, Journal(project.journal, root=project.root))

    @property
    def work(self) -> Path:
        """Folder for plans and dlt's working files."""
        return self.project.root / WORK_FOLDER

    def destination(self, name: str) -> AnyDestination:
        """A destination that keeps its vendor's limits together with all who use this journal."""
        destination = self.project.destination(name)
        destination.share(self.journal.budgets)
        return destination

    def delivery(self, sync: str) -> Delivery:
        """The delivery of one sync."""
        from millstream.destinations.delivery import Delivery

        definition = self.project.syncs[_known(sync, self.project.syncs, "sync")]
        return Delivery(
            name=sync,
            sync=definition,
            destination=lambda: self.destination(definition.destination),
            store=self.store,
            journal=self.journal,
            plans=self.work / "plans",
            rules=self.project.delivery,
        )


@dataclass
class PipelineReport:
    """What a whole run did: one report for each source, audience and sync."""

    run_id: str
    ingested: list[IngestReport] = field(default_factory=list)
    resolved: ResolveReport = field(default_factory=ResolveReport)
    described: DescribeReport = field(default_factory=DescribeReport)
    selected: list[AudienceReport] = field(default_factory=list)
    activated: list[SyncReport] = field(default_factory=list)
    measured: MeasureReport | None = None
    audited: AuditReport | None = None
    raised: list[str] = field(default_factory=list)
    """A sentence for each step that ended without a report."""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether every source was read whole, all traits are up to date, and every sync is in step."""
        pulled, sent = all(one.ok for one in self.ingested), all(one.ok for one in self.activated)
        return pulled and self.described.ok and sent and not self.raised

    @property
    def errors(self) -> list[MillstreamError]:
        """What went wrong, sources first."""
        of_syncs = [report.error for report in self.activated if report.error]
        return [error for report in self.ingested for error in report.errors] + of_syncs

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "run_id": self.run_id,
            "ok": self.ok,
            "seconds": round(self.seconds, 3),
            "ingested": [report.as_json() for report in self.ingested],
            "resolved": self.resolved.as_json(),
            "described": self.described.as_json(),
            "selected": [report.as_json() for report in self.selected],
            "activated": [report.as_json() for report in self.activated],
            "measured": self.measured.in_brief() if self.measured else None,
            "audited": self.audited.in_brief() if self.audited else None,
            "raised": self.raised,
        }


@dataclass
class Progress:
    """Who is told how far the long steps are; the command line draws bars from it, the flows artifacts."""

    pulled: Callable[[str, str, int], None] | None = None
    """Source, stream and its rows so far."""
    sent: DeliveryProgress | None = None
    """Sync, rows that have an outcome, and all rows of its plan."""
    foretold: Callable[[str, str, Forecast], None] | None = None
    """Source, stream and what is left of it, where the vendor has announced its rows."""

    def of_source(self, source: str) -> PullProgress | None:
        """The callback for one source's pull."""
        if self.pulled is None:
            return None
        pulled = self.pulled
        return lambda stream, rows: pulled(source, stream, rows)

    def forecasts_of(self, source: str) -> Forecasts | None:
        """The callback for the forecasts of one source's pull."""
        if self.foretold is None:
            return None
        foretold = self.foretold
        return lambda stream, left: foretold(source, stream, left)


def check(workspace: Workspace, names: Sequence[str] | None = None) -> list[CheckResult]:
    """Try the store, the journal, and every source and destination (or those named), without moving data."""
    from millstream.sources.check import check_source
    from millstream.state.checks import run_check

    project = workspace.project
    for name in names or ():
        _known(name, {**project.sources, **project.destinations}, "source or destination")

    def open_store() -> None:
        with workspace.store.open() as connection:
            connection.execute("SELECT 1")

    results = [
        run_check("store", "store", open_store),
        run_check("journal", "journal", lambda: workspace.journal.last_runs(1)),
    ]
    for name in project.sources:
        if names is None or name in names:
            results += check_source(project.source(name), name=name)
    for name in project.destinations:
        if names is None or name in names:
            results.append(run_check(name, "destination", project.destination(name).probe))
    if names is None:
        results += _check_traits(workspace)
    return results + _check_audiences(workspace) if names is None and results[0].ok else results


def _check_traits(workspace: Workspace) -> list[CheckResult]:
    """What is wrong with trait files; nothing is told of those that are right."""
    from millstream.flows.describing import trait_sets_of
    from millstream.state.checks import CheckResult

    try:
        trait_sets_of(workspace)
    except ConfigurationError as error:
        where, told = error.where or "traits", error.what
        return [CheckResult(name=where, kind="traits", ok=False, problem="other", detail=told, remedy=error.remedy)]
    return []


def _check_audiences(workspace: Workspace) -> list[CheckResult]:
    """What is off with audiences, by what the store knows of people so far."""
    from millstream.state.audiences.checking import check_audiences
    from millstream.state.model.standard_events import whole_plan

    project = workspace.project
    planned = whole_plan(project.tracking_plan).events
    with workspace.store.open() as connection:
        return check_audiences(connection, project.audiences, planned=planned, rules=project.traits)


def ingest(
    workspace: Workspace,
    source: str,
    *,
    window: Window | None = None,
    full: bool = False,
    accept_empty: bool = False,
    progress: Progress | None = None,
) -> IngestReport:
    """Pull one source into the store.

    What goes wrong at the vendor is in the report; only a wrong configuration is raised. While another run pulls the
    same source, this one leaves it alone.

    Args:
        workspace: The project with its databases.
        source: Name of the source in the project.
        window: Read again what changed in this window, and leave the kept cursors alone.
        full: Read everything again.
        accept_empty: Let a catalogue that used to have rows become empty.
        progress: Told after each page.
    """
    from millstream.sources import ingest as engine
    from millstream.sources.dlt_source import SourcePull

    connector = workspace.project.source(_known(source, workspace.project.sources, "source"))
    pull = SourcePull(
        connector,
        window=window,
        full=full,
        accept_empty=accept_empty,
        progress=progress.of_source(source) if progress else None,
        forecasts=progress.forecasts_of(source) if progress else None,
        budgets=workspace.journal.budgets,
    )
    with workspace.journal.lease(f"source {source}", new_run_id(), seconds=LONGEST_PULL) as mine:
        if not mine:
            return engine.IngestReport(source, skipped=True)
        try:
            return engine.ingest(pull, workspace.store, name=source, pipelines=workspace.work / "dlt")
        except ConfigurationError:
            raise
        except MillstreamError as error:
            return engine.IngestReport(source, list(pull.reports.values()), error=error.at(source))


def resolve(workspace: Workspace, *, run_id: str, full: bool = False) -> ResolveReport:
    """Model what was pulled, work out who is who, and write one profile a person."""
    project = workspace.project
    with workspace.store.transaction() as connection:
        return bring_up_to_date(
            connection, project, rules=project.identity, run_id=run_id, now=datetime.now(UTC), full=full
        )


def describe(workspace: Workspace, *, run_id: str, full: bool = False) -> DescribeReport:
    """Compute the traits of everybody that are due."""
    from millstream.flows import describing

    return describing.describe(workspace, run_id=run_id, full=full)


def select(workspace: Workspace, audiences: Iterable[str] | None = None, *, run_id: str) -> list[AudienceReport]:
    """Work out who is in each audience now, and keep who entered and left."""
    from millstream.state.audiences.select import select_audiences

    defined = workspace.project.audiences
    wanted = None if audiences is None else [_known(name, defined, "audience") for name in audiences]
    with workspace.store.transaction() as connection:
        return select_audiences(
            connection,
            defined,
            only=wanted,
            run_id=run_id,
            as_of=datetime.now(UTC),
            rules=workspace.project.traits,
        )


def plan(workspace: Workspace, sync: str, *, run_id: str, look: Look | None = None) -> PlanPreview:
    """What an activation of a sync would do; nothing is sent."""
    return workspace.delivery(sync).plan(run_id, look)


def activate(
    workspace: Workspace,
    sync: str,
    *,
    run_id: str,
    override_guards: bool = False,
    saved: SavedPlan | None = None,
    progress: Progress | None = None,
) -> SyncReport:
    """Bring a destination in step with a sync's people.

    What goes wrong at the vendor is in the report; only a wrong configuration is raised, or that there is something
    else to send by now than in ``saved``.
    """
    from millstream.destinations.stopping import settled_on_signal

    with settled_on_signal():
        return workspace.delivery(sync).activate(
            run_id, override_guards=override_guards, saved=saved, progress=progress.sent if progress else None
        )


def activate_all(
    workspace: Workspace,
    syncs: Sequence[str],
    *,
    run_id: str,
    override_guards: bool = False,
    progress: Progress | None = None,
) -> list[SyncReport]:
    """Bring destinations in step, side by side; SIGTERM lets what is in flight end and be settled."""
    from millstream.destinations.stopping import settled_on_signal

    def one(sync: str) -> SyncReport:
        return activate(workspace, sync, run_id=run_id, override_guards=override_guards, progress=progress)

    with settled_on_signal():
        return side_by_side(one, syncs)


def measure(workspace: Workspace, *, run_id: str, full: bool = False, since: date | None = None) -> MeasureReport:
    """Compute key figures, cohorts, funnels, journeys, and what campaigns changed."""
    from millstream.flows.measuring import measure as measure_now

    return measure_now(workspace, run_id, full=full, since=since)


def audit(workspace: Workspace, *, run_id: str) -> AuditReport:
    """Look at the quality of the data."""
    from millstream.flows import auditing

    return auditing.audit(workspace, run_id)


def run_all(
    workspace: Workspace,
    *,
    run_id: str | None = None,
    sources: Sequence[str] | None = None,
    syncs: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> PipelineReport:
    """Everything in order: sources side by side, resolve, describe, select, syncs side by side, measure, audit.

    A source or a sync that fails does not stop the others. Where traits could not be computed, nobody is selected and
    nothing sent by what is out of date.
    """
    project, started = workspace.project, time.monotonic()
    report = PipelineReport(run_id or new_run_id())
    wanted_sources = _chosen(sources, project.sources, "source")
    wanted_syncs = _chosen(syncs, enabled_syncs(project), "sync")
    for name in wanted_sources:
        project.source(name)  # a missing secret is said before anything starts
    with recorded_run(workspace, report.run_id, "pipeline", report):
        report.ingested = side_by_side(lambda name: ingest(workspace, name, progress=progress), wanted_sources)
        report.resolved = resolve(workspace, run_id=report.run_id)
        report.described = describe(workspace, run_id=report.run_id)
        if report.described.ok:
            report.selected = select(workspace, run_id=report.run_id)
            report.activated = activate_all(workspace, wanted_syncs, run_id=report.run_id, progress=progress)
        report.measured = attempted(report, "measure", lambda: measure(workspace, run_id=report.run_id))
        report.audited = attempted(report, "audit", lambda: audit(workspace, run_id=report.run_id))
        report.seconds = time.monotonic() - started
    if project.report.after_pipeline:
        from millstream.flows.report import report_run

        attempted(report, "report", lambda: report_run(workspace))
    return report


def attempted(report: PipelineReport, step: str, work: Callable[[], Report]) -> Report | None:
    """Do a step that nothing depends on: what goes wrong in it is told by the report, and hinders nothing."""
    try:
        return work()
    except MillstreamError as error:
        report.raised.append(str(error.at(step)))
    except Exception as error:  # noqa: BLE001 - what was sent before is told all the same, and the run is not ok
        report.raised.append(f"{step}: {type(error).__name__}: {redact(str(error))}")
    return None


class recorded_run:  # noqa: N801 - reads as a statement
    """Keeps in the journal that a run began, and how it ended, also when it ends by an error; then looks at alerts.

    Args:
        workspace: The project with its databases.
        run_id: The run.
        kind: The flow.
        report: What it will have done.
        about: The sources or syncs it is for; all when left out.
    """

    def __init__(
        self, workspace: Workspace, run_id: str, kind: str, report: Any, *, about: Sequence[str] | None = None
    ) -> None:
        self._workspace, self._run_id, self._kind = workspace, run_id, kind
        self._report, self._about = report, about

    def __enter__(self) -> None:
        self._workspace.journal.start_run(self._run_id, self._kind, about=self._about)

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        ok = error is None and bool(self._report.ok)
        self._workspace.journal.finish_run(self._run_id, ok=ok, summary=self._report.as_json())
        if self._workspace.project.alerts is not None:
            from millstream.flows.alerting import after_run

            after_run(self._workspace, self._kind, self._run_id, self._report, error)


def enabled_syncs(project: Project) -> dict[str, Any]:
    """The syncs that runs include."""
    return {name: sync for name, sync in project.syncs.items() if sync.enabled}


def side_by_side(work: Callable[[str], Report], names: Sequence[str]) -> list[Report]:
    """Do the work for each name in a thread of its own; the results are in the names' order."""
    if not names:
        return []
    with ThreadPoolExecutor(len(names)) as threads:
        return list(threads.map(work, names))


def _chosen(asked: Sequence[str] | None, known: Mapping[str, object], kind: str) -> list[str]:
    return list(known) if asked is None else [_known(name, known, kind) for name in asked]


def _known(name: str, known: Mapping[str, object], kind: str) -> str:
    if name not in known:
        raise ConfigurationError(f"There is no {kind} {name!r} in the project.", allowed=known)
    return name
