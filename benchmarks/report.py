"""What was measured, on what, as a table for people and as JSON for programs."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.measuring import Comparison, Phase, medians

_LIBRARIES = ("millstream", "dlt", "duckdb", "pyarrow", "numpy", "scipy", "requests", "orjson", "sqlalchemy")


@dataclass(frozen=True)
class Options:
    """What is measured.

    Attributes:
        people: Size of the sandbox's company, and people delivered.
        identifiers: Identifier rows resolved.
        latency_ms: Every answer of the sandbox is held back for so long.
        repeat: Repetitions; medians are quoted.
        alone: Whether delivery is measured without the floor, whose memory stays with the process.
    """

    people: int = 20_000
    identifiers: int = 200_000
    latency_ms: float = 0
    repeat: int = 3
    alone: bool = False


def header(options: Options) -> dict[str, object]:
    """The machine, the versions, and the options."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "memory_gb": _memory_gb(),
            "system": f"{platform.system()} {platform.release()}",
            "load_before": load,
        },
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}},
        "options": vars(options),
    }


def show(facts: dict[str, object], comparisons: Sequence[Comparison]) -> None:
    """Print the header and the table."""
    console = Console(width=None if sys.stdout.isatty() else 152, highlight=False)
    for name, values in facts.items():
        assert isinstance(values, dict)
        told = ", ".join(f"{key} {value}" for key, value in values.items() if value is not None)
        console.print(f"[bold]{name}[/bold]: {told}")
    table = Table(caption="Medians. Ratio: ours over the floor. MB: most resident memory, and its growth meanwhile.")
    for title in (
        "benchmark",
        "phase",
        "rows",
        "",
        "rows/s",
        "requests",
        "wall s",
        "CPU s",
        "MB",
        "wall ratio",
        "CPU ratio",
        "MB ratio",
    ):
        left = title in ("benchmark", "phase", "")
        table.add_column(title, justify="left" if left else "right", no_wrap=True)
    for comparison in comparisons:
        _add_rows(table, comparison)
    console.print(table)


def _add_rows(table: Table, comparison: Comparison) -> None:
    ratios = [_ratio(comparison.ratio(cost)) for cost in ("wall", "cpu", "peak_mb")]
    rows = f"{comparison.ours[0].rows:,}"
    table.add_row(comparison.benchmark, comparison.phase, rows, "ours", *_cells(comparison.ours), *ratios)
    if comparison.floor:
        table.add_row("", "", "", "floor", *_cells(comparison.floor), "", "", "")
    for name, phases in comparison.others.items():
        table.add_row("", "", "", name, *_cells(phases), "", "", "")
    table.add_section()


def _cells(phases: Sequence[Phase]) -> list[str]:
    costs = medians(phases)
    return [
        f"{costs['rows_per_second']:,.0f}",
        _requests(phases[0]),
        f"{costs['wall']:.2f}",
        f"{costs['cpu']:.2f}" + (f" (vendor {costs['vendor_cpu']:.2f})" if costs["vendor_cpu"] else ""),
        f"{costs['peak_mb']:.0f} (+{costs['grown_mb']:.0f})",
    ]


def _requests(phase: Phase) -> str:
    """Requests made, and the fewest there could be."""
    return "" if phase.requests is None else f"{phase.requests:,} (of {phase.least:,})"


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _processor() -> str:
    """The processor's name, where the system tells it."""
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.exists() else []
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return named or platform.processor() or platform.machine()


def _memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3, 1)
    except (ValueError, OSError):
        return None
