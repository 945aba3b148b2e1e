"""The demo (``make demo``): everything on this machine, from made-up vendors to a scheduled pipeline in Prefect.

    sandbox ──► sources ──► who is who ──► traits ──► audiences ──► destinations, which are the sandbox again
       └─ started here       └─ run by a Prefect server and a worker, started here

It needs no account and no network; all state is in ``.demo/``.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import os
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from millstream.flows.demo_summary import print_summary
from millstream.flows.local_prefect import LocalPrefect, free_port
from millstream.state.errors import ConfigurationError, MillstreamError

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun, Log

    from millstream.sandbox import Sandbox

SANDBOX_URL = "http://127.0.0.1:8790"
"""Where the demo's project file looks for the sandbox."""

CREDENTIALS = {
    "HUBSPOT_ACCESS_TOKEN": "pat-sandbox-hubspot",
    "GA4_CLIENT_SECRET": "sandbox-secret",
    "GA4_REFRESH_TOKEN": "sandbox-refresh",
    "SURVEYMONKEY_ACCESS_TOKEN": "sandbox-surveymonkey",
    "MAILCHIMP_API_KEY": "sandbox-mailchimp-us1",
}
"""Made-up credentials under the names that the project file refers to; they open nothing but the sandbox."""

_SANDBOX_PORT = 8790
_PREFECT_PORT = 4200
_LONGEST_RUN_SECONDS = 1800
_LOGS_ARRIVE_SECONDS = 3.0  # a run sends its logs in batches, the last one when it ends
_INTERRUPTED = 130  # as shells count a Ctrl-C
_MARK = "environment"  # a folder with this file was made by a demo, and may be emptied by the next


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

    folder = _folder(options.folder, keep=options.keep)
    with Sandbox(people=options.people, port=free_port(_SANDBOX_PORT)) as sandbox:
        console.print(f"Sandbox with {options.people:,} made-up people: {sandbox.url}")
        project_file = _project_file(folder, sandbox.url)
        environment = {**CREDENTIALS, "MILLSTREAM_PROJECT": str(project_file)}
        _write_environment(folder / _MARK, environment)
        prefect = LocalPrefect(folder / "prefect", port=free_port(_PREFECT_PORT))
        with ExitStack() as running:
            with console.status("Starting a Prefect server (some 20 seconds)"):
                running.enter_context(prefect)
            running.callback(_finish_undisturbed)
            # Prefect reads these when it is imported, which nothing here did so far.
            os.environ.update({**prefect.settings, **environment})
            console.print(f"Prefect: {prefect.ui_url}")
            run = _run_pipeline(prefect, project_file, console)
            worked = print_summary(console, run, page=_page(prefect, run.id))
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


def _folder(folder: Path, *, keep: bool) -> Path:
    """The demo's folder, emptied unless it is to be kept.

    Raises:
        ConfigurationError: The folder has something in it that no demo put there.
    """
    folder = folder.resolve()
    if folder.exists() and not keep:
        if any(folder.iterdir()) and not (folder / _MARK).exists():
            raise ConfigurationError(
                f"{folder} is not empty and no demo made it.", remedy="name another one with --folder."
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _project_file(folder: Path, sandbox_url: str) -> Path:
    """The project of `millstream init --sandbox`, pointed at the port that the sandbox got."""
    from millstream.flows.project.template import project_text, write_project

    path = folder / "millstream.yaml"
    if not path.exists():
        list(write_project(folder, sandbox=True))
    path.write_text(project_text(sandbox=True).replace(SANDBOX_URL, sandbox_url), encoding="utf-8")
    return path


def _write_environment(path: Path, environment: dict[str, str]) -> None:
    """A file to source in another terminal, so that `millstream` there works on the demo's project."""
    commands = Path(sys.executable).parent
    lines = [f"export PATH={shlex.quote(str(commands))}:$PATH"]
    lines += ["# The sandbox's made-up credentials: they open nothing but the sandbox."]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _run_pipeline(prefect: LocalPrefect, project_file: Path, console: Console) -> FlowRun:
    """Deploy the project, and have a worker run the pipeline as a schedule would."""
    from prefect.client.orchestration import get_client

    from millstream.flows.deploy import deploy_project
    from millstream.flows.deployments import WORK_POOL
    from millstream.flows.project import load_project

    project = load_project(project_file)
    with console.status("Deploying the project's flows"):
        report = deploy_project(project, folder=project_file.parent)
    console.print(f"{len(report.deployments)} deployments, from {project_file}")
    prefect.start_worker(WORK_POOL, folder=project_file.parent)
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name(f"pipeline/{project.name}")
        run = client.create_flow_run_from_deployment(deployment.id)
        console.print(f"The pipeline runs in a worker: {_page(prefect, run.id)}\n", soft_wrap=True)
        with console.status("The worker is at it"):
            return _follow(client, run.id, lambda line: console.print(line, soft_wrap=True, markup=False))


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


def _page(prefect: LocalPrefect, run_id: UUID) -> str:
    return f"{prefect.ui_url}/runs/flow-run/{run_id}"


def _follow(client: SyncPrefectClient, run_id: UUID, say: Callable[[str], None]) -> FlowRun:
    """Say what a run logs until it ends.

    Raises:
        MillstreamError: It did not end within half an hour.
    """
    told: set[UUID] = set()
    deadline = time.monotonic() + _LONGEST_RUN_SECONDS
    while True:
        run = client.read_flow_run(run_id)
        ended = bool(run.state and run.state.is_final())
        if ended:
            time.sleep(_LOGS_ARRIVE_SECONDS)
        for log in _logs(client, run_id):
            by_a_step = log.name == "prefect.task_runs" and not log.message.startswith("Finished in state")
            if log.id not in told and (by_a_step or log.level >= logging.ERROR):
                say(f"{log.timestamp:%H:%M:%S}  {log.message}")
            told.add(log.id)
        if ended:
            return run
        if time.monotonic() > deadline:
            raise MillstreamError("The run did not end in time.", remedy="look at it in Prefect's UI.")
        time.sleep(0.5)


def _logs(client: SyncPrefectClient, run_id: UUID) -> Iterator[Log]:
    """All logs of a run so far. Tasks send theirs apart from each other, so a later one may come first."""
    from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
    from prefect.client.schemas.sorting import LogSort

    ours, page = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run_id])), 200
    for offset in itertools.count(0, page):
        logs = client.read_logs(ours, offset=offset, limit=page, sort=LogSort.TIMESTAMP_ASC)
        yield from logs
        if len(logs) < page:
            return


def _say_what_next(console: Console, folder: Path, sandbox: Sandbox) -> None:
    console.print("\n[bold]Try next[/], in another terminal while this one is up:\n")
    advance = f'curl -X POST {sandbox.url}/_sandbox/advance -d \'{{"share": 0.01, "seed": 1}}\''
    for command, meaning in (
        (f". {shlex.quote(str(folder / _MARK))}", "the demo's project and its made-up credentials"),
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
