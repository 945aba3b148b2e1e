"""``python -m benchmarks``: measure, and print a table or JSON."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace

import orjson
from rich.console import Console

from benchmarks.measuring import Comparison, without_pandas
from benchmarks.report import Options, header, show
from benchmarks.vendor import Vendor

BENCHMARKS = ("ingest", "identity", "delivery")
_WARM_UP = Options(people=60, identifiers=1000, repeat=1)


def measure(options: Options, wanted: Sequence[str]) -> list[Comparison]:
    """Run the wanted benchmarks; what the others import is not in memory meanwhile."""
    found: list[Comparison] = []
    if "ingest" in wanted or "delivery" in wanted:
        with Vendor(people=options.people, latency_ms=options.latency_ms) as vendor:
            if "ingest" in wanted:
                from benchmarks import ingest

                found += ingest.run(vendor, repeat=options.repeat)
            if "delivery" in wanted:
                from benchmarks import delivery

                found += delivery.run(vendor, people=options.people, repeat=options.repeat, alone=options.alone)
    if "identity" in wanted:
        from benchmarks import identity

        found += identity.run(identifiers=options.identifiers, repeat=options.repeat)
    return sorted(found, key=lambda one: BENCHMARKS.index(one.benchmark.partition(",")[0]))


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the options, measure and print."""
    given = _parser().parse_args(arguments)
    wanted = given.only or BENCHMARKS
    identifiers = given.identifiers if given.identifiers is not None else 10 * given.people
    options = Options(given.people, identifiers, given.latency_ms, given.repeat, given.alone)
    facts = header(options)
    with Console(stderr=True).status(f"measuring {', '.join(wanted)}"):
        # Once with next to nothing, so that imports and first uses are not counted.
        measure(replace(_WARM_UP, alone=options.alone), wanted)
        comparisons = measure(options, wanted)
    if given.json:
        results = [comparison.as_json() for comparison in comparisons]
        print(orjson.dumps({**facts, "results": results}, option=orjson.OPT_INDENT_2).decode())
    else:
        show(facts, comparisons)


def _parser() -> argparse.ArgumentParser:
    defaults = Options()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure ingest, identity and delivery, each beside a bare floor, against the sandbox.",
    )
    parser.add_argument("only", nargs="*", type=_benchmark, metavar="benchmark", help=", ".join(BENCHMARKS))
    parser.add_argument("--people", type=_positive, default=defaults.people, help="people pulled, and people delivered")
    parser.add_argument("--identifiers", type=_positive, help="identifier rows resolved (10 for each of --people)")
    parser.add_argument("--latency-ms", type=float, default=0, help="hold every answer of the sandbox back for so long")
    parser.add_argument("--repeat", type=_positive, default=defaults.repeat, help="repetitions (%(default)s)")
    parser.add_argument("--alone", action="store_true", help="delivery without the floor, for the memory it takes")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    return parser


def _benchmark(name: str) -> str:
    if name not in BENCHMARKS:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(BENCHMARKS)}")
    return name


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


if __name__ == "__main__":
    without_pandas()
    main()
