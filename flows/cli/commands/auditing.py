"""The command that looks at the quality of the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from millstream.flows.cli.application import RUN, JsonOption, PrefectOption, ProjectOption, command

if TYPE_CHECKING:
    from millstream.flows.steps.auditing import AuditReport

_ODD_DAYS = 20
"""Odd days that are shown: the first look goes back two years."""


@command("audit", panel=RUN)
def audit(
    *,
    dimension: Annotated[
        str | None,
        typer.Option("--dimension", metavar="NAME", help="Show every check of this dimension: completeness, ..."),
    ] = None,
    project: ProjectOption = None,
    prefect: PrefectOption = False,
    as_json: JsonOption = False,
) -> bool:
    """Look at the quality of the data: completeness, validity, uniqueness, freshness, consistency, and odd days.

    Each run is kept as history. Exit code 1 when a threshold of the section `quality` is not reached.
    """
    from millstream.flows.cli.engines import engine_for
    from millstream.flows.cli.output import print_json
    from millstream.flows.project import load_project
    from millstream.state.errors import ConfigurationError
    from millstream.state.quality.audit import CHECKS
    from millstream.state.suggestions import did_you_mean

    if dimension is not None and dimension not in CHECKS:
        raise ConfigurationError(
            f"There is no dimension {dimension!r}.",
            where="--dimension",
            allowed=list(CHECKS),
            remedy=did_you_mean(dimension, list(CHECKS)),
        )
    report = engine_for(load_project(project), prefect=prefect).audit()
    if as_json:
        print_json(report.as_json())
    else:
        _show(report, dimension)
    return report.ok


def _show(report: AuditReport, dimension: str | None) -> None:
    from millstream.flows.cli.output import print_note, print_table
    from millstream.flows.showing import quality as tables

    if not report.findings:
        print_note("There is nothing to look at yet: see `millstream status`.")
    elif dimension:
        print_table(dimension.capitalize(), tables.finding_rows(report, dimension))
    else:
        print_table("Quality", tables.dimension_rows(report))
        print_note("Every check of one of them: `millstream audit --dimension NAME`.")
    if report.odd_days and not dimension:
        rows = tables.odd_day_rows(report)
        print_table("Odd days", rows[:_ODD_DAYS])
        if len(rows) > _ODD_DAYS:
            print_note(f"The latest {_ODD_DAYS} of {len(rows):,}; all of them: `millstream audit --json`.")
    if report.judgements:
        print_table("Thresholds", tables.threshold_rows(report))
