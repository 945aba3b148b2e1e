"""The command that measures: figures, cohorts, funnels, journeys, and what campaigns changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from millstream.flows.cli.application import RUN, JsonOption, PrefectOption, ProjectOption, command

if TYPE_CHECKING:
    from millstream.flows.steps.measuring import MeasureReport


@command("measure", panel=RUN)
def measure(
    *,
    since: Annotated[
        datetime | None,
        typer.Option("--since", formats=["%Y-%m-%d"], metavar="DAY", help="Show figures from this day on."),
    ] = None,
    figures: Annotated[
        list[str] | None, typer.Option("--figure", metavar="NAME", help="Show this figure day by day; may be repeated.")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Compute the figures of all days anew, also of those told long ago.")
    ] = False,
    project: ProjectOption = None,
    prefect: PrefectOption = False,
    as_json: JsonOption = False,
) -> bool:
    """Compute and show key figures, who comes back, funnels, journeys, and what campaigns and variants changed.

    Days that were told stay as they were told, but for the last ones, of which events may have come late
    (`measurement: late_days`). Differences are shown with the interval in which they lie, and none where too few
    people were compared.
    """
    from millstream.flows.cli.engines import engine_for
    from millstream.flows.cli.output import print_json
    from millstream.flows.project import load_project

    engine = engine_for(load_project(project), prefect=prefect)
    report = engine.measure(full=full, since=since.date() if since else None)
    chosen = figures or []
    if report.first is not None:
        _check_figures(report, chosen)
    if as_json:
        only = [one for one in report.figures if not chosen or one.figure in chosen]
        print_json({"ok": True, **replace(report, figures=tuple(only)).as_json()})
    else:
        _show(report, chosen)
    return True


def _check_figures(report: MeasureReport, figures: list[str]) -> None:
    from millstream.state.errors import ConfigurationError
    from millstream.state.suggestions import did_you_mean

    known = [one.figure for one in report.figures]
    for name in figures:
        if name not in known:
            raise ConfigurationError(
                f"There is no figure {name!r}.", where="--figure", allowed=known, remedy=did_you_mean(name, known)
            )


def _show(report: MeasureReport, figures: list[str]) -> None:
    from millstream.flows.cli.output import print_line, print_note, print_table
    from millstream.flows.showing import figures as tables

    if report.first is None:
        print_note("There is nothing to measure yet: see `millstream status`.")
        return
    if figures:
        print_table("By day", tables.day_rows(report, figures))
        return
    print_table(f"Key figures, told from {report.first} on", tables.figure_rows(report))
    for title, rows in (
        ("Who comes back", tables.retention_rows(report)),
        ("Funnels", tables.funnel_rows(report)),
        ("Ways to a goal", tables.journey_rows(report)),
        ("Addressed against held out, and variants", tables.lift_rows(report, sentences=False)),
    ):
        if rows:
            print_table(title, rows)
    for lift in report.lifts:
        print_line(f"{lift.name}, {lift.variant}: {lift.sentence}")
