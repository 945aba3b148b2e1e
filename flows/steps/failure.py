"""How a run fails: one sentence for each thing that went wrong, and the report of what was done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from millstream.state.errors import FatalError

if TYPE_CHECKING:
    from millstream.destinations.reconciling import DriftReport
    from millstream.destinations.sync_report import SyncReport
    from millstream.sources.ingest import IngestReport
    from millstream.state.audiences.select import AudienceReport
    from millstream.state.traits.report import DescribeReport

ReportT = TypeVar("ReportT")


class RunFailedError(FatalError, Generic[ReportT]):
    """A run that did what it could and did not reach all it was asked for.

    Attributes:
        report: What was done, as the flow would have returned it.
        problems: One sentence each.
    """

    def __init__(self, problems: Sequence[str], *, report: ReportT) -> None:
        count = f"{len(problems)} problems: " if len(problems) > 1 else ""
        super().__init__(count + "; ".join(problem.rstrip(".") for problem in problems) + ".")
        self.problems = tuple(problems)
        self.report = report


def pull_problems(report: IngestReport) -> list[str]:
    """One sentence for each stream that was not read whole."""
    return [str(error) for error in report.errors] or ([] if report.ok else [f"{report.source} is incomplete"])


def describe_problems(report: DescribeReport) -> list[str]:
    """One sentence for each set of traits that failed."""
    return [f"traits {one.name}: {one.message}" for one in report.failed]


def select_problems(reports: Sequence[AudienceReport]) -> list[str]:
    """One sentence for each audience that was left as it is."""
    return [f"audience {one.name} stands still: {one.held}" for one in reports if one.held]


def sync_problems(report: SyncReport) -> list[str]:
    """What keeps a sync from having worked, in one sentence."""
    if report.ok:
        return []
    rows = {"rejected": report.rejected, "to try again": report.retry_later, "unknown": report.unknown}
    ended = f"ended {report.status}: {_counted(rows) or 'no rows'}. What to do: see `millstream rejected`."
    return [_of_sync(report, ended)]


def drift_problems(report: DriftReport) -> list[str]:
    """What keeps a sync from being in step, in one sentence."""
    if report.ok:
        return []
    people = {"missing": report.missing, "there again": report.extra, "sent without an answer": report.uncertain}
    advice = report.why or "What to do: `millstream reconcile --repair`, then `millstream activate`."
    return [_of_sync(report, f"is not as acknowledged: {_counted(people)}. {advice}")]


def _of_sync(report: SyncReport | DriftReport, otherwise: str) -> str:
    """The error that ended it; else what is said of it."""
    sync = f"sync {report.sync}"
    return str(report.error.at(sync)) if report.error else f"{sync} {otherwise}"


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
