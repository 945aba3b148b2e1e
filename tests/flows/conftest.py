"""One Prefect server for all tests of a session, and projects wired to a sandbox."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from millstream.flows.demo.local_prefect import LocalPrefect
from millstream.flows.demo.project import SANDBOX_URL
from millstream.flows.project import load_project
from millstream.flows.project.template import project_text
from millstream.flows.steps import Workspace
from millstream.sandbox import Sandbox
from millstream.state.store import Store
from tests.engines import Engine

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun


def write_project(folder: Path, *, url: str = SANDBOX_URL) -> Path:
    """The project of ``millstream init --sandbox``, under the name shop, against a sandbox at ``url``.

    Its schedules come due once a year, so that no run starts by itself in the middle of a test.
    """
    text = project_text(sandbox=True)
    for old, new in (
        (SANDBOX_URL, url),
        ("name: demo", "name: shop"),
        ('"0 * * * *"', '"0 0 1 1 *"'),
        ('"30 3 * * *"', '"30 3 1 1 *"'),
        ("parameters: {source: surveymonkey}", "parameters: {source: surveymonkey, full: true}"),
    ):
        assert old in text
        text = text.replace(old, new)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "millstream.yaml"
    path.write_text(text, encoding="utf-8")
    return path


Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a project file into the current folder."""
    monkeypatch.chdir(tmp_path)

    def written(text: str) -> Path:
        path = tmp_path / "millstream.yaml"
        path.write_text(f"name: shop\n{text.lstrip()}", encoding="utf-8")
        return path

    return written


@contextmanager
def own_store(engine: Engine, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store in a folder, which the projects of the test work with."""
    with engine.store(folder) as made:
        monkeypatch.setenv("MILLSTREAM_STORE", getattr(made, "url", None) or f"duckdb:///{folder / 'store.duckdb'}")
        yield made


@pytest.fixture
def workspace(store: Store) -> Iterator[Workspace]:
    """The project of the current folder, on a store that the test's own fixture has filled."""
    made = Workspace.open(load_project())
    yield made
    made.journal.close()


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPrefect]:
    """A real server in a home of its own; this process's Prefect client talks to it."""
    server = LocalPrefect(tmp_path_factory.mktemp("prefect"))
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("PREFECT_")]:
            patch.delenv(name)
        for name, value in server.settings.items():
            patch.setenv(name, value)
        from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

        stack.enter_context(server)
        stack.enter_context(temporary_settings({PREFECT_API_URL: server.api_url, PREFECT_HOME: server.home}))
        yield server


@pytest.fixture(scope="module")
def company() -> Iterator[Sandbox]:
    """A small company whose systems answer slowly enough for runs to overlap."""
    with Sandbox(people=300, limits=False, latency_ms=150) as sandbox:
        yield sandbox


def start(deployment: str, *, env: dict[str, str] | None = None, **parameters: object) -> UUID:
    """Ask the worker for a run of a deployment."""
    from prefect.client.orchestration import get_client

    job = {"env": {"MILLSTREAM_PROJECT": "millstream.yaml", **env}} if env else None
    with get_client(sync_client=True) as client:
        found = client.read_deployment_by_name(deployment)
        return client.create_flow_run_from_deployment(found.id, parameters=parameters, job_variables=job).id


def end(run_id: UUID) -> FlowRun:
    """The run, once it is over."""
    from prefect.client.orchestration import get_client

    deadline = time.monotonic() + 400
    with get_client(sync_client=True) as client:
        while not (run := client.read_flow_run(run_id)).state.is_final():
            assert time.monotonic() < deadline, f"{run.name} does not end: {run.state}"
            time.sleep(0.5)
    return run
