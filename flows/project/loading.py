"""Finding and loading a project file, and making its connectors once they are needed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from millstream.destinations.registry import AnyDestination
from millstream.destinations.rules import DeliveryRules
from millstream.destinations.sync import Sync
from millstream.flows.project.alerts import AlertRules
from millstream.flows.project.connectors import Configured, ConnectorT, add_settings_errors
from millstream.flows.project.document import Document, read_document
from millstream.flows.project.entries import read_entries
from millstream.flows.project.models import ProjectFile, Schedule
from millstream.flows.project.problems import Problems
from millstream.flows.project.references import check_references
from millstream.flows.project.report import ReportRules
from millstream.flows.project.validation import add_pydantic_errors
from millstream.sources.registry import AnySource
from millstream.state.audiences.rules import Audience
from millstream.state.errors import ConfigurationError
from millstream.state.identity.rules import IdentityRules
from millstream.state.measurement.rules import MeasurementRules
from millstream.state.model.currency import CurrencyRules
from millstream.state.model.tracking_plan import TrackingPlan
from millstream.state.profiles.rules import SurvivorshipRules
from millstream.state.quality.rules import QualityRules
from millstream.state.suggestions import did_you_mean
from millstream.state.traits.rules import TraitRules

FILE_NAME = "millstream.yaml"
VARIABLE = "MILLSTREAM_PROJECT"


@dataclass(frozen=True)
class Project:
    """A project file that was read and found right. No secret was kept.

    Attributes:
        path: The file.
        file: Its content.
        sources: Its sources by name.
        destinations: Its destinations by name.
    """

    path: Path
    file: ProjectFile
    sources: Mapping[str, Configured[AnySource]]
    destinations: Mapping[str, Configured[AnyDestination]]
    document: Document

    @property
    def root(self) -> Path:
        """The project file's folder: relative paths start here."""
        return self.path.parent

    @property
    def work_folder(self) -> Path:
        """Where Millstream keeps files of its own: ``.millstream`` beside the project file."""
        return self.root / ".millstream"

    @property
    def name(self) -> str:
        """Name of the project."""
        return self.file.name

    @property
    def store(self) -> str:
        """URL of the store."""
        return self.file.store

    @property
    def journal(self) -> str:
        """URL of the journal."""
        return self.file.journal

    @property
    def identity(self) -> IdentityRules:
        """Which identifiers join records; kinds that the project calls a vendor's field by mean the same everywhere."""
        entries = [*self.file.connections.values(), *self.file.sources.values()]
        mapped = [(entry.model_extra or {}).get("identifiers") for entry in entries]
        return self.file.identity.naming(
            kind for mapping in mapped if isinstance(mapping, dict) for kind in mapping.values()
        )

    @property
    def survivorship(self) -> SurvivorshipRules:
        """Which value a profile shows."""
        return self.file.survivorship

    @property
    def delivery(self) -> DeliveryRules:
        """What holds for every sync."""
        return self.file.delivery

    @property
    def tracking_plan(self) -> TrackingPlan:
        """Canonical event names, and what events must carry."""
        return self.file.tracking_plan

    @property
    def currency(self) -> CurrencyRules | None:
        """The base currency and its rates; None where values count as said."""
        return self.file.currency

    @property
    def traits(self) -> TraitRules:
        """What the computed traits need to know of the business."""
        return self.file.traits

    @property
    def measurement(self) -> MeasurementRules:
        """What is measured."""
        return self.file.measurement

    @property
    def quality(self) -> QualityRules:
        """Which data are good enough."""
        return self.file.quality

    @property
    def audiences(self) -> Mapping[str, Audience]:
        """Audiences by name."""
        return self.file.audiences

    @property
    def syncs(self) -> Mapping[str, Sync]:
        """Syncs by name."""
        return self.file.syncs

    @property
    def schedules(self) -> Mapping[str, Schedule]:
        """Schedules by name."""
        return self.file.schedules

    @property
    def report(self) -> ReportRules:
        """Where the report goes, and whether runs of the pipeline write it."""
        return self.file.report

    @property
    def alerts(self) -> AlertRules | None:
        """What is told to whom; None where the project has no such section."""
        return self.file.alerts

    def source(self, name: str, *, secrets: bool = True) -> AnySource:
        """The source with its secrets read, ready to pull.

        Args:
            name: Its name in the project.
            secrets: False makes it without asking for its secrets: enough for what it declares, not for a request.

        Raises:
            ConfigurationError: There is no such source, or a secret of it is missing or does not fit.
        """
        return self._made(_named("source", name, self.sources), secrets=secrets)

    def destination(self, name: str) -> AnyDestination:
        """The destination with its secrets read, ready to be written to.

        Raises:
            ConfigurationError: There is no such destination, or a secret of it is missing or does not fit.
        """
        return self._made(_named("destination", name, self.destinations))

    def sync(self, name: str) -> Sync:
        """The sync with this name.

        Raises:
            ConfigurationError: There is none.
        """
        return _named("sync", name, self.syncs)

    def audience(self, name: str) -> Audience:
        """The audience with this name.

        Raises:
            ConfigurationError: There is none.
        """
        return _named("audience", name, self.audiences)

    def require(self, *, sources: Iterable[str] = (), destinations: Iterable[str] = ()) -> None:
        """See to it that the secrets of these are there and fit, before any work starts.

        Raises:
            ConfigurationError: With everything that is missing.
        """
        problems = Problems(self.path)
        for name in sources:
            self._read(_named("source", name, self.sources), problems)
        for name in destinations:
            self._read(_named("destination", name, self.destinations), problems)
        problems.raise_if_any()

    def _made(self, configured: Configured[ConnectorT], *, secrets: bool = True) -> ConnectorT:
        problems = Problems(self.path)
        connector = self._read(configured, problems, secrets=secrets)
        problems.raise_if_any()
        assert connector is not None
        return connector

    def _read(
        self, configured: Configured[ConnectorT], problems: Problems, *, secrets: bool = True
    ) -> ConnectorT | None:
        """Make a connector, or note why that is not possible."""
        read, missing = configured.read_references(self.root, ask_servers=secrets)
        if missing and secrets:
            for setting, error in missing.items():
                key = configured.keys[setting]
                problems.add(key, error.what, line=self.document.line(key), remedy=error.remedy)
            return None
        try:
            settings = configured.settings(read, self.root)
        except ValidationError as error:
            add_settings_errors(configured, error, self.document, problems)
            return None
        return configured.make(settings)


ValueT = TypeVar("ValueT")


def _named(kind: str, name: str, known: Mapping[str, ValueT]) -> ValueT:
    if name not in known:
        raise ConfigurationError(
            f"There is no {kind} {name!r} in the project.", allowed=known, remedy=did_you_mean(name, known)
        )
    return known[name]


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


def load_project(path: Path | None = None) -> Project:
    """Read a project file and check all of it that can be checked without its secrets.

    Args:
        path: The file or its folder; found as ``find_project_file`` says when left out.

    Raises:
        ConfigurationError: No project file, or everything that is wrong with it.
    """
    path = find_project_file(path)
    document = read_document(path)
    problems = Problems(path)
    file = _validated(document, problems)
    entries = read_entries(file, document, problems)
    check_references(file, entries, document, problems)
    problems.raise_if_any()
    return Project(path, file, entries.sources, entries.destinations, document)


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
