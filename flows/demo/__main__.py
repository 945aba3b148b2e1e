"""The demo (``make demo``): everything on this machine, from made-up vendors to a scheduled pipeline in Prefect.

    sandbox ──► sources ──► who is who ──► traits ──► audiences ──► destinations, which are the sandbox again
       └─ started here       └─ run by a Prefect server and a worker, started here

It needs no account and no network; all state is in ``.demo/``.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from millstream.flows.demo.following import page_of, run_pipeline
from millstream.flows.demo.local_prefect import LocalPrefect, free_port
from millstream.flows.demo.project import CREDENTIALS, MARK, emptied_folder, write_environment, write_project_file
from millstream.flows.demo.summary import print_summary
from millstream.state.errors import ConfigurationError, MillstreamError

if TYPE_CHECKING:
    from millstream.sandbox import Sandbox

_SANDBOX_PORT = 8790
_PREFECT_PORT = 4200
_INTERRUPTED = 130  # as shells count a Ctrl-C


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo.

    Returns:
        Exit code: 0, 1 when the run failed, 2 when the demo cannot start, 130 when it was interrupted before its end.
    """
    options = _parser().parse_args(arguments)
    console = Console(highlight=False)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _demo(options, console)
    except KeyboardInterrupt:
        console.print("\nStopped.")
        return _INTERRUPTED
    except MillstreamError as error:
        Console(stderr=True, highlight=False).print(f"[red]The demo cannot go on:[/] {error}", soft_wrap=True)
        return 2 if isinstance(error, ConfigurationError) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m millstream.flows.demo", description=__doc__.split("\n")[0])
    parser.add_argument("--people", type=int, default=5000, help="size of the made-up company (5000)")
    parser.add_argument("--folder", type=Path, default=Path(".demo"), help="where everything is kept (.demo)")
    parser.add_argument("--keep", action="store_true", help="keep what the last demo left in the folder")
    return parser


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _demo(options: argparse.Namespace, console: Console) -> int:
    from millstream.sandbox import Sandbox

    folder = emptied_folder(options.folder, keep=options.keep)
    with Sandbox(people=options.people, port=free_port(_SANDBOX_PORT)) as sandbox:
        console.print(f"Sandbox with {options.people:,} made-up people: {sandbox.url}")
        project_file = write_project_file(folder, sandbox.url)
        environment = {**CREDENTIALS, "MILLSTREAM_PROJECT": str(project_file)}
        write_environment(folder / MARK, environment)
        prefect = LocalPrefect(folder / "prefect", port=free_port(_PREFECT_PORT))
        with ExitStack() as running:
            with console.status("Starting a Prefect server (some 20 seconds)"):
                running.enter_context(prefect)
            running.callback(_finish_undisturbed)
            # Prefect reads these when it is imported, which nothing here did so far.
            os.environ.update({**prefect.settings, **environment})
            console.print(f"Prefect: {prefect.ui_url}")
            run = run_pipeline(prefect, project_file, console)
            worked = print_summary(console, run, page=page_of(prefect, run.id))
            _write_report(project_file, console)
            _say_what_next(console, folder, sandbox)
            if sys.stdin.isatty() and sys.stdout.isatty():
                _stay_up(console)
    return 0 if worked else 1


def _finish_undisturbed() -> None:
    """A second Ctrl-C must not stop the stopping, and leave processes behind."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _stay_up(console: Console) -> None:
    console.print("\nThe sandbox and Prefect stay up until you press Ctrl-C.")
    try:
        signal.pause()
    except KeyboardInterrupt:
        console.print("\nStopping.")


def _write_report(project_file: Path, console: Console) -> None:
    """The page for people who work with customers; without its extra the demo says so, and is whole."""
    from millstream.flows.project import load_project
    from millstream.flows.report import report_run
    from millstream.flows.steps import Workspace

    try:
        with console.status("Writing the report"):
            written = report_run(Workspace.open(load_project(project_file)))
    except MillstreamError as error:
        console.print(f"There is no report: {error}", soft_wrap=True)
        return
    console.print(f"Open the report: {written.path}", soft_wrap=True)


def _say_what_next(console: Console, folder: Path, sandbox: Sandbox) -> None:
    console.print("\n[bold]Try next[/], in another terminal while this one is up:\n")
    advance = f'curl -X POST {sandbox.url}/_sandbox/advance -d \'{{"share": 0.01, "seed": 1}}\''
    for command, meaning in (
        (f". {shlex.quote(str(folder / MARK))}", "the demo's project and its made-up credentials"),
        ("millstream status", "what is known, and how old it is"),
        ("millstream traits", "what is computed of everybody, and for how many"),
        ("millstream measure", "key figures by day, who comes back, ways to a goal"),
        (advance, "a day goes by: some people change"),
        ("millstream run", "pull what is new, send only what changed"),
        ("millstream rejected", "rows that no destination took, and why"),
    ):
        console.print(f"  {command}", style="bold", soft_wrap=True)
        console.print(f"      {meaning}", style="dim")


if __name__ == "__main__":
    sys.exit(main())
