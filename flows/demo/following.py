"""Runs the demo's pipeline in a worker, as a schedule would, and says what it logs until it ends."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from millstream.flows.demo.local_prefect import LocalPrefect
from millstream.state.errors import MillstreamError

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun, Log


_LONGEST_RUN_SECONDS = 1800
_LOGS_ARRIVE_SECONDS = 3.0  # a run sends its logs in batches, the last one when it ends


def run_pipeline(prefect: LocalPrefect, project_file: Path, console: Console) -> FlowRun:
    """Deploy the project, and have a worker run the pipeline as a schedule would."""
    from prefect.client.orchestration import get_client

    from millstream.flows.deploying.deployments import WORK_POOL
    from millstream.flows.deploying.registering import deploy_project
    from millstream.flows.project import load_project

    project = load_project(project_file)
    with console.status("Deploying the project's flows"):
        report = deploy_project(project, folder=project_file.parent)
    console.print(f"{len(report.deployments)} deployments, from {project_file}")
    prefect.start_worker(WORK_POOL, folder=project_file.parent)
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name(f"pipeline/{project.name}")
        # At the full hour the schedule would start one of its own, and only one runs at a time.
        client.pause_deployment(deployment.id)
        try:
            run = client.create_flow_run_from_deployment(deployment.id)
            console.print(f"The pipeline runs in a worker: {page_of(prefect, run.id)}\n", soft_wrap=True)
            with console.status("The worker is at it"):
                return _follow(client, run.id, lambda line: console.print(line, soft_wrap=True, markup=False))
        finally:
            client.resume_deployment(deployment.id)


def page_of(prefect: LocalPrefect, run_id: UUID) -> str:
    """Where a run is looked at."""
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
