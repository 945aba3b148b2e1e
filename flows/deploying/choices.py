"""The project's own names as parameter types, so that the forms of Prefect's UI offer them as choices.

Prefect keeps a deployment's form as the JSON schema of the flow's annotations. The annotations are made here, when a
flow file is imported, from the project that ``MILLSTREAM_PROJECT`` or the current folder points to. Without a
project (or with one that has errors, which running a flow explains) every name is plain text.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import yaml
from pydantic import WithJsonSchema

from millstream.flows.project import FILE_NAME, Project, load_project
from millstream.flows.project.loading import VARIABLE as PROJECT_VARIABLE
from millstream.state.errors import MillstreamError

DEPLOYMENTS_FILE = "prefect.yaml"


def open_project() -> Project:
    """The project of this process: of ``MILLSTREAM_PROJECT``, the current folder, or its ``prefect.yaml``.

    Raises:
        ConfigurationError: No project file, or one with errors.
    """
    return load_project(project_of_deployments(Path.cwd()))


def project_of_deployments(folder: Path) -> Path | None:
    """The project file named by the deployments in ``folder``; so ``prefect deploy --all`` by hand finds it too.

    Returns:
        None when ``MILLSTREAM_PROJECT`` or a ``millstream.yaml`` there says it already, or no deployment names one.
    """
    path = folder / DEPLOYMENTS_FILE
    if os.environ.get(PROJECT_VARIABLE) or (folder / FILE_NAME).is_file() or not path.is_file():
        return None
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError:
        return None
    for deployment in _at(document, "deployments") or ():
        if named := _at(deployment, "work_pool", "job_variables", "env", PROJECT_VARIABLE):
            return folder / str(named)
    return None


def _at(value: Any, *keys: str) -> Any:
    """What stands at a path of keys; None where there is nothing."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def choice_of(names: Iterable[str]) -> object:
    """Text that the form offers as a choice of these names; plain text when there are none to choose from.

    Prefect's server refuses another name. A flow called in Python takes it, and says what the project has.
    """
    names = list(names)
    return Annotated[str, WithJsonSchema({"type": "string", "enum": names})] if names else str


def _project_or_none() -> Project | None:
    try:
        return open_project()
    except MillstreamError:
        return None


if TYPE_CHECKING:
    SourceName = str
    AudienceName = str
    SyncName = str
else:
    _project = _project_or_none()
    SourceName = choice_of(_project.sources if _project else ())
    AudienceName = choice_of(_project.audiences if _project else ())
    SyncName = choice_of(_project.syncs if _project else ())
