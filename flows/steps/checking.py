"""Check: whether databases, sources and destinations can be used, and what is wrong with traits and audiences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from millstream.flows.project.names import named
from millstream.flows.steps.describing import trait_sets_of
from millstream.state.errors import ConfigurationError

if TYPE_CHECKING:
    from millstream.destinations.sync import Sync
    from millstream.flows.project.problems import Problem
    from millstream.flows.steps.workspace import Workspace
    from millstream.state.checks import CheckResult


SETTINGS = "settings"
"""Kind of what is told of a secret that is missing or does not fit."""


def check(workspace: Workspace, names: Sequence[str] | None = None) -> list[CheckResult]:
    """Try the store, the journal, and every source and destination (or those named), without moving data.

    What lacks a secret is not tried; all else is.
    """
    from millstream.flows.project.problems import Problems
    from millstream.sources.check import check_source
    from millstream.state.checks import run_check

    project, unready = workspace.project, Problems(workspace.project.path)
    known = {**project.sources, **project.destinations}
    chosen = known if names is None else {name: named("source or destination", name, known) for name in names}
    sources = project.ready_sources([name for name in project.sources if name in chosen], unready)
    destinations = project.ready_destinations([name for name in project.destinations if name in chosen], unready)
    if names is None:
        project.note_channels(unready)

    def open_store() -> None:
        with workspace.store.open() as connection:
            connection.execute("SELECT 1")

    results = [
        *(_unready(problem) for problem in unready.found()),
        store := run_check("store", "store", open_store),
        run_check("journal", "journal", lambda: workspace.journal.last_runs(1)),
    ]
    if names is None and project.identity.linkage.enabled:
        results.append(run_check("linkage", "linkage", lambda: _probe_linkage(workspace)))
    for name, source in sources.items():
        results += check_source(source, name=name)
    for name, destination in destinations.items():
        results.append(run_check(name, "destination", destination.probe))
    if names is None:
        results += _check_traits(workspace)
    if names is not None or not store.ok:
        return results
    return results + _check_identity(workspace) + _check_audiences(workspace) + _check_syncs(workspace)


def _unready(problem: Problem) -> CheckResult:
    from millstream.state.checks import CheckResult

    return CheckResult(
        name=problem.key,
        kind=SETTINGS,
        ok=False,
        problem="credentials",
        detail=f"{problem.place}: {problem.what}",
        remedy=problem.remedy,
    )


def _probe_linkage(workspace: Workspace) -> None:
    """Connect to where Splink compares."""
    from millstream.flows.steps.resolving import with_url
    from millstream.state.identity.linkage.engine import probe

    rules = with_url(workspace.project.identity.linkage, workspace.project.root)
    probe(rules.backend, rules.place())


def _check_identity(workspace: Workspace) -> list[CheckResult]:
    """The names in the identity rules that no source says."""
    from millstream.flows.steps.unheard import unheard_names
    from millstream.state.checks import CheckResult

    with workspace.store.open() as connection:
        found = unheard_names(workspace.project, connection)
    return [
        CheckResult(
            name=one.key,
            kind="identity",
            ok=not one.certain,
            problem="other" if one.certain else None,
            detail=f"{workspace.project.path.name}:{one.line}: {one.what}",
            remedy=one.remedy,
        )
        for one in found
    ]


def _check_traits(workspace: Workspace) -> list[CheckResult]:
    """What is wrong with trait files, each by itself, then together; nothing is told of those that are right."""
    from millstream.state.traits.registry import own_files, read_own_set

    rules, root = workspace.project.traits, workspace.project.root
    found: list[CheckResult] = []
    for name, paths in own_files(rules, root).items():
        found += _faults_of_traits(partial(read_own_set, name, paths, rules))
    return found or _faults_of_traits(partial(trait_sets_of, workspace))


def _faults_of_traits(read: Callable[[], object]) -> list[CheckResult]:
    from millstream.state.checks import CheckResult

    try:
        read()
    except ConfigurationError as error:
        where, told = error.where or "traits", error.what
        return [CheckResult(name=where, kind="traits", ok=False, problem="other", detail=told, remedy=error.remedy)]
    return []


def _check_audiences(workspace: Workspace) -> list[CheckResult]:
    """What is off with audiences, by what the store knows of people so far."""
    from millstream.state.audiences.checking import check_audiences
    from millstream.state.model.standard_events import whole_plan

    project = workspace.project
    planned = whole_plan(project.tracking_plan).events
    with workspace.store.open() as connection:
        return check_audiences(connection, project.audiences, planned=planned, rules=project.traits)


def _check_syncs(workspace: Workspace) -> list[CheckResult]:
    """Syncs that map a column which is not there, or need a consent that nobody has on record.

    Nothing is told of those whose rows are not there yet.
    """
    from millstream.destinations.planning.source_rows import check_source
    from millstream.state.checks import run_check
    from millstream.state.errors import QueryError

    def look(name: str, sync: Sync) -> None:
        with workspace.store.rehearsal() as connection, suppress(QueryError):
            check_source(connection, name, sync)

    looked = [run_check(name, "sync", partial(look, name, sync)) for name, sync in workspace.project.syncs.items()]
    return [result for result in looked if not result.ok] + _check_consents(workspace)


def _check_consents(workspace: Workspace) -> list[CheckResult]:
    """Syncs by a consent that nobody has on record: it may be new, or misspelled. Of nobody nothing can be told."""
    from millstream.state.checks import CheckResult
    from millstream.state.consent import recorded_consents, unrecorded
    from millstream.state.profiles.people_view import has_people

    with workspace.store.open() as connection:
        if not has_people(connection):
            return []
        recorded = recorded_consents(connection)
    asked = {name: sync.consent for name, sync in workspace.project.syncs.items() if sync.consent != "not_needed"}
    told = {name: unrecorded(consent.channel, consent.topic, recorded) for name, consent in asked.items()}
    return [
        CheckResult(name=name, kind="sync", ok=True, detail=one[0], remedy=one[1]) for name, one in told.items() if one
    ]
