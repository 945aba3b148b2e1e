"""Names in a project file that point at other parts of it: each must exist and fit what it is used for."""

from __future__ import annotations

from collections.abc import Collection
from graphlib import CycleError, TopologicalSorter

from millstream.destinations.modes import SyncMode
from millstream.destinations.needed_fields import consent_fields_among
from millstream.destinations.registry import AnyDestination
from millstream.destinations.sync import Sync
from millstream.flows.project.document import Document
from millstream.flows.project.entries import Entries
from millstream.flows.project.models import ProjectFile, Schedule
from millstream.flows.project.problems import Key, Problems, dotted
from millstream.state.audiences.rules import Audience
from millstream.state.errors import ConfigurationError
from millstream.state.measurement.meanings import SHIPPED, is_shipped
from millstream.state.model.standard_events import whole_plan
from millstream.state.model.tracking_plan import fold
from millstream.state.quality.looking import AS_A_WHOLE
from millstream.state.suggestions import did_you_mean
from millstream.state.traits.shipped_names import shipped_names

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
    for name, audience in file.audiences.items():
        checker.check_audience(("audiences", name), audience)
    checker.check_circles()
    checker.check_tracking_plan()
    checker.check_trusted_sources()
    for name, sync in file.syncs.items():
        checker.check_sync(("syncs", name), sync)
    checker.check_delivery()
    checker.check_traits()
    checker.check_measurement()
    for name, threshold in file.quality.thresholds.items():
        if threshold.source not in (None, AS_A_WHOLE):
            checker.check_sources_named(("quality", "thresholds", name, "source"), threshold.source)
    for name in file.quality.anomalies.late_days:
        checker.check_sources_named(("quality", "anomalies", "late_days", name), name)
    for name in file.alerts.syncs if file.alerts else ():
        checker.check_alerts(("alerts", "syncs", name))
    for name, schedule in file.schedules.items():
        checker.check_schedule(("schedules", name), schedule)


