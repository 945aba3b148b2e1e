"""Writing a report: gather, put into words, and write the page as one file."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millstream.flows.steps import new_run_id, recorded_run
from millstream.state.errors import ConfigurationError

if TYPE_CHECKING:
    from millstream.flows.report.blocks import Section
    from millstream.flows.steps import Workspace


@dataclass
class ReportRun:
    """What a run of the report did.

    Attributes:
        run_id: The run.
        path: The page.
        size: Its bytes.
        seconds: How long gathering and writing took.
        as_of: The time of the report; None until it is written.
        sections: What it holds.
    """

    run_id: str
    path: Path | None = None
    size: int = 0
    seconds: float = 0.0
    as_of: datetime | None = None
    sections: Sequence[Section] = ()

    @property
    def ok(self) -> bool:
        """Whether the page was written."""
        return self.path is not None

    def as_json(self) -> dict[str, Any]:
        """For the journal, and for programs."""
        return {
            "run_id": self.run_id,
            "ok": self.ok,
            "file": str(self.path) if self.path else None,
            "bytes": self.size,
            "seconds": round(self.seconds, 3),
            "as_of": self.as_of.isoformat() if self.as_of else None,
        }


def report_run(workspace: Workspace, *, output: Path | None = None) -> ReportRun:
    """Write the page as a run that the journal remembers.

    Args:
        workspace: The project with its databases.
        output: The file; what the project file says when left out.

    Raises:
        ConfigurationError: The extra ``report`` is not installed, or the file cannot be written.
    """
    report = ReportRun(new_run_id())
    with recorded_run(workspace, report.run_id, "report", report):
        write_report(workspace, report, output=output)
    return report


def write_report(workspace: Workspace, report: ReportRun, *, output: Path | None = None) -> None:
    """Gather and write the page; what was done is noted in ``report``.

    Args:
        workspace: The project with its databases.
        report: Takes what was done.
        output: The file; what the project file says when left out.

    Raises:
        ConfigurationError: The extra ``report`` is not installed, or the file cannot be written.
    """
    try:
        from millstream.flows.report.page import page_html
        from millstream.flows.report.sections import sections_of
    except ModuleNotFoundError as error:
        if error.name not in ("altair", "vl_convert"):
            raise
        raise ConfigurationError(
            f"The report's page needs the package {error.name}, which is not installed.",
            remedy="run `pip install 'millstream[report]'`.",
        ) from error
    from millstream.flows.report.gather import gather

    started, now = time.monotonic(), datetime.now(UTC)
    data = gather(workspace, as_of=now)
    sections = sections_of(data)
    text = page_html(data.project, now, sections)
    path = (output or workspace.project.root / workspace.project.report.output).absolute()
    _write(path, text)
    report.path, report.size, report.as_of, report.sections = path, len(text.encode()), now, sections
    report.seconds = time.monotonic() - started


def _write(path: Path, text: str) -> None:
    """Whole or not at all: somebody may be looking at the last one."""
    meanwhile = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        meanwhile.write_text(text, encoding="utf-8")
        meanwhile.replace(path)
    except OSError as error:
        with suppress(OSError):
            meanwhile.unlink()
        raise ConfigurationError(
            f"The report cannot be written to {path}: {error.strerror}.", remedy="name another file with --out."
        ) from error
