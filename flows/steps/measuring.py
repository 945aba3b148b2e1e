"""Measure: figures, cohorts, funnels, journeys, and what campaigns changed."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from millstream.flows.steps.comparing import comparisons

if TYPE_CHECKING:
    from millstream.flows.steps.workspace import Workspace
    from millstream.state.measurement.comparing import Lift
    from millstream.state.measurement.reading import Figure, FunnelStep, JourneyPath, RetentionCell

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
        done = engine(
            connection,
            project.measurement,
            project.traits,
            compared,
            as_of=now,
            full=full,
            sql_seconds=project.sql_seconds,
        )
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


def _plain(value: object) -> object:
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return value.isoformat() if isinstance(value, date) else value
