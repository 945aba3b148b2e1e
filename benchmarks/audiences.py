"""Audiences: fifty of all kinds, in full and after a day, beside one DuckDB query that was written by hand for them."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
from rich.console import Console

from benchmarks import audiences_floor as floor
from benchmarks.audiences_people import FIRST_DAY, NEXT_DAY, add_a_day, make_people
from benchmarks.audiences_rules import audiences
from benchmarks.measuring import Comparison, DifferentResultsError, Meter, Phase
from benchmarks.report import Options, header, show
from millstream.state.audiences import select_audiences
from millstream.state.audiences.overlap import overlap
from millstream.state.store import Connection, DuckDBStore

FULL, DAY, OVERLAP = "full", "1 % new events", "overlap of all pairs"
SIDES = ("ours", "floor")


@dataclass(frozen=True)
class Size:
    """How much there is to do.

    Attributes:
        people: Profiles.
        events: What they did.
    """

    people: int
    events: int


@dataclass(frozen=True)
class Plan:
    """What is measured.

    Attributes:
        size: How much there is to do.
        repeat: Repetitions; medians are quoted.
        memory: Whether each side is run once more in a process of its own, for its peak memory.
    """

    size: Size
    repeat: int
    memory: bool


def measure(plan: Plan) -> list[Comparison]:
    """Make a store, run both sides on it by turns in this process, then each alone for its memory."""
    found = {name: Comparison("audiences", name) for name in (FULL, DAY, OVERLAP)}
    with TemporaryDirectory(prefix="millstream-bench-") as folder:
        first = Path(folder) / "first.duckdb"
        _apart("make", first, plan.size)
        for turn in range(plan.repeat):
            store = DuckDBStore(Path(shutil.copy(first, Path(folder) / "store.duckdb")))
            sides = {name: Meter() for name in SIDES}
            run_sides(store, plan.size, dict(sides if turn % 2 == 0 else reversed(list(sides.items()))))
            for name, meter in sides.items():
                for phase, measured in meter.phases.items():
                    getattr(found[phase], name).append(measured)
        for name in SIDES if plan.memory else ():
            path = Path(shutil.copy(first, Path(folder) / f"{name}.duckdb"))
            for phase, megabytes in _apart(name, path, plan.size).items():
                for measured in getattr(found[phase], name):
                    measured.peak_mb, measured.grown_mb = megabytes["peak_mb"], megabytes["grown_mb"]
            path.unlink()
    return list(found.values())


def run_sides(store: DuckDBStore, size: Size, sides: Mapping[str, Meter]) -> None:
    """Both phases, by each of the sides in this order and then in the other."""
    for name, meter in sides.items():
        _phase(store, meter, FULL, _FULL[name])
    _check_same(store, sides)
    with store.open() as connection:
        add_a_day(connection, people=size.people, events=size.events)
    for name, meter in reversed(list(sides.items())):
        _phase(store, meter, DAY, _DAY[name])
    _check_same(store, sides)
    if "ours" in sides:
        _phase(store, sides["ours"], OVERLAP, _overlap)


def _phase(store: DuckDBStore, meter: Meter, name: str, work: Callable[[Connection], object]) -> None:
    _warm(store.path)
    with meter.phase(name) as phase, store.transaction() as connection:
        work(connection)
    with store.open() as connection:
        row = connection.execute("SELECT count(*) FROM customers.events").fetchone()
    phase.rows = int(row[0]) if row else 0


def _warm(path: Path) -> None:
    """Let the system have the file in memory, so that nobody pays for having come first."""
    with path.open("rb") as file:
        while file.read(1 << 24):
            pass


def _ours(run_id: str) -> Callable[[Connection], object]:
    as_of = FIRST_DAY if run_id == "first" else NEXT_DAY
    return lambda connection: select_audiences(connection, audiences(), run_id=run_id, as_of=as_of)


_FULL: Mapping[str, Callable[[Connection], object]] = {
    "ours": _ours("first"),
    "floor": lambda connection: floor.build(connection, list(audiences()), run_id="first", as_of=FIRST_DAY),
}
_DAY: Mapping[str, Callable[[Connection], object]] = {
    "ours": _ours("second"),
    "floor": lambda connection: floor.update(connection, list(audiences()), run_id="second", as_of=NEXT_DAY),
}


def _overlap(connection: Connection) -> object:
    return overlap(connection, list(audiences()))


def _check_same(store: DuckDBStore, sides: Mapping[str, Meter]) -> None:
    """Row by row: who is in which audience since when they were let in, and who was and is no more.

    Raises:
        DifferentResultsError: They differ.
    """
    if len(sides) < len(SIDES):
        return
    ours = "SELECT audience, profile_id, left_at IS NULL, left_at, left_run FROM customers.memberships"
    theirs = (
        "SELECT audience, profile_id, isinf(left_at), CASE WHEN NOT isinf(left_at) THEN left_at END, left_run "
        "FROM by_hand.memberships"
    )
    with store.open() as connection:
        for one, other in ((ours, theirs), (theirs, ours)):
            different = connection.execute(f"({one}) EXCEPT ALL ({other}) LIMIT 3").fetchall()
            if different:
                raise DifferentResultsError(f"audiences: these stand on one side only: {different}")


def _apart(what: str, path: Path, size: Size) -> dict[str, dict[str, float]]:
    """Do something in a process of its own: make the store, or run one side."""
    command = [sys.executable, "-m", "benchmarks.audiences", "--apart", what, str(path)]
    command += ["--people", str(size.people), "--events", str(size.events)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, dict[str, float]] = orjson.loads(done.stdout)
    return found


def _do_apart(what: str, path: Path, size: Size) -> dict[str, dict[str, float]]:
    store = DuckDBStore(path)
    if what == "make":
        with store.open() as connection:
            make_people(connection, people=size.people, events=size.events)
        return {}
    meter = Meter()
    run_sides(store, size, {what: meter})
    return {name: _megabytes(phase) for name, phase in meter.phases.items()}


def _megabytes(phase: Phase) -> dict[str, float]:
    return {"peak_mb": phase.peak_mb, "grown_mb": phase.grown_mb}


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the options, measure and print."""
    given = _parser().parse_args(arguments)
    size = Size(given.people, given.events if given.events is not None else 20 * given.people)
    if given.apart:
        print(orjson.dumps(_do_apart(given.apart[0], Path(given.apart[1]), size)).decode())
        return
    plan = Plan(size, given.repeat, memory=not given.no_memory)
    facts = header(Options(people=size.people, identifiers=0, repeat=plan.repeat))
    facts["options"] = {**asdict(size), "audiences": len(audiences()), "repeat": plan.repeat}
    with Console(stderr=True).status("measuring audiences"):
        # Once with little, so that imports and first uses are not counted.
        measure(Plan(Size(500, 5_000), 1, memory=False))
        comparisons = measure(plan)
    if given.json:
        results = [comparison.as_json() for comparison in comparisons]
        print(orjson.dumps({**facts, "results": results}, option=orjson.OPT_INDENT_2).decode())
    else:
        show(facts, comparisons)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.audiences",
        description="Measure fifty audiences, in full and after a day, beside one query written by hand for them.",
    )
    parser.add_argument("--people", type=int, default=100_000, help="profiles (%(default)s)")
    parser.add_argument("--events", type=int, help="events (20 for each of --people)")
    parser.add_argument("--repeat", type=int, default=1, help="repetitions (%(default)s)")
    parser.add_argument("--no-memory", action="store_true", help="leave out the runs that measure memory")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    parser.add_argument("--apart", nargs=2, metavar=("WHAT", "FILE"), help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    main()
