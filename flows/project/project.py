"""A project file that was read, and its connectors, made once they are needed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from millstream.destinations.registry import AnyDestination
from millstream.destinations.rules import DeliveryRules
from millstream.destinations.sync import Sync
from millstream.flows.project.alerts import AlertRules
from millstream.flows.project.connectors import Configured, ConnectorT, add_settings_errors
from millstream.flows.project.document import Document
from millstream.flows.project.models import ProjectFile, Schedule
from millstream.flows.project.names import named
from millstream.flows.project.problems import Key, Problems
from millstream.flows.project.report import ReportRules
from millstream.sources.registry import AnySource
from millstream.state.audiences.rules import Audience
from millstream.state.errors import ConfigurationError
from millstream.state.identity.rules import IdentityRules
from millstream.state.measurement.rules import MeasurementRules
from millstream.state.model.currency import CurrencyRules
from millstream.state.model.tracking_plan import TrackingPlan
from millstream.state.profiles.rules import SurvivorshipRules
from millstream.state.quality.rules import QualityRules
from millstream.state.traits.rules import TraitRules


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
    def sql_seconds(self) -> int:
        """How long SQL of the project may take."""
        return self.file.sql_seconds

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
    def enabled_syncs(self) -> Mapping[str, Sync]:
        """The syncs that runs include."""
        return {name: sync for name, sync in self.syncs.items() if sync.enabled}

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
        return self._made(named("source", name, self.sources), secrets=secrets)

    def destination(self, name: str) -> AnyDestination:
        """The destination with its secrets read, ready to be written to.

        Raises:
            ConfigurationError: There is no such destination, or a secret of it is missing or does not fit.
        """
        return self._made(named("destination", name, self.destinations))

    def sync(self, name: str) -> Sync:
        """The sync with this name.

        Raises:
            ConfigurationError: There is none.
        """
        return named("sync", name, self.syncs)

    def audience(self, name: str) -> Audience:
        """The audience with this name.

        Raises:
            ConfigurationError: There is none.
        """
        return named("audience", name, self.audiences)

    def require(self, *, sources: Iterable[str] = (), destinations: Iterable[str] = ()) -> None:
        """See to it that the secrets of these are there and fit, before any work starts.

        Raises:
            ConfigurationError: With everything that is missing.
        """
        problems = Problems(self.path)
        self.ready_sources(sources, problems)
        self.ready_destinations(destinations, problems)
        problems.raise_if_any()

    def ready_sources(self, names: Iterable[str], problems: Problems) -> dict[str, AnySource]:
        """Those of these sources whose secrets are there and fit; why others do not is noted."""
        return self._ready("source", names, self.sources, problems)

    def ready_destinations(self, names: Iterable[str], problems: Problems) -> dict[str, AnyDestination]:
        """Those of these destinations whose secrets are there and fit; why others do not is noted."""
        return self._ready("destination", names, self.destinations, problems)

    def note_secrets(self, problems: Problems) -> None:
        """Note all secrets of the project that are missing or do not fit."""
        self.ready_sources(self.sources, problems)
        self.ready_destinations(self.destinations, problems)
        self.note_channels(problems)

    def note_channels(self, problems: Problems) -> None:
        """Note the secrets of alert channels that are missing."""
        for name, channel in self.alerts.channels.items() if self.alerts else ():
            for setting, error in channel.missing(self.root):
                self._note(problems, ("alerts", "channels", name, setting), error)

    def _note(self, problems: Problems, key: Key, error: ConfigurationError) -> None:
        problems.add(key, error.what, line=self.document.line(key), remedy=error.remedy)

    def _ready(
        self, kind: str, names: Iterable[str], known: Mapping[str, Configured[ConnectorT]], problems: Problems
    ) -> dict[str, ConnectorT]:
        made = {name: self._read(named(kind, name, known), problems) for name in names}
        return {name: connector for name, connector in made.items() if connector is not None}

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
            for setting, errors in missing.items():
                for error in errors:
                    self._note(problems, configured.keys[setting], error)
            return None
        try:
            settings = configured.settings(read, self.root)
        except ValidationError as error:
            add_settings_errors(configured, error, self.document, problems)
            return None
        return configured.make(settings)
