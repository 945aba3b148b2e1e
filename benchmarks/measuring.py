"""Costs of a piece of work, and ours beside the floor's, run in turn in one process."""

from __future__ import annotations

import ctypes
import gc
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.abc import MetaPathFinder
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import pyarrow as pa

_STATUS = Path("/proc/self/status")
_MEGABYTE = 1024 * 1024


class DifferentResultsError(Exception):
    """Ours and the floor did not do the same work, so that their costs cannot be compared."""


@dataclass
class Phase:
    """One measured piece of work.

    Attributes:
        rows: How many rows it was about; set by the work.
        result: What it came to; must be the same for ours and for the floor.
        wall: Seconds by the clock.
        cpu: Seconds of processor time of this process, all threads. The sandbox is another process.
        peak_mb: Largest resident memory of this process meanwhile; libraries included.
        grown_mb: How far that is above the resident memory at the start.
        requests: How many requests were made; None where nobody counts.
        least: The fewest that the vendor's batches allow.
        vendor_cpu: Seconds of processor time of whoever answers, where that is measured.
    """

    rows: int = 0
    result: object = None
    wall: float = 0.0
    cpu: float = 0.0
    peak_mb: float = 0.0
    grown_mb: float = 0.0
    vendor_cpu: float = 0.0
    requests: int | None = None
    least: int = 0


class Meter:
    """Measures the phases of one side of a benchmark; what happens between them is not counted."""

    def __init__(self) -> None:
        self.phases: dict[str, Phase] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[Phase]:
        """Measure what happens inside."""
        phase = self.phases[name] = Phase()
        at_start = _start_memory()
        wall, cpu = time.perf_counter(), time.process_time()
        yield phase
        phase.wall = time.perf_counter() - wall
        phase.cpu = time.process_time() - cpu
        phase.peak_mb = _peak_memory()
        phase.grown_mb = max(0.0, phase.peak_mb - at_start)


class _NoPandas(MetaPathFinder):
    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError("pandas is hidden from benchmarks", name=fullname)


def without_pandas() -> None:
    """Have this process do without pandas, which is there for tests only.

    Where it is installed, DuckDB imports it with the first value that it is given: a fifth of all libraries' memory.
    """
    sys.meta_path.insert(0, _NoPandas())


Side = Callable[[Path, Meter], None]
"""One side of a benchmark: works in an empty folder and measures its phases."""


@dataclass
class Comparison:
    """A phase of a benchmark: its repetitions, ours and the floor's.

    Attributes:
        benchmark: Name of the benchmark.
        phase: Name of the phase.
        ours: Repetitions of ours.
        floor: Repetitions of the floor; empty when it has none.
        others: Repetitions of what is measured beside them, by name; only its rows must be the same.
    """

    benchmark: str
    phase: str
    ours: list[Phase] = field(default_factory=list)
    floor: list[Phase] = field(default_factory=list)
    others: dict[str, list[Phase]] = field(default_factory=dict)

    def ratio(self, what: str) -> float | None:
        """Ours over the floor's, medians of ``wall``, ``cpu`` or ``peak_mb``; None without a floor."""
        below = medians(self.floor)[what] if self.floor else 0.0
        return medians(self.ours)[what] / below if below else None

    def as_json(self) -> dict[str, object]:
        """For programs."""
        return {
            "benchmark": self.benchmark,
            "phase": self.phase,
            "rows": self.ours[0].rows,
            "repetitions": len(self.ours),
            "requests": self.ours[0].requests,
            "least_requests": self.ours[0].least if self.ours[0].requests is not None else None,
            "ours": medians(self.ours),
            "floor": medians(self.floor) if self.floor else None,
            "others": {name: medians(phases) for name, phases in self.others.items()},
            "wall_ratio": self.ratio("wall"),
            "cpu_ratio": self.ratio("cpu"),
            "memory_ratio": self.ratio("peak_mb"),
        }


def medians(phases: Sequence[Phase]) -> dict[str, float]:
    """The median of each cost, and of the rows a second by the clock."""
    costs = ("wall", "cpu", "peak_mb", "grown_mb", "vendor_cpu")
    found = {name: median(getattr(phase, name) for phase in phases) for name in costs}
    return {**found, "rows_per_second": median(phase.rows / phase.wall for phase in phases)}


def compare(
    benchmark: str, ours: Side, floor: Side | None, *, repeat: int, others: Mapping[str, Side] | None = None
) -> list[Comparison]:
    """Run ours and the floor in turn; which goes first changes, so that neither always finds the machine warm.

    Others are run once, after them.

    Raises:
        DifferentResultsError: A phase came to another result on the other side.
    """
    comparisons: dict[str, Comparison] = {}
    for turn in range(repeat):
        sides = [("ours", ours), *([("floor", floor)] if floor else [])]
        for name, side in sides if turn % 2 == 0 else reversed(sides):
            for phase_name, phase in _run(side).phases.items():
                comparison = comparisons.setdefault(phase_name, Comparison(benchmark, phase_name))
                getattr(comparison, name).append(phase)
    for name, side in (others or {}).items():
        for phase_name, phase in _run(side).phases.items():
            comparisons[phase_name].others[name] = [phase]
    for comparison in comparisons.values():
        _check_same(comparison)
    return sorted(comparisons.values(), key=lambda one: not one.ours)


def _run(side: Side) -> Meter:
    meter = Meter()
    with TemporaryDirectory(prefix="millstream-bench-") as folder:
        side(Path(folder), meter)
    return meter


def _check_same(comparison: Comparison) -> None:
    first, *others = [*comparison.ours, *comparison.floor]
    for other in others:
        if (other.rows, other.result) != (first.rows, first.result):
            raise DifferentResultsError(
                f"{comparison.benchmark}, {comparison.phase}: {first.rows} rows with result {first.result!r} "
                f"stand against {other.rows} with {other.result!r}."
            )
    for name, phases in comparison.others.items():
        if phases[0].rows != first.rows:
            raise DifferentResultsError(
                f"{comparison.benchmark}, {comparison.phase}: {first.rows} rows against {phases[0].rows} of {name}."
            )


def _start_memory() -> float:
    """Give back what is not needed, set the kernel's high-water mark back, and tell the resident megabytes."""
    gc.collect()
    pa.default_memory_pool().release_unused()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # Linux: VmHWM starts anew
    return _status("VmRSS:") or _peak_memory()


def _peak_memory() -> float:
    """Megabytes; where the kernel does not say, the largest since the process began, which only rises."""
    found = _status("VmHWM:")
    if found is not None:
        return found
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return highest / (_MEGABYTE if sys.platform == "darwin" else 1024)


def _status(name: str) -> float | None:
    if not _STATUS.exists():
        return None
    line = next((line for line in _STATUS.read_text().splitlines() if line.startswith(name)), None)
    return float(line.split()[1]) / 1024 if line else None
