"""The text of a project's ``prefect.yaml``, and the folder in which it stands."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from millstream.flows.deploying.deployments import TAG, WORK_POOL, deployments_of, project_tag
from millstream.flows.project.loading import VARIABLE as PROJECT_VARIABLE

if TYPE_CHECKING:
    from millstream.flows.project import Project

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
