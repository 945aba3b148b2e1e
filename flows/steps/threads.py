"""The same work for several sources or syncs at once: in threads of this process, or as tasks of Prefect's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from millstream.state.errors import MillstreamError
from millstream.state.privacy import redact

if TYPE_CHECKING:
    from prefect.futures import PrefectFuture

Report = TypeVar("Report")


def side_by_side(work: Callable[[str], Report], names: Sequence[str]) -> list[Report]:
    """Do the work for each name in a thread of its own; the results are in the names' order."""
    if not names:
        return []
    with ThreadPoolExecutor(len(names)) as threads:
        return list(threads.map(work, names))


def gather(futures: Mapping[str, PrefectFuture[Report]]) -> tuple[list[Report], list[str]]:
    """Wait for tasks that run side by side.

    Returns:
        The reports of those that came back, and a sentence for each that did not.
    """
    reports: list[Report] = []
    problems: list[str] = []
    for name, future in futures.items():
        outcome = future.result(raise_on_failure=False)
        if isinstance(outcome, MillstreamError):
            problems.append(str(outcome.at(name)))
        elif isinstance(outcome, BaseException):
            problems.append(f"{name}: {type(outcome).__name__}: {redact(str(outcome))}")
        else:
            reports.append(outcome)
    return reports, problems
