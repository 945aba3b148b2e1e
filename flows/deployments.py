"""The Prefect deployments of a project, as the text of ``prefect.yaml``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from millstream.flows.project.loading import VARIABLE as PROJECT_VARIABLE
from millstream.state.errors import ConfigurationError

if TYPE_CHECKING:
    from millstream.flows.project import Project

WORK_POOL = "millstream"
TAG = "millstream"
_FLOW_FILES = {
    "pipeline": "run_pipeline",
    "ingest": "ingest_source",
    "resolve": "resolve_people",
    "describe": "describe_people",
    "select": "select_audiences",
    "activate": "activate_sync",
    "backfill": "backfill_source",
    "measure": "measure_figures",
    "audit": "audit_quality",
    "reconcile": "reconcile_sync",
    "watch": "watch_project",
    "report": "write_report",
}
_HEADER = """\
# Made from {source} by `millstream deploy`: change that file, not this one.
# `millstream deploy` registers these deployments; so does `prefect deploy --all`, typed in this folder.
"""


@dataclass(frozen=True)
class Deployment:
    """One flow with fixed parameters and its schedules.

    Attributes:
        flow: Name of the flow.
        name: Name of the deployment; with the project's name, so that projects can share a server.
        description: What a run does.
        parameters: The source or the sync it is for.
        skip_when_busy: A run that comes due while another is on is skipped, instead of queued: what it would have
            done the next one does.
        schedules: Its schedules as ``prefect.yaml`` writes them.
    """

    flow: str
    name: str
    description: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    skip_when_busy: bool = False
    schedules: tuple[Mapping[str, object], ...] = ()

    @property
    def full_name(self) -> str:
        """As Prefect names it, ``flow/deployment``."""
        return f"{self.flow}/{self.name}"


def deployments_of(project: Project) -> list[Deployment]:
    """One deployment for the whole, one for each source and each sync, and one for each other flow.

    Raises:
        ConfigurationError: A schedule does not say which source or sync it is for.
    """
    plan = [Deployment("pipeline", project.name, "All of it in order, from pulling to auditing.", skip_when_busy=True)]
    for source in project.sources:
        plan.append(Deployment("ingest", f"{project.name}-{source}", f"Pull the source {source}.", {"source": source}))
    plan.append(Deployment("resolve", project.name, "Work out who is who and what is true of them."))
    plan.append(Deployment("describe", project.name, "Compute traits: orders, engagement, groups, predictions."))
    plan.append(Deployment("select", project.name, "Compute who is in which audience."))
    for sync in project.syncs:
        plan.append(Deployment("activate", f"{project.name}-{sync}", f"Send the sync {sync}.", {"sync": sync}))
    plan.append(Deployment("measure", project.name, "Compute key figures, cohorts, funnels, and campaign lift."))
    plan.append(Deployment("audit", project.name, "Look at the quality of the data, and at odd days."))
    plan.append(Deployment("backfill", project.name, "Read past days of a source again."))
    plan.append(Deployment("reconcile", project.name, "Compare what destinations hold with what they acknowledged."))
    plan.append(Deployment("watch", project.name, "Tell of syncs that are late and schedules that did not start."))
    plan.append(Deployment("report", project.name, "Write one page about people, audiences, figures and quality."))
    return [_scheduled(deployment, project) for deployment in plan]


def project_tag(project: Project) -> str:
    """The tag by which a project's deployments are found on a server."""
    return f"project:{project.name}"


def checkout() -> Path | None:
    """The root of the checkout of Millstream that this code is in; None when it is installed."""
    import millstream

    root = Path(millstream.__file__).resolve().parent.parent
    return root if (root / "flows" / "run_pipeline.py").is_file() else None


def deployments_folder(project: Project) -> Path:
    """The checkout's root for a project inside a checkout of Millstream, else the project's own folder."""
    path, root = project.path.resolve(), checkout()
    return root if root and path.is_relative_to(root) else path.parent


def render(project: Project, folder: Path) -> str:
    """The text of a project's ``prefect.yaml`` in ``folder``.

    It holds no path of this machine: without a pull step of its own, ``prefect deploy`` records the folder it is
    typed in as the working directory of the runs.
    """
    source = Path(os.path.relpath(project.path.resolve(), folder.resolve())).as_posix()
    in_checkout = folder.resolve() == checkout()
    entries = [
        {
            "name": deployment.name,
            "description": deployment.description,
            "tags": [TAG, project_tag(project)],
            "entrypoint": _entrypoint(deployment.flow, in_checkout=in_checkout),
            **({"parameters": dict(deployment.parameters)} if deployment.parameters else {}),
            **({"schedules": [dict(one) for one in deployment.schedules]} if deployment.schedules else {}),
            "concurrency_limit": {
                "limit": 1,
                "collision_strategy": "CANCEL_NEW" if deployment.skip_when_busy else "ENQUEUE",
            },
            "work_pool": {"name": WORK_POOL, "job_variables": {"env": {PROJECT_VARIABLE: source}}},
        }
        for deployment in deployments_of(project)
    ]
    document = {"name": project.name, "deployments": entries}
    return _HEADER.format(source=source) + yaml.safe_dump(document, sort_keys=False, width=110)


def _entrypoint(flow: str, *, in_checkout: bool) -> str:
    file = _FLOW_FILES[flow]
    return f"flows/{file}.py:{flow}" if in_checkout else f"millstream.flows.{file}.{flow}"


def _scheduled(deployment: Deployment, project: Project) -> Deployment:
    """The deployment with the schedules of its flow that are for its source or sync."""
    fixed = deployment.parameters
    schedules: list[Mapping[str, object]] = []
    for name, schedule in project.schedules.items():
        if schedule.flow != deployment.flow:
            continue
        for key in fixed:
            if key not in schedule.parameters:
                raise ConfigurationError(
                    f"The schedule runs {schedule.flow} and does not say for which {key}.",
                    where=f"schedules.{name}",
                    remedy=f"add `parameters: {{{key}: …}}`.",
                )
        if all(schedule.parameters[key] == value for key, value in fixed.items()):
            extra = {key: value for key, value in schedule.parameters.items() if key not in fixed}
            timing: dict[str, object] = {"slug": name, "cron": schedule.cron, "timezone": schedule.timezone}
            schedules.append({**timing, "parameters": extra} if extra else timing)
    return Deployment(
        deployment.flow,
        deployment.name,
        deployment.description,
        fixed,
        deployment.skip_when_busy,
        tuple(schedules),
    )
