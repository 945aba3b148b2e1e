"""Figures, cohorts, funnels, journeys, and what campaigns changed, as a plain function for the flow and the command."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from millstream.state.ledger.suppressions import salt

if TYPE_CHECKING:
    from millstream.destinations.rules import Holdout
    from millstream.flows.project import Project
    from millstream.flows.steps import Workspace
    from millstream.state.measurement.comparing import Lift
    from millstream.state.measurement.lift import Comparison
    from millstream.state.measurement.reading import Figure, FunnelStep, JourneyPath, RetentionCell
    from millstream.state.measurement.rules import LiftRules
    from millstream.state.traits.contract import TraitSet

SHOWN_DAYS = 14
"""Days of figures that a report has where nobody says since when."""


@dataclass(frozen=True, kw_only=True)
class MeasureReport:
    """What was measured.

    Attributes:
        run_id: The run.
        as_of: Its time.
        first: The first day of which figures are told; None in an empty store.
        last: The last day: today.
        rows: Rows of figures that were written; days that were told before stay as they are.
        north_star: Name of the figure that counts most.
        figures: The figures of the days asked for.
        retention: Cohorts, and how many of their people came back.
        funnels: People at each step.
        journeys: The most frequent ways to a goal.
        lifts: What campaigns and variants changed.
        seconds: How long it took.
    """

    run_id: str
    as_of: datetime
    first: date | None = None
    last: date | None = None
    rows: int = 0
    north_star: str | None = None
    figures: tuple[Figure, ...] = ()
    retention: tuple[RetentionCell, ...] = ()
    funnels: tuple[FunnelStep, ...] = ()
    journeys: tuple[JourneyPath, ...] = ()
    lifts: tuple[Lift, ...] = ()
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """For programs; days and times as text."""
        return {key: _plain(value) for key, value in asdict(self).items()} | {"seconds": round(self.seconds, 3)}

    def in_brief(self) -> dict[str, Any]:
        """The same as a line of a whole run's report: each figure's last day, and no pictures."""
        return {
            "as_of": self.as_of.isoformat(),
            "first": _plain(self.first),
            "last": _plain(self.last),
            "rows": self.rows,
            "north_star": self.north_star,
            "figures": {one.figure: one.days[-1].value for one in self.figures if one.days},
            "lifts": [_plain(lift.as_json()) for lift in self.lifts],
            "seconds": round(self.seconds, 3),
        }


def measure(
    workspace: Workspace,
    run_id: str,
    *,
    full: bool = False,
    since: date | None = None,
    as_of: datetime | None = None,
) -> MeasureReport:
    """Compute what is measured, keep it, and read back what is to be shown.

    Args:
        workspace: The project with its databases.
        run_id: Names the run.
        full: Compute the figures of all days anew.
        since: Show figures from this day on; those of two weeks when left out.
        as_of: The time of the run, aware; now when left out.

    Raises:
        ConfigurationError: A figure by SQL cannot be computed.
    """
    from millstream.state.measurement.measure import measure as engine
    from millstream.state.measurement.reading import read_measured

    project, started = workspace.project, time.monotonic()
    now = as_of or datetime.now(UTC)
    today = now.astimezone(ZoneInfo(project.traits.timezone)).date()
    compared = list(comparisons(workspace))
    with workspace.store.transaction() as connection:
        done = engine(connection, project.measurement, project.traits, compared, as_of=now, full=full)
        shown = read_measured(connection, since=since or today - timedelta(days=SHOWN_DAYS - 1))
    first, last = done.days or (None, None)
    return MeasureReport(
        run_id=run_id,
        as_of=now,
        first=first,
        last=last,
        rows=done.rows,
        north_star=project.measurement.north_star_name(),
        figures=shown.figures,
        retention=shown.retention,
        funnels=shown.funnels,
        journeys=shown.journeys,
        lifts=shown.lifts,
        seconds=time.monotonic() - started,
    )


def variants(workspace: Workspace) -> TraitSet | None:
    """The traits that hold everyone's variants of the project's experiments; None where there are none."""
    from millstream.state.measurement.experiments import variant_traits

    return variant_traits(workspace.project.measurement.experiments, lambda name: salt(workspace.journal, name))


def comparisons(workspace: Workspace) -> Iterator[Comparison]:
    """Every sync whose people are partly held out, every audience held out of without a sync, every experiment."""
    project = workspace.project
    sent: set[str] = set()
    for name, sync in project.syncs.items():
        if sync.audience is not None and sync.has_holdouts and (found := _holdouts(workspace, sync.audience)):
            sent.add(sync.audience)
            yield _against_holdout(project, name, sync.audience, found, sync=name)
    for audience, share in project.delivery.audience_holdouts.items():
        if share and audience not in sent:
            yield _against_holdout(project, f"audience {audience}", audience, _holdouts(workspace, audience))
    yield from _experiments(workspace)


def _holdouts(workspace: Workspace, audience: str) -> list[Holdout]:
    from millstream.destinations.rules import Holdout

    shares = workspace.project.delivery.holdouts_of(audience)
    return [Holdout(name=name, share=share, salt=salt(workspace.journal, name)) for name, share in shares.items()]


def _against_holdout(
    project: Project, name: str, audience: str, holdouts: list[Holdout], *, sync: str | None = None
) -> Comparison:
    from millstream.destinations.planning.eligible import in_holdout
    from millstream.state.measurement.chosen import called
    from millstream.state.measurement.lift import ADDRESSED, HELD_OUT, Comparison

    addressed = 1.0
    for holdout in holdouts:
        addressed *= 1 - holdout.share  # their salts differ, so each takes its share of those whom the others leave
    held = " OR ".join(f"({in_holdout('person.profile_id', holdout)})" for holdout in holdouts)
    rules: LiftRules = project.measurement.lift
    own = rules.syncs.get(sync or "")
    goal = (own.goal if own else None) or rules.goal
    return Comparison(
        name=name,
        kind="holdout",
        audience=audience,
        groups={HELD_OUT: 1 - addressed, ADDRESSED: addressed},
        group_sql=f"CASE WHEN {held} THEN '{HELD_OUT}' ELSE '{ADDRESSED}' END",
        goal=goal,
        goal_name=called(goal) if goal else " or ".join(project.traits.purchases),
        within=(own.within if own else None) or rules.within,
        sync=sync,
    )


def _experiments(workspace: Workspace) -> Iterator[Comparison]:
    from millstream.state.measurement.chosen import called
    from millstream.state.measurement.experiments import salt_name, variant_sql
    from millstream.state.measurement.lift import Comparison

    project = workspace.project
    zone = ZoneInfo(project.traits.timezone)
    for name, experiment in project.measurement.experiments.items():
        goal = experiment.goal or project.measurement.lift.goal
        secret = salt(workspace.journal, salt_name(name))
        begins, ends = (
            datetime(day.year, day.month, day.day, tzinfo=zone) if day else None
            for day in (experiment.begins, experiment.ends)
        )
        yield Comparison(
            name=name,
            kind="experiment",
            audience=experiment.audience,
            groups=experiment.variants,
            group_sql=variant_sql("person.profile_id", experiment.variants, secret),
            goal=goal,
            goal_name=called(goal) if goal else " or ".join(project.traits.purchases),
            within=experiment.within,
            begins=begins,
            ends=ends,
        )


def _plain(value: object) -> object:
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return value.isoformat() if isinstance(value, date) else value
