"""Plans as people look at them before anything is sent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from millstream.flows.cli.output import print_error, print_json, print_line, print_note, print_table
from millstream.state.amounts import counted

if TYPE_CHECKING:
    from pathlib import Path

    from millstream.destinations.preview import ExampleRequest, Forecast, PlanPreview
    from millstream.flows.showing.cells import Row

_RARE = ("it takes", "suppressed", "held out", "sent with another", "no match key", "waiting", "merged away")


def show_plans(previews: Sequence[PlanPreview], problems: Sequence[str], out: Path | None, *, as_json: bool) -> bool:
    """Show what would be sent; False when a guard would stop one, or a sync cannot be planned."""
    ok = not problems and all(preview.plan.ok for preview in previews)
    if as_json:
        print_json({"ok": ok, "problems": list(problems), "plans": [preview.as_json() for preview in previews]})
        return ok
    print_table("Nothing is sent; activate would do this", [_counts(preview) for preview in previews], rare=_RARE)
    for preview in previews:
        _show_removals(preview)
        for request in preview.requests:
            _show_request(preview.plan.sync, request)
    if any(preview.plan.merged_away for preview in previews):
        print_note("Ids that were merged away stay where a sync has no list to take them out of: see docs/identity.md.")
    for preview in previews:
        for warning in preview.warnings:
            print_note(f"sync {preview.plan.sync}: on_leave cannot be undone: {warning}")
    for problem in dict.fromkeys(preview.no_forecast for preview in previews if preview.no_forecast):
        print_note(f"What it takes is not known: {problem}")
    for preview in previews:
        for guard in preview.plan.guards:
            print_error(f"sync {preview.plan.sync}: a guard would stop it: {guard}")
    for problem in problems:
        print_error(problem)
    if out is not None:
        print_note(f"The plan is written. To send it: millstream activate --plan {out}")
    return ok


def _counts(preview: PlanPreview) -> Row:
    plan = preview.plan
    return {
        "sync": plan.sync,
        "add": plan.adds,
        "update": plan.updates,
        "remove": plan.removes,
        "same": plan.unchanged,
        "no consent": plan.held.get("consent", 0),
        "suppressed": plan.held.get("suppression list", 0),
        "held out": plan.held.get("holdout", 0),
        "sent with another": plan.held.get("priority", 0),
        "no match key": plan.unmatched,
        "waiting": plan.waiting,
        "merged away": plan.merged_away,
        "it takes": _forecast(preview.forecast) if preview.forecast else "",
    }


def _forecast(forecast: Forecast) -> str:
    told = f"{counted(forecast.requests, 'request')}, about {_duration(forecast.seconds)}"
    if forecast.daily_left is None:
        return told
    left = f"{forecast.daily_left:,} left today"
    return f"{told}; {left}" if forecast.fits_today else f"{told}; more than the {left}: the rest goes later"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _show_removals(preview: PlanPreview) -> None:
    if not preview.removals:
        return
    shown, all_of_them = len(preview.removals), preview.plan.removes
    which = "all" if shown == all_of_them else f"the first {shown:,} of {all_of_them:,}"
    rows: list[Row] = [
        {"profile": removal.profile_id or "", "known there as": removal.match_value} for removal in preview.removals
    ]
    print_table(f"{preview.plan.sync}: who would be taken out, {which}", rows)


def _show_request(sync: str, request: ExampleRequest) -> None:
    each = f", up to {request.rows_each:,} rows each" if request.rows_each > 1 else ""
    print_line(f"\n{sync}: {request.operation}{each}")
    if request.method:
        print_line(f"  {request.method} {request.url}")
        print_line(f"  headers: {', '.join(request.headers)}")
    if request.body is not None:
        text = json.dumps(request.body, indent=2, ensure_ascii=False, default=str)
        print_line("\n".join(f"  {line}" for line in text.splitlines()))
    if request.note:
        print_line(f"  {request.note}")
