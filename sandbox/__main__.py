"""Run a sandbox: `python -m millstream.sandbox --people 5000`."""

from __future__ import annotations

import argparse
import logging
from datetime import date
from pathlib import Path

from millstream.sandbox.server import serve
from millstream.sandbox.system import SandboxOptions


def main(arguments: list[str] | None = None) -> None:
    """Read the options and serve until interrupted."""
    defaults = SandboxOptions()
    parser = argparse.ArgumentParser(
        prog="python -m millstream.sandbox",
        description="Serve stand-ins for the vendors' APIs over one made-up company, on the loopback interface.",
    )
    parser.add_argument("--people", type=int, default=defaults.people, help="size of the company (%(default)s)")
    parser.add_argument("--seed", type=int, default=defaults.seed, help="another seed is another company")
    parser.add_argument("--port", type=int, default=defaults.port, help="port; 0 takes a free one (%(default)s)")
    parser.add_argument("--today", type=date.fromisoformat, help="the company's present, YYYY-MM-DD (today)")
    parser.add_argument("--truth", type=Path, metavar="FILE", help="write who is who to this file at start")
    parser.add_argument("--no-limits", action="store_true", help="do not enforce the vendors' rate limits")
    parser.add_argument("--latency-ms", type=float, default=0, help="hold every answer back for so long")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    serve(
        SandboxOptions(
            people=given.people,
            seed=given.seed,
            today=given.today,
            port=given.port,
            limits=not given.no_limits,
            latency_ms=given.latency_ms,
            truth=given.truth,
        )
    )


if __name__ == "__main__":
    main()
