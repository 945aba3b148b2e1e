"""``python -m benchmarks.identity_truth``: how well identity agrees with the sandbox's truth about who is who.

Precision is the share of the record pairs in one profile that are one person's; recall the share of the pairs which the
systems themselves can link that came to be in one profile. The sandbox's hot values (the till's phone number on many
contacts, the shop's mailbox on many answers) are among the identifiers, and the rules are the shipped ones.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from millstream.flows import steps
from tests.end_to_end.identity import agreement
from tests.end_to_end.world import World, demo_world

_PEOPLE = (500, 2_000, 10_000)
_COLUMNS = ("people", "records", "profiles", "precision", "recall", "blocked", "shared", "refused", "resolve s")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure each company and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.identity_truth", description=__doc__)
    parser.add_argument("--people", type=int, nargs="+", default=_PEOPLE, help="sizes of the sandbox's companies")
    parser.add_argument("--seed", type=int, default=7, help="another seed is another company")
    given = parser.parse_args(arguments)
    table = Table(caption="blocked, shared, refused: identifier values that join nobody, some, or not everybody.")
    for title in _COLUMNS:
        table.add_column(title, justify="right")
    for people in given.people:
        with TemporaryDirectory(prefix="millstream-truth-") as folder:
            table.add_row(*measure(Path(folder), people, given.seed))
    Console(width=None if sys.stdout.isatty() else 110).print(table)


def measure(folder: Path, people: int, seed: int) -> list[str]:
    """Pull and resolve a whole company, and compare: a row of the table."""
    with demo_world(folder, people=people, seed=seed) as world:
        seconds = _resolve(world)
        truth = world.truth()
        precision, recall = agreement(world, truth)
        records, profiles, *values = (
            f"{world.sql(f'SELECT {count}')[0][0]:,}"
            for count in (
                "count(*) FROM customers.members",
                "count(DISTINCT profile_id) FROM customers.members",
                "count(*) FROM customers.blocked_values",
                "count(*) FROM customers.shared_values",
                "count(*) FROM customers.refused_joins",
            )
        )
    return [f"{len(truth):,}", records, profiles, f"{precision:.4f}", f"{recall:.4f}", *values, f"{seconds:.1f}"]


def _resolve(world: World) -> float:
    """Pull everything and find out who is who; the seconds the latter took."""
    workspace = world.open()
    try:
        for source in workspace.project.sources:
            report = steps.ingest(workspace, source)
            assert report.ok, report
        started = time.perf_counter()
        steps.resolve(workspace, run_id="truth")
        return time.perf_counter() - started
    finally:
        workspace.journal.close()


if __name__ == "__main__":
    main()
