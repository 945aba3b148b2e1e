"""Audit: the quality of the data."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from millstream.flows.project import Project
    from millstream.flows.steps.workspace import Workspace
    from millstream.state.quality.audit import Judgement
    from millstream.state.quality.daily_counts import OddDay
    from millstream.state.quality.looking import Finding, Stream


@dataclass(frozen=True, kw_only=True)
class AuditReport:
    """What an audit found.

    Attributes:
        as_of: The time of the run.
        findings: All checks, by dimension.
        judgements: How the project's thresholds fare.
        odd_days: Days with odd counts among those that were counted in this run.
        odd_yesterday: Those of the last whole day.
        seconds: How long it took.
    """

    as_of: datetime
    findings: tuple[Finding, ...] = ()
    judgements: tuple[Judgement, ...] = ()
    odd_days: tuple[OddDay, ...] = ()
    odd_yesterday: tuple[OddDay, ...] = ()
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether every threshold is reached."""
        return all(one.ok for one in self.judgements)

    def as_json(self) -> dict[str, Any]:
        """For programs; days and times as text."""
        return {
            **self.in_brief(),
            "findings": [{**asdict(one), "score": round(one.score, 6)} for one in self.findings],
            "odd_days": [{**asdict(one), "day": one.day.isoformat()} for one in self.odd_days],
        }

    def in_brief(self) -> dict[str, Any]:
        """The same as a line of a whole run's report: what is not as it should be."""
        return {
            "as_of": self.as_of.isoformat(),
            "ok": self.ok,
            "checks": len(self.findings),
            "thresholds": [
                {"name": one.name, "ok": one.ok, "owner": one.owner, "what": one.told()} for one in self.judgements
            ],
            "odd_yesterday": [{"source": one.source, "what": one.told()} for one in self.odd_yesterday],
            "seconds": round(self.seconds, 3),
        }


def audit(workspace: Workspace, run_id: str, *, as_of: datetime | None = None) -> AuditReport:
    """Look at the quality of everything that is known of people, and keep what was found.

    Args:
        workspace: The project with its databases.
        run_id: Names the run in the history.
        as_of: The time of the run, aware; now when left out.
    """
    from millstream.state.quality.audit import audit as look_at_everything
    from millstream.state.quality.looking import Look

    project, started, now = workspace.project, time.monotonic(), as_of or datetime.now(UTC)
    streams = tuple(_streams(project))
    with workspace.store.transaction() as connection:
        look = Look(connection, streams, project.identity, project.quality, now)
        found = look_at_everything(look, run_id=run_id)
    return AuditReport(
        as_of=now,
        findings=found.findings,
        judgements=found.judgements,
        odd_days=found.odd_days,
        odd_yesterday=found.odd_yesterday,
        seconds=time.monotonic() - started,
    )


def _streams(project: Project) -> Iterator[Stream]:
    from millstream.state.quality.looking import Stream

    for name, entry in project.sources.items():
        for stream in project.source(name, secrets=False).selected_streams():
            if stream.people is not None:
                yield Stream(name, stream.name, stream.people, entry.connection)
