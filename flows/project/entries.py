"""The sources and destinations of a project file, each with its connector and the settings that are meant for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from millstream.destinations.registry import DESTINATIONS, AnyDestination
from millstream.flows.project.connectors import Configured, ConnectorT, check_settings
from millstream.flows.project.document import Document
from millstream.flows.project.models import Connection, DestinationEntry, ProjectFile, SourceEntry
from millstream.flows.project.problems import Problems
from millstream.sources.registry import SOURCES, AnySource
from millstream.state.errors import MillstreamError, PluginError
from millstream.state.plugins import Plugins
from millstream.state.suggestions import did_you_mean

_SIDES: dict[str, Plugins[AnySource] | Plugins[AnyDestination]] = {
    "sources": SOURCES,
    "destinations": DESTINATIONS,
}


@dataclass
class Entries:
    """What a project file connects to. Entries with problems are left out."""

    sources: dict[str, Configured[AnySource]]
    destinations: dict[str, Configured[AnyDestination]]


def read_entries(file: ProjectFile, document: Document, problems: Problems) -> Entries:
    """Put each entry together with its connection, and note what is wrong with any of them."""
    systems = {
        name: connection
        for name, connection in file.connections.items()
        if _check_connection(name, connection, document, problems)
    }
    reader = _Reader(systems, file.connections, document, problems)
    return Entries(
        reader.read("sources", file.sources, SOURCES), reader.read("destinations", file.destinations, DESTINATIONS)
    )


def _check_connection(name: str, connection: Connection, document: Document, problems: Problems) -> bool:
    """Whether the connection's system is installed; its keys that neither side of the system knows are noted."""
    key = ("connections", name)
    installed = sorted({system for side in _SIDES.values() for system in side.names()})
    if connection.system not in installed:
        problems.add(
            (*key, "system"),
            f"there is no connector for {connection.system!r}.",
            line=document.line((*key, "system")),
            allowed=installed,
            remedy=did_you_mean(connection.system, installed) or "install the package that brings it.",
        )
        return False
    known: set[str] = set()
    for side in _SIDES.values():
        if connection.system in side.names():
            try:
                known |= set(side.load(connection.system).Settings.model_fields)
            except PluginError:
                return True  # nobody can say what it knows; an entry that uses it reports it
    _refuse_unknown(key, connection.model_extra or {}, known, document, problems)
    return True


def _refuse_unknown(
    key: tuple[str, ...],
    given: Iterable[str],
    known: Iterable[str],
    document: Document,
    problems: Problems,
) -> None:
    known = sorted(known)
    for setting in given:
        if setting not in known:
            problems.add(
                (*key, setting),
                "this key is not known here.",
                line=document.line((*key, setting)),
                allowed=known,
                remedy=did_you_mean(setting, known),
            )


@dataclass
class _Reader:
    usable: Mapping[str, Connection]
    connections: Mapping[str, Connection]
    document: Document
    problems: Problems

    def read(
        self,
        section: str,
        entries: Mapping[str, SourceEntry] | Mapping[str, DestinationEntry],
        plugins: Plugins[ConnectorT],
    ) -> dict[str, Configured[ConnectorT]]:
        """The entries of one section that can be used."""
        found = {}
        for name, entry in entries.items():
            if configured := self._read_one(section, name, entry, plugins):
                check_settings(configured, self.document, self.problems)
                found[name] = configured
        return found

    def _read_one(
        self, section: str, name: str, entry: SourceEntry | DestinationEntry, plugins: Plugins[ConnectorT]
    ) -> Configured[ConnectorT] | None:
        key = (section, name)
        if entry.connection not in self.connections:
            self.problems.add(
                (*key, "connection"),
                f"there is no connection {entry.connection!r}.",
                line=self.document.line((*key, "connection")),
                allowed=self.connections,
                remedy=did_you_mean(entry.connection, self.connections),
            )
        if entry.connection not in self.usable:
            return None
        connection = self.usable[entry.connection]
        try:
            connector = plugins.load(connection.system)
        except MillstreamError as error:
            line = self.document.line((*key, "connection"))
            self.problems.add((*key, "connection"), error.what, line=line, allowed=error.allowed, remedy=error.remedy)
            return None
        fields = connector.Settings.model_fields
        shared = {setting: value for setting, value in (connection.model_extra or {}).items() if setting in fields}
        own = {setting: value for setting, value in (entry.model_extra or {}).items() if setting in fields}
        _refuse_unknown(key, entry.model_extra or {}, fields, self.document, self.problems)
        keys = {setting: ("connections", entry.connection, setting) for setting in shared}
        keys |= {setting: (*key, setting) for setting in own}
        return Configured(name, section, entry.connection, connector, {**shared, **own}, keys)
