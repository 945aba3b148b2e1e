"""What a run did, and keeping it in the journal."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from millstream.flows.steps.resolving import ResolveReport
from millstream.state.errors import MillstreamError
from millstream.state.traits.report import DescribeReport

if TYPE_CHECKING:
    from millstream.destinations.sync_report import SyncReport
    from millstream.flows.steps.auditing import AuditReport
    from millstream.flows.steps.measuring import MeasureReport
    from millstream.flows.steps.workspace import Workspace
    from millstream.sources.ingest import IngestReport
    from millstream.state.audiences.select import AudienceReport


def new_run_id() -> str:
    """An id that sorts by time: ``20261122T101500-1a2b3c``."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


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
        """Whether every source was read whole, traits and audiences are up to date, and every sync is in step."""
        pulled, sent = all(one.ok for one in self.ingested), all(one.ok for one in self.activated)
        known = self.described.ok and not any(one.held for one in self.selected)
        return pulled and known and sent and not self.raised

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
        self._alive = ExitStack()

    def __enter__(self) -> None:
        self._workspace.journal.start_run(self._run_id, self._kind, about=self._about)
        self._alive.enter_context(self._workspace.journal.signs_of_life(self._run_id))

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self._alive.close()
        ok = error is None and bool(self._report.ok)
        self._workspace.journal.finish_run(self._run_id, ok=ok, summary=self._report.as_json())
        if self._workspace.project.alerts is not None:
            from millstream.flows.alerting import after_run

            after_run(self._workspace, self._kind, self._run_id, self._report, error)
