"""A process with everything imported that forks a ``millstream`` for each line it reads: starting one costs little.

    python -m tests.chaos.prepared

A line is JSON: the command's arguments, the file that its output goes to, and secrets for its environment. The answers
are the process id, and the status with which it ended. Batches are small and waits short, so that a run has many
moments to die in.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from importlib.metadata import EntryPoint
from typing import Any, NoReturn

from typer import Typer

from millstream.destinations.contract import Destination
from millstream.destinations.http import Http
from millstream.destinations.mailchimp import Mailchimp
from millstream.destinations.registry import DESTINATIONS, AnyDestination
from millstream.destinations.sending import jobs
from millstream.destinations.stopping import sleep_unless_stopped
from millstream.flows.cli.application import declare_commands
from millstream.state.http import RateLimit, Retries, session
from millstream.state.ledger import journal
from tests.chaos.once import Once

LATE = (
    "alembic.migration",
    "duckdb",
    "millstream.destinations.delivery",
    "millstream.destinations.stopping",
    "millstream.flows.cli.engines",
    "millstream.flows.cli.views.outcomes",
    "millstream.flows.project",
    "millstream.state.ledger.budgets",
    "millstream.sources.hubspot",
    "millstream.sources.mailchimp",
    "millstream.state.ledger.journal",
    "millstream.state.ledger.migrations",
    "pyarrow.compute",
    "pyarrow.dataset",
    "pyarrow.parquet",
    "rich.console",
    "sqlalchemy.dialects.sqlite.pysqlite",
    "sqlite3",
)
"""What a run imports when it comes to it."""

_OPEN_HTTP = Destination.open_http
HASTY = Retries(attempts=4, first_wait=0.01, longest_wait=0.05)


def make_small() -> None:
    """Small batches, short waits, and the destination that must not send twice."""
    for name in DESTINATIONS.names():
        _make_small(DESTINATIONS.load(name))
    Mailchimp.batch_size, Mailchimp.membership_batch_size = 4, 6
    Mailchimp.job_from, Mailchimp.job_size = 6, 5
    jobs.FIRST_WAIT = 0.02
    journal.LEASE = 3.0
    Destination.open_http = _at_any_pace  # type: ignore[assignment,method-assign]
    session.Retries = lambda: HASTY  # type: ignore[assignment,misc]
    where = EntryPoint("once", f"{Once.__module__}:{Once.__name__}", DESTINATIONS.group)
    DESTINATIONS._offers["once"] = [where]


def _make_small(connector: type[AnyDestination]) -> None:
    connector.batch_size = min(connector.batch_size, 5)
    connector.membership_batch_size = min(connector.membership_batch_size, 7)
    connector.job_from, connector.job_size = 3, 5
    module = sys.modules[connector.__module__]
    for name in [name for name in sys.modules if name.startswith(f"{module.__package__}.")]:
        if "sleep_unless_stopped" in vars(sys.modules[name]):
            vars(sys.modules[name])["sleep_unless_stopped"] = _sleep_a_little


def _sleep_a_little(seconds: float) -> None:
    sleep_unless_stopped(min(seconds, 0.05))


def _at_any_pace(connector: AnyDestination, part: str, *, limit: RateLimit, **facts: Any) -> Http:
    """HTTP that keeps no pace of its own: the sandbox sets no limits."""
    unlimited = RateLimit(requests=100_000, seconds=1.0, concurrency=limit.concurrency)
    return _OPEN_HTTP(connector, part, limit=unlimited, **facts)


def _run_and_exit(application: Typer, arguments: list[str]) -> NoReturn:
    """As the command does, but for what libraries tidy up at the end: they do not know that they were forked."""
    code = 1
    try:
        application(arguments)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _answer(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def main() -> None:
    """Fork a run for each line, and say how it ended."""
    make_small()
    for module in LATE:
        importlib.import_module(module)
    application = declare_commands()
    for line in sys.stdin:
        order = json.loads(line)
        output = os.open(order["output"], os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        pid = os.fork()
        if pid == 0:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.environ.update(order["secrets"])
            _run_and_exit(application, order["args"])
        os.close(output)
        _answer(pid)
        _answer(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


if __name__ == "__main__":
    main()
