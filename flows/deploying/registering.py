"""``millstream deploy``: the project's flows as Prefect deployments, with their schedules.

``prefect.yaml`` is written from the project file, beside it, and registered by Prefect's own ``prefect deploy``. A
project inside a checkout of Millstream has it at the checkout's root, where ``prefect deploy --all`` is typed.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from millstream.flows.deploying.choices import DEPLOYMENTS_FILE
from millstream.flows.deploying.deployments import TAG, WORK_POOL, Deployment, deployments_of, project_tag
from millstream.flows.deploying.prefect_yaml import deployments_folder, render
from millstream.flows.project.loading import VARIABLE as PROJECT_VARIABLE
from millstream.state.errors import ConfigurationError, FatalError

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.responses import DeploymentResponse

    from millstream.flows.project import Project


@dataclass(frozen=True)
class DeployReport:
    """What became of ``prefect.yaml`` and of the deployments.

    Attributes:
        path: Where ``prefect.yaml`` is.
        current: Whether it says (or now says) what the project file says.
        deployments: Full names of the project's deployments, ``flow/name``.
        registered: Whether Prefect's server was told.
        removed: Deployments and schedules taken off the server, because the project no longer has them.
    """

    path: Path
    current: bool
    deployments: tuple[str, ...]
    registered: bool = False
    removed: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether ``prefect.yaml`` is current."""
        return self.current

    def as_json(self) -> dict[str, object]:
        """For programs."""
        return {
            "ok": self.ok,
            "path": str(self.path),
            "current": self.current,
            "registered": self.registered,
            "deployments": list(self.deployments),
            "removed": list(self.removed),
        }


def deploy_project(project: Project, *, check: bool = False, folder: Path | None = None) -> DeployReport:
    """Write ``prefect.yaml`` and register its deployments with the Prefect server of the settings.

    Args:
        project: The project.
        check: Only say whether ``prefect.yaml`` is current; write and register nothing.
        folder: Where ``prefect.yaml`` stands; beside the project file, or at the checkout's root.

    Raises:
        ConfigurationError: A schedule does not say what it runs, or no Prefect server is known or answers.
        FatalError: Prefect refused the deployments.
    """
    path = (folder or deployments_folder(project)) / DEPLOYMENTS_FILE
    text = render(project, path.parent)
    deployments = deployments_of(project)
    names = tuple(deployment.full_name for deployment in deployments)
    if check:
        current = path.is_file() and path.read_text(encoding="utf-8") == text
        return DeployReport(path, current, names)
    path.write_text(text, encoding="utf-8")
    removed = _register(project, path, deployments)
    return DeployReport(path, True, names, registered=True, removed=removed)


def _register(project: Project, path: Path, deployments: Sequence[Deployment]) -> tuple[str, ...]:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        _find_server(client, path)
        _make_work_pool(client)
        _run_prefect_deploy(project, path)
        registered = _registered(client, project)
        for deployment in registered.values():
            _refuse_unknown_parameters(client, deployment)
        return tuple(_take_off(client, registered, deployments))


def _find_server(client: SyncPrefectClient, path: Path) -> None:
    from prefect.settings import PREFECT_API_URL

    url = PREFECT_API_URL.value()
    remedy = "start `prefect server start`, set PREFECT_API_URL to what it says, and deploy again."
    if not url:
        raise ConfigurationError(
            f"{path.name} is written; no Prefect server is known to register it with.", remedy=remedy
        )
    if problem := client.api_healthcheck():
        raise ConfigurationError(
            f"{path.name} is written; the Prefect server at {url} does not answer ({type(problem).__name__}).",
            remedy=remedy,
        )


def _make_work_pool(client: SyncPrefectClient) -> None:
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectNotFound
    from prefect.workers.utilities import get_default_base_job_template_for_infrastructure_type

    try:
        client.read_work_pool(WORK_POOL)
    except ObjectNotFound:
        template = asyncio.run(get_default_base_job_template_for_infrastructure_type("process"))
        client.create_work_pool(WorkPoolCreate(name=WORK_POOL, type="process", base_job_template=template or {}))


def _run_prefect_deploy(project: Project, path: Path) -> None:
    """Let Prefect read the file, in a process of its own: the forms' choices are made when flows are imported."""
    from prefect.settings import get_current_settings

    environment = {
        **os.environ,
        **get_current_settings().to_environment_variables(exclude_unset=True),
        PROJECT_VARIABLE: str(project.path.resolve()),
    }
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", path.name]
    done = subprocess.run(  # noqa: S603 - our own interpreter
        command, cwd=path.parent, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise FatalError(
            f"Prefect refused the deployments: {said[-1] if said else 'it gave no reason'}",
            remedy=f"see all it says with `prefect deploy --all` in {path.parent}.",
        )


def _registered(client: SyncPrefectClient, project: Project) -> dict[str, DeploymentResponse]:
    """This project's deployments that the server has, by their full names."""
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags

    ours = DeploymentFilter(tags=DeploymentFilterTags(all_=[TAG, project_tag(project)]))
    found = client.read_deployments(deployment_filter=ours, limit=200)
    return {f"{client.read_flow(one.flow_id).name}/{one.name}": one for one in found}


def _refuse_unknown_parameters(client: SyncPrefectClient, deployment: DeploymentResponse) -> None:
    """Let the server refuse a run with a parameter that the flow does not have; else the run would start and crash.

    Prefect's schemas say nothing of other parameters, and its client has no word for changing them.
    """
    schema = {**(deployment.parameter_openapi_schema or {}), "additionalProperties": False}
    client.request(
        "PATCH", "/deployments/{id}", path_params={"id": deployment.id}, json={"parameter_openapi_schema": schema}
    )


def _take_off(
    client: SyncPrefectClient, registered: Mapping[str, DeploymentResponse], deployments: Sequence[Deployment]
) -> Iterator[str]:
    """Remove this project's deployments and schedules that its file no longer has: they would run for ever."""
    wanted = {deployment.full_name: deployment for deployment in deployments}
    for name, found in registered.items():
        if name not in wanted:
            client.delete_deployment(found.id)
            yield name
            continue
        slugs = {schedule["slug"] for schedule in wanted[name].schedules}
        for schedule in found.schedules:
            if schedule.slug not in slugs:
                client.delete_deployment_schedule(found.id, schedule.id)
                yield f"{name}: schedule {schedule.slug}"
