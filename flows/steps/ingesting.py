"""Ingest: pull one source into the store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from millstream.flows.steps.recording import new_run_id
from millstream.flows.steps.threads import side_by_side
from millstream.state.errors import ConfigurationError, MillstreamError

if TYPE_CHECKING:
    from millstream.flows.steps.progress import Progress
    from millstream.flows.steps.workspace import Workspace
    from millstream.sources.ingest import IngestReport
    from millstream.sources.pull import Window

LONGEST_PULL = 12 * 3600.0
"""Seconds after which a pull on another machine counts as dead."""


def ingest(
    workspace: Workspace,
    source: str,
    *,
    window: Window | None = None,
    full: bool = False,
    accept_empty: bool = False,
    progress: Progress | None = None,
) -> IngestReport:
    """Pull one source into the store.

    What goes wrong at the vendor is in the report; only a wrong configuration is raised. While another run pulls the
    same source, this one leaves it alone.

    Args:
        workspace: The project with its databases.
        source: Name of the source in the project.
        window: Read again what changed in this window, and leave the kept cursors alone.
        full: Read everything again.
        accept_empty: Let a catalogue that used to have rows become empty.
        progress: Told after each page.
    """
    from millstream.sources import ingest as engine
    from millstream.sources.dlt_source import SourcePull

    connector = workspace.project.source(source)
    pull = SourcePull(
        connector,
        window=window,
        full=full,
        accept_empty=accept_empty,
        progress=progress.of_source(source) if progress else None,
        forecasts=progress.forecasts_of(source) if progress else None,
        budgets=workspace.journal.budgets,
    )
    with workspace.journal.lease(f"source {source}", new_run_id(), seconds=LONGEST_PULL) as mine:
        if not mine:
            return engine.IngestReport(source, skipped=True)
        try:
            return engine.ingest(pull, workspace.store, name=source, pipelines=workspace.work / "dlt")
        except ConfigurationError:
            raise
        except MillstreamError as error:
            return engine.IngestReport(source, list(pull.reports.values()), error=error.at(source))


def ingest_all(
    workspace: Workspace,
    sources: Sequence[str],
    *,
    window: Window | None = None,
    full: bool = False,
    accept_empty: bool = False,
    progress: Progress | None = None,
) -> list[IngestReport]:
    """Pull sources, side by side."""

    def one(source: str) -> IngestReport:
        return ingest(workspace, source, window=window, full=full, accept_empty=accept_empty, progress=progress)

    return side_by_side(one, sources)


def window_of(start: date | None, end: date | None) -> Window | None:
    """The days to read again; None goes on from where the last pull ended.

    Raises:
        ConfigurationError: A last day without a first one, or before it.
    """
    if start is None:
        if end is not None:
            raise ConfigurationError("A last day needs a first day.", remedy="give start as well.")
        return None
    from millstream.sources.pull import Window

    end = end or datetime.now(UTC).date()
    if end < start:
        raise ConfigurationError(f"The last day, {end}, is before the first day, {start}.")
    return Window.of_days(start, end)
