"""Looking at a plan before it is sent: who would be taken out, which requests would be made, what it would take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from millstream.destinations.planning import PlanReport
from millstream.destinations.preview.forecast import Forecast, Latency, latency_of, make_forecast
from millstream.destinations.preview.rehearsal import ExampleRequest, example_requests
from millstream.destinations.preview.saved import SavedPlan, check_saved, read_plan, save_plan, settings_of
from millstream.destinations.sending.plan_rows import AnyDestination, PlanRows
from millstream.destinations.sync import Sync
from millstream.state.errors import ConfigurationError
from millstream.state.privacy import redact

__all__ = [
    "ExampleRequest",
    "Forecast",
    "Look",
    "PlanPreview",
    "Removal",
    "SavedPlan",
    "check_saved",
    "latency_of",
    "look_at",
    "read_plan",
    "settings_of",
]


@dataclass(frozen=True)
class Removal:
    """Someone who would be taken out.

    Attributes:
        profile_id: The profile it was sent for.
        match_value: By what the destination knows the person; masked unless asked for in clear.
    """

    profile_id: str | None
    match_value: str


@dataclass
class PlanPreview:
    """A plan and all that can be told of it before it is sent.

    Attributes:
        plan: Its counts and guards.
        removals: The first who would be taken out.
        requests: One example of each kind of request; empty unless asked for.
        forecast: What it would take; None when there is nothing to send.
        no_forecast: Why there is none although there is something to send.
        warnings: What of it cannot be undone.
        saved: What was written to a file, where one was asked for.
    """

    plan: PlanReport
    removals: list[Removal] = field(default_factory=list)
    requests: list[ExampleRequest] = field(default_factory=list)
    forecast: Forecast | None = None
    no_forecast: str | None = None
    warnings: list[str] = field(default_factory=list)
    saved: SavedPlan | None = None

    def as_json(self) -> Mapping[str, Any]:
        """For programs: the plan's own keys, and these."""
        return {
            **self.plan.as_json(),
            "removals": [asdict(one) for one in self.removals],
            "requests": [asdict(one) for one in self.requests],
            "forecast": self.forecast.as_json() if self.forecast else None,
            "warnings": self.warnings,
        }


@dataclass(frozen=True, kw_only=True)
class Look:
    """What to show of a plan beside its counts.

    Attributes:
        removals: How many of those who would be taken out are named.
        in_clear: Whether they are named in clear.
        requests: Whether to rehearse the requests; it reads from the destination, and changes nothing there.
        save_to: A file for the plan.
    """

    removals: int = 10
    in_clear: bool = False
    requests: bool = False
    save_to: Path | None = None


def look_at(
    plan: PlanReport,
    name: str,
    sync: Sync,
    destination: Callable[[], AnyDestination],
    look: Look,
    *,
    latency: Latency,
    now: datetime,
) -> PlanPreview:
    """All that is to be shown of a plan, whose file is gone afterwards.

    Args:
        plan: The plan, with its file.
        name: Name of the sync.
        sync: What it is.
        destination: Makes the connector; without the connection's secrets a plan is worth seeing, too.
        look: What to show.
        latency: How long requests lasted in earlier runs.
        now: When the plan was made.
    """
    preview = PlanPreview(plan)
    if look.save_to:
        preview.saved = save_plan(plan.path, look.save_to, name, sync, settings=_settings(destination), now=now)
    if plan.path:
        preview.removals = first_removals(plan.path, look.removals, in_clear=look.in_clear)
        try:
            connector = destination()
            preview.forecast = make_forecast(sync, plan, connector, latency)
            warning = connector.leaving_warnings.get(sync.leaving)
            preview.warnings += [warning] if warning and plan.removes else []
        except ConfigurationError as error:
            preview.no_forecast = str(error)
        if look.requests:
            connector = destination()
            preview.requests = example_requests(connector, sync, PlanRows(plan.path, sync, connector).batches())
    plan.path = None
    return preview


def _settings(destination: Callable[[], AnyDestination]) -> str | None:
    try:
        return settings_of(destination().settings)
    except ConfigurationError:
        return None  # without its secrets


def first_removals(path: Path, limit: int, *, in_clear: bool) -> list[Removal]:
    """The first people whom a plan's file takes out."""
    found: list[Removal] = []
    with pq.ParquetFile(path) as plan:
        for batch in plan.iter_batches(columns=["operation", "profile_id", "match_value"]):
            removed = batch.filter(pc.equal(batch["operation"], "remove")).slice(0, limit - len(found))
            found += [
                Removal(row["profile_id"], row["match_value"] if in_clear else _masked(row["match_value"]))
                for row in removed.to_pylist()
            ]
            if len(found) >= limit:
                break
    return found


def _masked(value: str) -> str:
    masked = redact(value)
    return masked if masked != value else f"{value[:1]}***"
