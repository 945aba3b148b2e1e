"""Reads store and journal into the facts of a report."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from millstream.flows.report.facts.audiences import AudiencesFacts, read_audiences
from millstream.flows.report.facts.deliveries import DeliveryFacts, read_deliveries, read_journal
from millstream.flows.report.facts.people import PeopleFacts, read_people
from millstream.flows.report.facts.quality import QualityFacts, read_quality
from millstream.flows.report.facts.reader import Reader
from millstream.flows.report.facts.results import ResultFacts, read_results
from millstream.flows.report.facts.traits import TraitFacts, read_traits
from millstream.state.audiences.ready_made import written_out

if TYPE_CHECKING:
    from millstream.flows.steps import Workspace


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """All that a report tells, with exact counts. It stays in this process: what is written goes through ``numbers``.

    Attributes:
        project: The project's name.
        as_of: The time of the report, aware.
        currency: The base currency, where there is one.
        people: Who is known; None before the first resolution.
        audiences: None before the first selection.
        results: None before the first measurement.
        traits: Computed traits.
        quality: None before the first audit.
        deliveries: What was sent, and the last runs.
    """

    project: str
    as_of: datetime
    currency: str | None
    people: PeopleFacts | None
    audiences: AudiencesFacts | None
    results: ResultFacts | None
    traits: TraitFacts
    quality: QualityFacts | None
    deliveries: DeliveryFacts


def gather(workspace: Workspace, *, as_of: datetime) -> ReportData:
    """Read everything in one go: the store is open only meanwhile.

    Args:
        workspace: The project with its databases.
        as_of: The time of the report, aware.
    """
    project = workspace.project
    reasons, runs = read_journal(workspace.journal, project.syncs)
    audiences = written_out(project.audiences, project.traits)
    described = {name: audience.description for name, audience in audiences.items()}
    own = {name for name, figure in project.measurement.own_figures().items() if figure.count == "people"}
    with workspace.store.open() as connection:
        reader = Reader(connection)
        return ReportData(
            project=project.name,
            as_of=as_of,
            currency=project.currency.base if project.currency else None,
            people=read_people(reader),
            audiences=read_audiences(reader, described, as_of=as_of),
            results=read_results(reader, as_of=as_of, count_people=own),
            traits=read_traits(reader),
            quality=read_quality(reader, as_of=as_of),
            deliveries=DeliveryFacts(
                syncs=read_deliveries(reader, {name: sync.destination for name, sync in project.syncs.items()}),
                reasons=reasons,
                runs=runs,
            ),
        )
