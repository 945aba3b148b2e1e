"""Looking at all that is watched: at the end of every run, and on request."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import SQLAlchemyError

from millstream.flows.alerting.clock import missing_runs, stale_syncs
from millstream.flows.alerting.events import emit
from millstream.flows.alerting.judging import Judge, of_run, words_of
from millstream.flows.project.alerts import AlertRules
from millstream.flows.steps.failure import describe_problems, select_problems
from millstream.state.alerts import Channel, ChannelFailure, Message, tell
from millstream.state.alerts.telling import Told
from millstream.state.errors import MillstreamError
from millstream.state.ledger.alerts import Alert, Condition, firing, note
from millstream.state.ledger.journal import now
from millstream.state.traits.report import DescribeReport

if TYPE_CHECKING:
    from millstream.flows.project import Project
    from millstream.flows.steps import Workspace
    from millstream.state.audiences.select import AudienceReport

_log = logging.getLogger("millstream.alerts")


@dataclass(frozen=True)
class WatchReport:
    """How things are.

    Attributes:
        firing: All that is wrong, oldest first.
        told: How many changes channels were told of now.
        failures: Channels that could not be told.
    """

    firing: tuple[Alert, ...] = ()
    told: int = 0
    failures: tuple[ChannelFailure, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong, and every channel could be told."""
        return not self.firing and not self.failures

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "ok": self.ok,
            "firing": [asdict(one) for one in self.firing],
            "told": self.told,
            "failures": [asdict(one) for one in self.failures],
        }


def watch(workspace: Workspace, *, run_id: str) -> WatchReport:
    """Look at the clock and at schedules, tell what changed, and give all that is wrong.

    What is about syncs, sources or schedules that the project no longer has is closed.
    """
    project, journal, rules = workspace.project, workspace.journal, _rules(workspace.project)
    journal.note_killed()
    _note(workspace, _by_the_clock(workspace, rules))
    _note(workspace, _of_nothing(project, rules, firing(journal)))
    told = _tell(workspace, rules, run_id)
    return WatchReport(tuple(firing(journal)), told.alerts, told.failures)


def after_run(workspace: Workspace, kind: str, run_id: str, report: object, error: BaseException | None) -> None:
    """Look at a run that ended, and tell what changed; nothing is looked at where the project has no alerts.

    What goes wrong here is logged, and fails no run.

    Args:
        workspace: The project with its databases.
        kind: The flow.
        run_id: The run.
        report: Its report, with what was ingested, activated or reconciled.
        error: What ended it, if it did not come to its end.
    """
    rules = workspace.project.alerts
    if rules is None or (error is not None and not isinstance(error, Exception)):
        return
    try:
        _note(workspace, _by_the_run(workspace.project, rules, kind, report, error))
        _note(workspace, _by_the_clock(workspace, rules))
        _tell(workspace, rules, run_id)
    except (MillstreamError, SQLAlchemyError) as problem:
        _log.warning("Alerts could not be looked at after the run: %s", words_of(problem))


def try_channels(workspace: Workspace) -> dict[str, str | None]:
    """Send a message to every channel, to see whether it comes through.

    Returns:
        For each channel what went wrong, or None.
    """
    project = workspace.project
    alert = Alert(
        name="test",
        kind="test",
        subject="channel",
        owner=_rules(project).owner,
        state="firing",
        since=now(),
        what="Somebody tried whether messages come through. Nothing is wrong.",
    )
    found: dict[str, str | None] = {}
    for name, make in _channels(project).items():
        try:
            make().tell([Message(project.name, alert)])
        except MillstreamError as error:
            found[name] = str(error)
        else:
            found[name] = None
    return found


def _rules(project: Project) -> AlertRules:
    return project.alerts or AlertRules()


def _note(workspace: Workspace, conditions: Iterable[Condition]) -> None:
    emit(workspace.project.name, note(workspace.journal, conditions, now=now()))


def _by_the_run(
    project: Project, rules: AlertRules, kind: str, report: object, error: Exception | None
) -> list[Condition]:
    judged = Judge(project, rules).conditions(
        ingested=getattr(report, "ingested", ()),
        activated=getattr(report, "activated", ()),
        reconciled=getattr(report, "reconciled", ()),
        audited=getattr(report, "audited", None),
    )
    raised: Sequence[str] = getattr(report, "raised", ())
    described: DescribeReport = getattr(report, "described", None) or DescribeReport()
    selected: Sequence[AudienceReport] = getattr(report, "selected", ())
    problems = [words_of(error)] if error else [*raised, *describe_problems(described), *select_problems(selected)]
    return [*judged, of_run(kind, problems, owner=rules.owner)]


def _by_the_clock(workspace: Workspace, rules: AlertRules) -> list[Condition]:
    project, journal, at = workspace.project, workspace.journal, now()
    return [*stale_syncs(project, journal, rules, now=at), *missing_runs(project, journal, rules, now=at)]


def _of_nothing(project: Project, rules: AlertRules, alerts: Sequence[Alert]) -> list[Condition]:
    """Alerts about what the project no longer has, or no longer watches."""
    stale = {name for name, sync in project.syncs.items() if sync.enabled and rules.of_sync(name).stale_after}
    sections: dict[str, Collection[str]] = {
        "source": project.sources,
        "sync": project.syncs,
        "schedule": project.schedules,
        "threshold": project.quality.thresholds,
    }
    known: dict[str, Collection[str]] = {**sections, "connection": project.file.connections}
    gone = []
    for alert in alerts:
        section, _, name = alert.subject.partition(" ")
        if section not in known or name in (stale if alert.kind == "stale" else known[section]):
            continue
        detail = alert.name.removeprefix(f"{alert.subject} {alert.kind}").strip()
        what = "The project no longer has it, or no longer watches it."
        gone.append(
            Condition(subject=alert.subject, kind=alert.kind, firing=False, what=what, detail=detail, owner=alert.owner)
        )
    return gone


def _tell(workspace: Workspace, rules: AlertRules, run_id: str) -> Told:
    def wants(channel: str, alert: Alert) -> bool:
        chosen = rules.channels[channel]
        return (chosen.kinds is None or alert.kind in chosen.kinds) and (chosen.recovery or alert.state == "firing")

    project = workspace.project
    return tell(workspace.journal, _channels(project), project=project.name, run_id=run_id, wants=wants)


def _channels(project: Project) -> dict[str, Callable[[], Channel]]:
    def maker(name: str) -> Callable[[], Channel]:
        return lambda: _rules(project).channels[name].channel(project.root)

    return {name: maker(name) for name in _rules(project).channels}
