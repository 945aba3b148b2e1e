"""Resolve: from raw rows to profiles. A run, a dry run and a decision by hand all do it like this."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from millstream.flows.project import Project
    from millstream.flows.steps.workspace import Workspace
    from millstream.sources.pull import AnySource
    from millstream.state.identity.linkage.rules import LinkageRules
    from millstream.state.identity.rules import IdentityRules
    from millstream.state.profiles.freshness import TraitFreshness
    from millstream.state.store import Connection

log = logging.getLogger(__name__)


@dataclass
class ResolveReport:
    """What resolving did.

    Attributes:
        modelled: Raw rows that were new.
        records: Records of people in all.
        profiles: People in all.
        new: People not seen before.
        merged: Times two people turned out to be one.
        split: Times one turned out to be several.
        blocked: Identifier values left aside because they would glue strangers together.
        shared: Identifier values that several people share; each joins only those that agree otherwise.
        refused: Joins that a limit or a decision forbids.
        households: Groups of people who live together.
        suggested: Pairs of records that are probably one person, for somebody to look at (`millstream review`).
        stale: Traits of people that no record confirmed for longer than they keep.
        freshness: The same by trait: people with a value, and those of them whose value is fresh.
        unplanned_events: New events that the tracking plan does not know.
        incomplete_events: New events without a property that the plan requires.
        invalid_events: New events with a property of a wrong type, or whose value is not allowed.
        unconverted_events: New events with a value for whose currency there is no rate.
    """

    modelled: int = 0
    records: int = 0
    profiles: int = 0
    new: int = 0
    merged: int = 0
    split: int = 0
    blocked: int = 0
    shared: int = 0
    refused: int = 0
    households: int = 0
    suggested: int = 0
    stale: int = 0
    freshness: tuple[TraitFreshness, ...] = ()
    unplanned_events: int = 0
    incomplete_events: int = 0
    invalid_events: int = 0
    unconverted_events: int = 0
    seconds: float = 0.0
    ok: bool = True

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {**asdict(self), "seconds": round(self.seconds, 3)}


def resolve(workspace: Workspace, *, run_id: str, full: bool = False) -> ResolveReport:
    """Model what was pulled, work out who is who, and write one profile a person."""
    from millstream.flows.steps.unheard import unheard_names

    project = workspace.project
    with workspace.store.transaction() as connection:
        report = bring_up_to_date(
            connection, project, rules=project.identity, run_id=run_id, now=datetime.now(UTC), full=full
        )
        unheard = unheard_names(project, connection)
    for one in unheard:
        log.warning("%s:%d: %s: %s What to do: %s", project.path.name, one.line, one.key, one.what, one.remedy)
    return report


def bring_up_to_date(
    connection: Connection,
    project: Project,
    *,
    rules: IdentityRules,
    run_id: str,
    now: datetime,
    full: bool = False,
) -> ResolveReport:
    """Model what was pulled, work out who is who, and write one profile a person.

    Args:
        connection: The open store, in a transaction.
        project: Its sources say what their rows mean.
        rules: Usually the project's; those of the last run, where only something else is to change.
        run_id: Names this run in the history.
        now: The time to write down, aware.
        full: Do it for everyone, not only where something changed.
    """
    started, report = time.monotonic(), ResolveReport()
    connectors = {name: project.source(name, secrets=False) for name in project.sources}
    _model(connection, project, connectors.items(), report, rules=rules, now=now)
    know(connection, project, report, rules=rules, run_id=run_id, now=now, full=full)
    report.seconds = time.monotonic() - started
    return report


def _model(
    connection: Connection,
    project: Project,
    connectors: Iterable[tuple[str, AnySource]],
    report: ResolveReport,
    *,
    rules: IdentityRules,
    now: datetime,
) -> None:
    from millstream.state.model.build import build_model
    from millstream.state.model.currency import keep_rates
    from millstream.state.model.tables import create_tables

    create_tables(connection)
    keep_rates(connection, project.currency, root=project.root)
    for name, connector in connectors:
        modelled = build_model(
            connection,
            name,
            connector.selected_streams(),
            plan=project.tracking_plan,
            rules=rules,
            account=project.file.sources[name].connection,
            currency=project.currency,
            now=now,
        )
        report.modelled += modelled.rows
        report.unplanned_events += modelled.unplanned_events
        report.incomplete_events += modelled.incomplete_events
        report.invalid_events += modelled.invalid_events
        report.unconverted_events += modelled.unconverted_events


def know(
    connection: Connection,
    project: Project,
    report: ResolveReport,
    *,
    rules: IdentityRules,
    run_id: str,
    now: datetime,
    full: bool = False,
    link: bool = True,
) -> None:
    """Work out who is who among the records that are modelled, and describe each person; fill in the report.

    Args:
        connection: The open store, in a transaction.
        project: Whose word counts where records differ.
        report: What is done goes in here.
        rules: What joins records.
        run_id: Names this run in the history.
        now: The time to write down, aware.
        full: Do it for everyone.
        link: Look for probable links too.
    """
    from millstream.state.identity.circumstances import WAITING
    from millstream.state.identity.resolve import resolve
    from millstream.state.profiles.golden import build_profiles
    from millstream.state.store import count_rows

    resolved = resolve(connection, rules, run_id=run_id, now=now, full=full)
    report.new, report.merged, report.split = resolved.new, resolved.merged, resolved.split
    if link and _link(connection, rules, root=project.root, run_id=run_id, now=now, full=full):
        resolved = resolve(connection, rules, run_id=run_id, now=now)
        report.new += resolved.new
        report.merged += resolved.merged
        report.split += resolved.split
    # Rules that concern no join (of households, of linkage) make resolve do nothing: they are kept all the same.
    kept = rules.model_dump_json()
    connection.execute("UPDATE customers.resolve_state SET rules = ? WHERE rules <> ?", [kept, kept])
    report.households = resolved.households
    described = build_profiles(
        connection,
        project.survivorship,
        now=now,
        full=full,
        declared=_declared_traits(project),
        lifetimes={kind: rule.lifetime_days for kind, rule in rules.kinds.items()},
    )
    report.freshness = described.freshness
    report.stale = sum(trait.profiles - trait.fresh for trait in described.freshness)
    report.records, report.profiles = resolved.records, resolved.profiles
    report.blocked, report.shared, report.refused = resolved.blocked_values, resolved.shared_values, resolved.refused
    report.suggested = count_rows(connection, f"({WAITING}) AS waiting")


def _link(connection: Connection, rules: IdentityRules, *, root: Path, run_id: str, now: datetime, full: bool) -> bool:
    """Find probable links; whether records have to be joined or let go for them.

    Where linkage is off, what it found before no longer holds. What was accepted by hand does.
    """
    from millstream.state.identity import linkage

    if rules.linkage.enabled:
        found = with_url(rules.linkage, root)
        return linkage.link(connection, found, run_id=run_id, now=now, full=full).changed > 0
    # Without what it learned, it begins anew when it is on again.
    connection.execute("DELETE FROM customers.linkage_model")
    for end in ("record_a", "record_b"):
        connection.execute(f"INSERT INTO customers.rejoin SELECT {end} FROM customers.links WHERE status = 'merged'")
    off = connection.execute(
        "UPDATE customers.links SET status = 'withdrawn', reason = 'linkage is off', run_id = ?, changed_at = ? "
        "WHERE status IN ('merged', 'suggested') RETURNING link_id",
        [run_id, now],
    ).fetchall()
    return bool(off)


def with_url(rules: LinkageRules, root: Path) -> LinkageRules:
    """The rules with the URL of the place to compare in, where the project file only says where it stands."""
    from pydantic import SecretStr

    from millstream.flows.project.secrets import Reference
    from millstream.state.errors import ConfigurationError

    named = Reference.of(rules.url)
    if named is None:
        return rules
    try:
        return rules.model_copy(update={"url": SecretStr(named.read(root))})
    except ConfigurationError as error:
        raise ConfigurationError(error.what, where="identity.linkage.url", remedy=error.remedy) from error


def _declared_traits(project: Project) -> list[tuple[str, str]]:
    """Name and type of every trait that the sources can bring."""
    connectors = [project.source(name, secrets=False) for name in project.sources]
    people = [stream.people for connector in connectors for stream in connector.selected_streams()]
    return [(trait.name, trait.type) for said in people if said for trait in said.traits]


def make_tables(connection: Connection) -> None:
    """The tables about people, where they are missing."""
    from millstream.state.audiences.tables import create_audience_tables
    from millstream.state.model.tables import create_tables

    create_tables(connection)
    create_audience_tables(connection)
