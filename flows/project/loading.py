"""Finding and loading a project file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from millstream.flows.project.document import Document, read_document
from millstream.flows.project.entries import read_entries
from millstream.flows.project.models import ProjectFile
from millstream.flows.project.problems import Problems
from millstream.flows.project.project import Project
from millstream.flows.project.references import check_references
from millstream.flows.project.validation import add_pydantic_errors
from millstream.state.errors import ConfigurationError

FILE_NAME = "millstream.yaml"
VARIABLE = "MILLSTREAM_PROJECT"


def find_project_file(given: Path | None = None) -> Path:
    """The project file: the one given, the one MILLSTREAM_PROJECT names, or that of this folder or one above.

    Args:
        given: A file, or a folder that holds a ``millstream.yaml``.

    Raises:
        ConfigurationError: There is none.
    """
    named = given or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    if named is not None:
        path = named.expanduser().resolve()
        path = path / FILE_NAME if path.is_dir() else path
        if not path.is_file():
            source = "project" if given else VARIABLE
            raise ConfigurationError(
                f"There is no project file {path}.", where=source, remedy="name a millstream.yaml or its folder."
            )
        return path
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / FILE_NAME).is_file():
            return folder / FILE_NAME
    raise ConfigurationError(
        f"There is no {FILE_NAME} in {here} or above it.",
        remedy="make one with `millstream init`, or name one with --project.",
    )


def load_project(path: Path | None = None, *, secrets: bool = False) -> Project:
    """Read a project file and check all of it that can be checked without its secrets.

    Args:
        path: The file or its folder; found as ``find_project_file`` says when left out.
        secrets: Where something is wrong, say along with it which secrets are missing.

    Raises:
        ConfigurationError: No project file, or everything that is wrong with it.
    """
    path = find_project_file(path)
    document = read_document(path)
    problems = Problems(path)
    file = _validated(document, problems)
    entries = read_entries(file, document, problems)
    check_references(file, entries, document, problems)
    project = Project(path, file, entries.sources, entries.destinations, document)
    if problems and secrets:
        project.note_secrets(problems)
    problems.raise_if_any()
    return project


def _validated(document: Document, problems: Problems) -> ProjectFile:
    """The file's content; with its faults noted and left out, so that the rest can be checked as well.

    Raises:
        ConfigurationError: So much is wrong that nothing else can be said.
    """
    data: dict[str, object] = dict(document.data)
    for _ in range(2):
        try:
            return ProjectFile(**data)  # type: ignore[arg-type]  # whether it fits is found out here
        except ValidationError as error:
            errors = error.errors(include_url=False, include_input=False)
            add_pydantic_errors(problems, document, ProjectFile, errors)
            data = _without_faults(data, errors)
    problems.raise_if_any()
    raise AssertionError("a validation failed without an error")


def _without_faults(data: Mapping[str, object], errors: Iterable[ErrorDetails]) -> dict[str, object]:
    """The content without the named parts (an audience, a sync) that have errors."""
    sound = {section: dict(part) if isinstance(part, dict) else part for section, part in data.items()}
    for details in errors:
        section, name = (*details["loc"], None, None)[:2]
        part = sound.get(str(section))
        if isinstance(part, dict) and name is not None and not _is_required(str(section), name):
            part.pop(name, None)
        else:
            sound.pop(str(section), None)
    sound.setdefault("name", "unnamed")
    return sound


def _is_required(section: str, name: str | int) -> bool:
    """Whether a section cannot be without one of its keys."""
    annotation = ProjectFile.model_fields[section].annotation if section in ProjectFile.model_fields else None
    models = [one for one in get_args(annotation) if isinstance(one, type) and issubclass(one, BaseModel)]
    return any(name in model.model_fields and model.model_fields[str(name)].is_required() for model in models)
