"""``python -m benchmarks.report_page``: what `millstream report` costs for a million people, and its readers' patience.

Prints the seconds until everything is gathered and until the page is written, the page's size, and the seconds from
opening it in headless Chromium until what is in sight is drawn and until every chart is.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from benchmarks.report import Options, header
from millstream.flows.project import load_project
from millstream.flows.report import ReportRun, write_report
from millstream.flows.report.gather import gather
from millstream.flows.steps import Workspace
from tests.chromium import browser
from tests.report_world import fill, write_project

_DRAWN = "document.documentElement.dataset.drawn !== undefined"


def measure(people: int, repeat: int, folder: Path) -> dict[str, float]:
    """Fill a store, write its report and open it; medians.

    Args:
        people: How many the store knows.
        repeat: How often the page is written and opened.
        folder: An empty one, which takes some 150 bytes a person and table.
    """
    workspace = Workspace.open(load_project(write_project(folder)))
    now = datetime.now(UTC)
    with workspace.store.transaction() as connection:
        fill(connection, people, as_of=now)
    gathered, written = list[float](), list[float]()
    run = ReportRun("benchmark")
    for _ in range(repeat):
        started = time.perf_counter()
        gather(workspace, as_of=now)
        gathered.append(time.perf_counter() - started)
        started = time.perf_counter()
        write_report(workspace, run, output=folder / "report.html")
        written.append(time.perf_counter() - started)
    workspace.journal.close()
    assert run.path is not None
    return {
        "gathered (s)": median(gathered),
        "written, with gathering (s)": median(written),
        "page (MB)": run.size / 1e6,
        **opened(run.path, repeat),
    }


def opened(page: Path, repeat: int) -> dict[str, float]:
    """How long a reader waits, each time in a browser that was just started."""
    in_sight, drawn, whole = list[float](), list[float](), list[float]()
    for _ in range(repeat):
        with browser() as tab:
            tab.offline()
            tab.size(1280, 900)
            whole.append(tab.open(page, until=_DRAWN))
            assert not tab.complaints, tab.complaints
            in_sight.append(float(tab.value("document.documentElement.dataset.inSight")) / 1000)
            drawn.append(float(tab.value("document.documentElement.dataset.drawn")) / 1000)
            charts = tab.value("document.querySelectorAll('[data-chart] svg').length")
    return {
        "charts": float(charts),
        "drawn in sight, from navigation (s)": median(in_sight),
        "all drawn, from navigation (s)": median(drawn),
        "all drawn, seen from outside (s)": median(whole),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the options, measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report_page", description=__doc__.split("\n\n")[1])
    parser.add_argument("--people", type=int, default=1_000_000, help="people in the store (%(default)s)")
    parser.add_argument("--repeat", type=int, default=3, help="repetitions (%(default)s); medians are printed")
    given = parser.parse_args(arguments)
    console = Console(highlight=False)
    facts = header(Options(people=given.people, repeat=given.repeat))
    console.print(f"machine: {facts['machine']}", soft_wrap=True)
    with TemporaryDirectory(prefix="report-") as folder:
        found = measure(given.people, given.repeat, Path(folder))
    table = Table("what", "", title=f"The report of {given.people:,} people", title_justify="left")
    for what, value in found.items():
        table.add_row(what, f"{value:,.2f}" if value % 1 else f"{value:,.0f}")
    console.print(table)


if __name__ == "__main__":
    main()