class _Checker:
    def __init__(self, file: ProjectFile, entries: Entries, document: Document, problems: Problems) -> None:
        self._file = file
        self._entries = entries
        self._document = document
        self._problems = problems
        self._event_names = whole_plan(file.tracking_plan).names()

    def check_audience(self, key: Key, audience: Audience) -> None:
        """The audiences that an audience is made of."""
        for name in sorted(audience.refers_to()):
            self._known(self._where_named(key, name), "audiences", name)
        for name in sorted(audience.events()):
            self._planned(key, name, ("event",))
        if audience.sql is not None:
            self._check_sql((*key, "sql"), audience.sql)

    def _check_sql(self, key: Key, sql: str) -> None:
        from millstream.state.audiences.compiling.own_sql import checked_select

        try:
            checked_select(sql, where=dotted(key))
        except ConfigurationError as error:
            self._problems.add(key, error.what, line=self._document.line(key), remedy=error.remedy)

    def check_tracking_plan(self) -> None:
        """A name that stands for two events stands for neither."""
        for event, name, other in self._file.tracking_plan.ambiguous():
            told = f"the name {name!r} is that of the event {other!r}, too; case, spaces and punctuation do not count."
            self._add(("tracking_plan", "events", event), told, ())

    def check_circles(self) -> None:
        """Audiences that are made of themselves have no members that could be computed."""
        audiences = self._file.audiences
        parts = {
            name: [one for one in audience.refers_to() if one in audiences] for name, audience in audiences.items()
        }
        try:
            TopologicalSorter(parts).prepare()
        except CycleError as error:
            circle: list[str] = error.args[1]
            key = ("audiences", circle[0])
            self._add(self._where_named(key, circle[1]), f"the audience is made of itself: {' of '.join(circle)}.", ())

    def check_trusted_sources(self) -> None:
        """The sources that survivorship ranks, as source or source.stream."""
        rules = self._file.survivorship
        ranked: dict[Key, tuple[str, ...]] = {("survivorship", "sources"): rules.sources}
        ranked |= {("survivorship", "traits", name, "sources"): rule.sources for name, rule in rules.traits.items()}
        for key, names in ranked.items():
            for index, name in enumerate(names):
                self._known((*key, index), "sources", name.partition(".")[0])

    def _where_named(self, key: Key, name: str, keys: Collection[str] = ("audience", "not_audience")) -> Key:
        """The place below a key where something, mostly another audience, is named."""
        for place in self._document.lines:
            said = [part for part in place[len(key) :] if isinstance(part, str)]
            is_below = place[: len(key)] == key and bool(said) and said[-1] in keys
            if is_below and self._document.value(place) == name:
                return place
        return key

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
        if sync.mode is SyncMode.MIRROR and sync.leaving not in destination.leavings:
            self._add(
                (*key, "on_leave"),
                f"{destination.title} cannot {sync.leaving.value.replace('_', ' ')}.",
                sorted(leaving.value for leaving in destination.leavings),
            )
        if sync.create_fields and not destination.codes("create_field"):
            self._add((*key, "create_fields"), f"{destination.title} makes no fields by API, or needs none made.", ())
        if sync.match_key not in destination.match_keys:
            self._add(
                (*key, "match", sync.match_key),
                f"{destination.title} does not find people by {sync.match_key!r}.",
                destination.match_keys,
                given=sync.match_key,
            )
        for name in consent_fields_among(destination, sync.fields):
            told = f"{name!r} carries consent or billing at {destination.title}; a sync does not write it."
            self._add((*key, "fields", name), told, ())
        fields = [field.name for field in destination.fields]
        for name in sync.fields:
            if not destination.custom_fields and name not in fields:
                self._add((*key, "fields", name), f"{destination.title} has no field {name!r}.", fields, given=name)

    def check_delivery(self) -> None:
        """The audiences of holdouts and priority lists."""
        rules = self._file.delivery
        for name in rules.audience_holdouts:
            self._known(("delivery", "audience_holdouts", name), "audiences", name)
        for title, names in rules.priorities.items():
            for index, name in enumerate(names):
                self._known(("delivery", "priorities", title, index), "audiences", name)

    def check_traits(self) -> None:
        """The events that computed traits know as purchases or foretell, and the shipped sets that are left out."""
        rules = self._file.traits
        for index, name in enumerate(rules.purchases):
            self._planned(("traits", "purchases", index), name, ())
        for title, propensity in rules.propensities.items():
            self._planned(("traits", "propensities", title, "event"), propensity.event, ())
        known = shipped_names()
        for index, name in enumerate(rules.without):
            if name not in known:
                told = f"there is no shipped trait set {name!r}."
                self._add(("traits", "without", index), told, known, given=name)

    def check_sources_named(self, key: Key, named: str) -> None:
        """A source, or two that are compared, as ``one / other``."""
        for source in named.split(" / "):
            self._known(key, "sources", source)

    def check_measurement(self) -> None:
        """The events, audiences, syncs and figures that are measured."""
        rules = self._file.measurement
        for place, name in rules.events():
            self._planned(("measurement", *place), name, ("event", "goal"))
        for name, experiment in rules.experiments.items():
            self._known(("measurement", "experiments", name, "audience"), "audiences", experiment.audience)
        for name in rules.lift.syncs:
            self._known(("measurement", "lift", "syncs", name), "syncs", name)
        for name, figure in rules.figures.items():
            if figure.sql is not None:
                self._check_figure_sql(("measurement", "figures", name, "sql"), figure.sql)
            if is_shipped(name):
                told = f"Millstream has a figure {name!r} of its own; give this one another name."
                self._add(("measurement", "figures", name), told, ())
        star = rules.north_star_name()
        if star is not None and not is_shipped(star) and star not in rules.own_figures():
            allowed = (*rules.own_figures(), *SHIPPED)
            self._add(("measurement", "north_star"), f"there is no figure {star!r}.", allowed, given=star)

    def _check_figure_sql(self, key: Key, sql: str) -> None:
        from millstream.state.measurement.own_figures import checked_figure_sql

        try:
            checked_figure_sql(sql, where=dotted(key))
        except ConfigurationError as error:
            self._problems.add(key, error.what, line=self._document.line(key), remedy=error.remedy)

    def _planned(self, key: Key, name: str, keys: Collection[str]) -> None:
        """An event is named as the tracking plan names it."""
        canonical = self._event_names.get(fold(name), name)
        if canonical != name:
            place = self._where_named(key, name, keys)
            remedy = f"write {canonical!r}; events are stored under the names of the tracking plan."
            told = f"the tracking plan calls the event {name!r} {canonical!r}."
            self._problems.add(place, told, line=self._document.line(place), remedy=remedy)

    def check_alerts(self, key: Key) -> None:
        """The syncs that have alerts of their own."""
        self._known(key, "syncs", key[-1])

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
