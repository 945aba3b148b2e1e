"""Names in a project file that point at other parts of it: each must exist and fit what it is used for."""

from __future__ import annotations

from collections.abc import Collection

from millstream.destinations.registry import AnyDestination
from millstream.destinations.sync import Sync
from millstream.flows.project.document import Document
from millstream.flows.project.entries import Entries
from millstream.flows.project.models import ProjectFile, Schedule
from millstream.flows.project.problems import Key, Problems
from millstream.state.suggestions import did_you_mean

REQUIRED_PARAMETERS = {"ingest": "source", "activate": "sync"}
"""The parameter without which a scheduled flow does not know what to do."""
NAMING_PARAMETERS = {
    "source": "sources",
    "sources": "sources",
    "sync": "syncs",
    "syncs": "syncs",
    "audiences": "audiences",
}
"""Parameters of flows that name parts of the project, and the section in which they stand."""


def check_references(file: ProjectFile, entries: Entries, document: Document, problems: Problems) -> None:
    """Note every name that points nowhere, and every sync that its destination cannot do."""
    checker = _Checker(file, entries, document, problems)
    for name, sync in file.syncs.items():
        checker.check_sync(("syncs", name), sync)
    for name, schedule in file.schedules.items():
        checker.check_schedule(("schedules", name), schedule)


class _Checker:
    def __init__(self, file: ProjectFile, entries: Entries, document: Document, problems: Problems) -> None:
        self._file = file
        self._entries = entries
        self._document = document
        self._problems = problems

    def check_sync(self, key: Key, sync: Sync) -> None:
        """A sync's audience, destination, mode, match key and fields."""
        if sync.audience is not None:
            self._known((*key, "audience"), "audiences", sync.audience)
        self._known((*key, "destination"), "destinations", sync.destination)
        configured = self._entries.destinations.get(sync.destination)
        if configured is not None:
            self._check_against(key, sync, configured.connector)

    def _check_against(self, key: Key, sync: Sync, destination: type[AnyDestination]) -> None:
        if sync.mode not in destination.modes:
            self._add(
                (*key, "mode"),
                f"{destination.title} has no mode {sync.mode.value!r}.",
                sorted(mode.value for mode in destination.modes),
            )
        if sync.match_key not in destination.match_keys:
            self._add(
                (*key, "match", sync.match_key),
                f"{destination.title} does not find people by {sync.match_key!r}.",
                destination.match_keys,
                given=sync.match_key,
            )
        fields = [field.name for field in destination.fields]
        for name in sync.fields:
            if not destination.custom_fields and name not in fields:
                self._add((*key, "fields", name), f"{destination.title} has no field {name!r}.", fields, given=name)

    def check_schedule(self, key: Key, schedule: Schedule) -> None:
        """The names that a schedule gives its flow."""
        needed = REQUIRED_PARAMETERS.get(schedule.flow)
        if needed and needed not in schedule.parameters:
            self._add((*key, "parameters"), f"the flow {schedule.flow} needs the parameter {needed!r}.", (needed,))
        for parameter, value in schedule.parameters.items():
            if parameter in NAMING_PARAMETERS:
                for name in value if isinstance(value, list) else [value]:
                    self._known((*key, "parameters", parameter), NAMING_PARAMETERS[parameter], name)

    def _known(self, key: Key, section: str, name: object) -> None:
        """The names are taken from the text, where one with faults of its own is still there to point at."""
        part = self._document.data.get(section)
        known = tuple(part) if isinstance(part, dict) else ()
        if name not in known:
            self._add(key, f"there is no {section[:-1]} {name!r}.", known, given=name)

    def _add(self, key: Key, what: str, allowed: Collection[str], *, given: object = None) -> None:
        remedy = did_you_mean(given, allowed) if given is not None else None
        self._problems.add(key, what, line=self._document.line(key), allowed=allowed, remedy=remedy)
