"""The flow ``backfill``: read past days of a source again, in parts that are kept one by one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from prefect import flow
from pydantic import PositiveInt

from millstream.flows.deploying.choices import SourceName, open_project
from millstream.flows.ingest_source import ingest_task
from millstream.flows.resolve_people import resolve_task
from millstream.flows.steps import PipelineReport, Workspace, new_run_id, recorded_run, window_of
from millstream.flows.steps.failure import RunFailedError, pull_problems
from millstream.sources.ingest import IngestReport


def parts_of(start: date, end: date, days: int | None) -> Iterator[tuple[date, date]]:
    """Cut the days from ``start`` to ``end``, both included, into parts of ``days`` days, the oldest first."""
    length = timedelta(days=days or (end - start).days + 1)
    while start <= end:
        yield start, min(start + length - timedelta(days=1), end)
        start += length


@flow(name="backfill", flow_run_name="backfill {source} from {start}")
def backfill(
    source: SourceName,
    start: date,
    end: date | None = None,
    days_at_once: PositiveInt | None = None,
    then_resolve: bool = True,
) -> list[IngestReport]:
    """Read past days of a source again. The place that scheduled pulls go on from stays as it is.

    Args:
        source: The source to read.
        start: First day to read.
        end: Last day to read; today when left out.
        days_at_once: Cut the days into parts of so many, each kept before the next is read; one part when left out.
        then_resolve: Work out who is who afterwards, with the rows that came.

    Returns:
        The rows of each part.

    Raises:
        ConfigurationError: The project file or the days are wrong.
        RunFailedError: A part was not read whole; the parts before it are kept.
    """
    window_of(start, end)
    run = PipelineReport(new_run_id())
    problems: list[str] = []
    with recorded_run(Workspace.open(open_project()), run.run_id, "backfill", run):
        for first, last in parts_of(start, end or datetime.now(UTC).date(), days_at_once):
            report = ingest_task(source, window=window_of(first, last))
            run.ingested.append(report)
            problems = [f"{first} to {last}: {problem}" for problem in pull_problems(report)]
            if report.skipped:
                problems = [f"{first} to {last}: another run is reading {source}; start the backfill again from there"]
            if problems:
                break
        if then_resolve:
            run.resolved = resolve_task(run_id=run.run_id)
    if problems:
        raise RunFailedError(problems, report=run.ingested)
    return run.ingested
