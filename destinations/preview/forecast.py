"""What a plan will take: requests, time, and the share of today's budget."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from millstream.destinations.modes import Operation, SyncMode
from millstream.destinations.planning import PlanReport
from millstream.destinations.sending.plan_rows import AnyDestination
from millstream.destinations.sync import Sync
from millstream.state.store import column_types

if TYPE_CHECKING:
    from millstream.state.store import Connection

USUAL_LATENCY = 0.3
"""Seconds a request is taken to last before there are earlier runs to learn from."""
RUNS_LOOKED_AT = 10


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What sending a plan takes at the least.

    Attributes:
        requests: Requests, where none has to be repeated.
        seconds: Time, by the vendor's limits and by how long requests lasted in earlier runs.
        learned_from: Earlier runs that the time was learned from.
        daily_left: Requests left in today's budget, where that is known.
    """

    requests: int
    seconds: float
    learned_from: int
    daily_left: int | None

    @property
    def fits_today(self) -> bool:
        """Whether today's budget suffices, as far as is known."""
        return self.daily_left is None or self.requests <= self.daily_left

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {**asdict(self), "seconds": round(self.seconds, 1), "fits_today": self.fits_today}


@dataclass(frozen=True)
class Latency:
    """How long requests to a destination lasted: wall seconds each, side by side as they were, over so many runs."""

    runs: int
    seconds: float


def make_forecast(sync: Sync, plan: PlanReport, destination: AnyDestination, latency: Latency) -> Forecast:
    """Count the requests of a plan and reckon how long they take.

    Args:
        sync: What is sent.
        plan: How many rows of each operation.
        destination: Its batch sizes and limits.
        latency: What earlier runs tell.
    """
    rows = {Operation.ADD: plan.adds, Operation.UPDATE: plan.updates, Operation.REMOVE: plan.removes}
    if sync.mode is SyncMode.REPLACE:
        rows = {Operation.ADD: plan.wanted}
    in_audience = sync.audience_name is not None
    planned = [(operation, count) for operation, count in rows.items() if count]
    requests = sum(
        destination.requests_for(operation, count, in_audience=in_audience, leaving=sync.leaving)
        for operation, count in planned
    )
    limit = destination.pace()
    by_latency = requests * (latency.seconds if latency.runs else USUAL_LATENCY / limit.concurrency)
    by_limit = requests * limit.seconds / limit.requests
    return Forecast(
        requests=requests,
        seconds=max(by_latency, by_limit),
        learned_from=latency.runs,
        daily_left=destination.http.pacer.daily_left,
    )


def latency_of(connection: Connection, destination: str) -> Latency:
    """What the latest runs that sent something to a destination tell."""
    if not column_types(connection, "delivery", "runs"):
        return Latency(0, 0.0)
    rows = connection.execute(
        f"""
        SELECT requests, started_at, finished_at FROM delivery.runs
        WHERE destination = ? AND requests > 0 AND status IN ('completed', 'partial')
        ORDER BY started_at DESC LIMIT {RUNS_LOOKED_AT}
        """,
        [destination],
    ).fetchall()
    requests = sum(int(row[0]) for row in rows)
    seconds = sum((finished - started).total_seconds() for _, started, finished in rows)
    return Latency(len(rows), seconds / requests if requests else 0.0)
