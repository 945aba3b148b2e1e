"""The command that holds events against the tracking plan: plan-events."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from millstream.flows.cli.application import LOOK, JsonOption, ProjectOption, command

if TYPE_CHECKING:
    from millstream.flows.showing.cells import Row
    from millstream.state.model.plan_findings import InSource, PlanReport, Unconverted

SHOWN = 30
"""Rows of a table; `--json` has them all."""


@command("plan-events", panel=LOOK)
def plan_events(
    *,
    days: Annotated[
        int | None, typer.Option("--days", metavar="N", min=1, help="Only events of the last N days.")
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option("--since", formats=["%Y-%m-%d"], metavar="DAY", help="Only events from this day (UTC) on."),
    ] = None,
    source: Annotated[
        str | None, typer.Option("--source", metavar="SOURCE", help="Only events of this source.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Exit code 1 when an event is unknown, breaks the plan, or has no rate.")
    ] = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> bool:
    """Hold events against the tracking plan: unknown names, what is missing or wrong, values without a rate.

    Near-duplicates of names are found, and the aliases that would make them one event written for pasting.

    It is the project file as it is now that counts, also before `resolve` has run by it. Nothing is changed, and no
    personal data are shown: of properties only names, types and shapes.
    """
    from millstream.flows.cli.output import print_json
    from millstream.flows.looking.tracking_plan import hold_against_plan
    from millstream.flows.project import load_project
    from millstream.flows.steps import Workspace
    from millstream.state.errors import ConfigurationError

    if days is not None and since is not None:
        raise ConfigurationError("--days and --since say the same in two ways.", remedy="give one of them.")
    begin = since.replace(tzinfo=UTC) if since else None
    if days is not None:
        begin = datetime.now(UTC) - timedelta(days=days)
    report = hold_against_plan(Workspace.open(load_project(project)), since=begin, source=source)
    if as_json:
        print_json(report.as_json())
    else:
        _show(report)
    return report.ok or not check


def _show(report: PlanReport) -> None:
    from millstream.flows.cli.output import print_line, print_note, print_table

    print_line(
        f"{report.events:,} events: {report.planned - report.violating:,} by the plan, "
        f"{report.violating:,} break it, {report.unplanned:,} are unknown to it."
    )
    if report.events == 0:
        print_note("There are no events yet, or none in this time: see `millstream status`.")
        return
    _table(f"{report.unknown_names:,} unknown names", _unknown_rows(report), rare=("meant for",))
    _table("Missing or wrong", _violation_rows(report), rare=("owner", "found"))
    _table("Other spellings of planned events", _spelling_rows(report))
    if report.unconverted:
        _table("Values without an exchange rate", _money_rows(report.unconverted))
    if report.without_currency:
        _table("Values that name no currency, and count as said", _money_rows(report.without_currency))
    if report.unseen:
        print_table("Planned, but never seen", [{"event": name} for name in report.unseen])
    if report.proposal:
        print_line("\nNear-duplicates become one event by these entries of the project file:\n")
        print_line(report.proposal)


def _table(title: str, rows: Iterable[Row], *, rare: tuple[str, ...] = ()) -> None:
    from millstream.flows.cli.output import print_note, print_table

    listed = list(rows)
    print_table(title, listed[:SHOWN], rare=rare)
    if len(listed) > SHOWN:
        print_note(f"  and {len(listed) - SHOWN:,} more: see --json")


def _unknown_rows(report: PlanReport) -> Iterable[Row]:
    from millstream.flows.cli.output import age

    for one in report.unknown:
        yield {
            "name": one.name,
            "events": one.events,
            "first": age(one.first_seen),
            "last": age(one.last_seen),
            "sources": _sources(one.sources),
            "meant for": one.similar_to,
            "properties": ", ".join(f"{name}: {kind}" for name, kind in one.properties.items()),
        }


def _violation_rows(report: PlanReport) -> Iterable[Row]:
    for one in report.violations:
        wrong = {"missing": "missing", "type": f"no {one.expected}", "value": f"none of {one.expected}"}[one.kind]
        yield {
            "event": one.event,
            "property": one.property,
            "what": wrong,
            "events": one.events,
            "share": f"{one.share:.1%}",
            "sources": ", ".join(f"{part.source} {part.events:,} ({part.share:.0%})" for part in one.sources),
            "found": ", ".join(one.found),
            "owner": one.owner,
        }


def _spelling_rows(report: PlanReport) -> Iterable[Row]:
    for one in report.spellings:
        yield {"event": one.event, "comes as": one.name, "events": one.events, "sources": _sources(one.sources)}


def _money_rows(found: Iterable[Unconverted]) -> Iterable[Row]:
    from millstream.flows.cli.output import day

    for one in found:
        yield {
            "currency": one.currency or "none",
            "event": one.event,
            "source": one.source,
            "events": one.events,
            "first": day(one.first_seen),
            "last": day(one.last_seen),
        }


def _sources(sources: Iterable[InSource]) -> str:
    return ", ".join(f"{part.source} {part.events:,}" for part in sources)
