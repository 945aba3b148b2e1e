"""What each step leaves. Counts only: never personal data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from millstream.flows.artifacts.writing import artifact_key, put_link, put_page, put_table
from millstream.flows.showing.audiences import audience_rows, preview_rows, sync_preview_rows
from millstream.flows.showing.figures import figure_rows, funnel_rows, journey_rows, lift_rows, retention_rows
from millstream.flows.showing.people import freshness_rows, people_rows, rehearsal_tables
from millstream.flows.showing.quality import dimension_rows, finding_rows, odd_day_rows, threshold_rows
from millstream.flows.showing.streams import pull_rows
from millstream.flows.showing.syncs import drift_rows, sync_rows
from millstream.flows.showing.traits import card_text, trait_rows
from millstream.state.amounts import counted, people_counted

if TYPE_CHECKING:
    from millstream.destinations.sync_report import SyncReport
    from millstream.flows.alerting import WatchReport
    from millstream.flows.dry_runs.resolving import Rehearsal
    from millstream.flows.dry_runs.selecting import SelectPreview
    from millstream.flows.showing.cells import Row
    from millstream.flows.steps import AuditReport, MeasureReport, PipelineReport, ReconcileReport, ResolveReport
    from millstream.sources.ingest import IngestReport
    from millstream.state.audiences.select import AudienceReport
    from millstream.state.traits.contract import ModelCard
    from millstream.state.traits.report import DescribeReport

_DRY_RUN = "Nothing was written."


def publish_pull(project: str, report: IngestReport) -> None:
    """A table of the rows of each stream."""
    put_table(
        artifact_key(project, "ingest", report.source),
        f"**{report.source}**: {counted(report.rows, 'row')} pulled in {report.seconds:.1f} s",
        pull_rows(report),
    )


def publish_people(project: str, report: ResolveReport) -> None:
    """A table of one row: records in, profiles out."""
    belong = "belongs" if report.records == 1 else "belong"
    put_table(
        artifact_key(project, "people"),
        f"**{counted(report.records, 'record')}** {belong} to **{people_counted(report.profiles)}**",
        people_rows(report),
    )
    if fresh := freshness_rows(report):
        put_table(artifact_key(project, "freshness"), "How much of what is known of people is still believed", fresh)


def publish_rehearsal(project: str, rehearsal: Rehearsal) -> None:
    """One page about what resolving would change. Values and people are counted, not named."""
    put_page(
        artifact_key(project, "dry-run"),
        "Dry run of resolve",
        f"{project}: what resolving would change",
        lead=[_DRY_RUN],
        tables=rehearsal_tables(rehearsal),
        end=["`millstream resolve --dry-run` names the values as well."],
    )


def publish_traits(project: str, report: DescribeReport, cards: Mapping[str, ModelCard]) -> None:
    """A table of the sets of traits, and a page with what stands behind the predicted ones."""
    failed = f"; {len(report.failed)} sets failed" if report.failed else ""
    what = f"**{counted(report.traits, 'trait')}** of {people_counted(report.profiles)}{failed}"
    put_table(artifact_key(project, "traits"), what, trait_rows(report))
    if cards:
        put_page(
            artifact_key(project, "predictions"),
            "What stands behind predictions",
            f"{project}: predictions",
            lead=[card_text(trait, card) for trait, card in sorted(cards.items())],
        )


def publish_audiences(project: str, reports: Sequence[AudienceReport]) -> None:
    """A table of the members of each audience."""
    put_table(artifact_key(project, "audiences"), "Members of each audience", audience_rows(reports))


def publish_select_preview(project: str, preview: SelectPreview) -> None:
    """One page about what selecting would change. People are counted, not named."""
    put_page(
        artifact_key(project, "audiences-dry-run"),
        "Dry run of select",
        f"{project}: what selecting would change",
        lead=[_DRY_RUN],
        tables={
            "Audiences": preview_rows(preview),
            "Syncs that would get something to do": sync_preview_rows(preview),
        },
    )


def publish_sync(project: str, report: SyncReport, *, docs_url: str) -> None:
    """A table of what the destination made of the rows, and where to read about what it refused."""
    key = artifact_key(project, "activate", report.sync)
    put_table(key, f"**{report.sync}**: {report.status}", sync_rows([report]))
    if report.rejected:
        put_link(
            f"{key}-docs",
            docs_url,
            "What the destination says about its errors",
            f"{report.rejected:,} rows were rejected; `millstream rejected {report.sync}` lists them.",
        )


def publish_drift(project: str, report: ReconcileReport) -> None:
    """A table of how far each destination is from what it acknowledged."""
    what = "Every destination is as it acknowledged" if report.ok else "Not every destination is as it acknowledged"
    put_table(artifact_key(project, "reconcile"), what, drift_rows(report.reconciled))


def publish_measured(project: str, report: MeasureReport) -> None:
    """One page with figures, cohorts, funnels, journeys, and what campaigns changed."""
    put_page(
        artifact_key(project, "measured"),
        f"Figures up to {report.last}",
        f"{project}: what was measured",
        tables={
            "Key figures": figure_rows(report),
            "Who comes back": retention_rows(report),
            "Funnels": funnel_rows(report),
            "Ways to a goal": journey_rows(report),
            "Addressed against held out, and variants": lift_rows(report),
        },
    )


def publish_audit(project: str, report: AuditReport) -> None:
    """One page with what is not as good as it could be."""
    broken = sum(not one.ok for one in report.judgements)
    put_page(
        artifact_key(project, "quality"),
        f"{len(report.findings):,} checks; thresholds that are not reached: {broken}",
        f"{project}: data quality",
        tables={
            "Thresholds": threshold_rows(report),
            "Dimensions": dimension_rows(report),
            "Odd days": odd_day_rows(report),
            "Checks that not all pass": [row for row in finding_rows(report) if row["failed"]],
        },
    )


def publish_pipeline(project: str, report: PipelineReport, problems: Sequence[str]) -> None:
    """One page about a whole run, and a link to it under a key that always names the latest run."""
    from prefect.runtime import flow_run
    from prefect.utilities.urls import url_for

    tables = {"Pulled": [row for one in report.ingested for row in pull_rows(one)]}
    if report.resolved.records:
        tables["People"] = people_rows(report.resolved)
    if report.described.sets:
        tables["Traits"] = trait_rows(report.described)
    put_page(
        artifact_key(project, "pipeline"),
        f"Run {report.run_id}",
        f"{project}: {'everything is in step' if report.ok else 'not everything worked'}",
        lead=[f"- {problem}" for problem in problems],
        tables={**tables, "Audiences": audience_rows(report.selected), "Sent": sync_rows(report.activated)},
    )
    if url := url_for("flow-run", obj_id=flow_run.id):
        put_link(artifact_key(project, "latest-run"), url, "Latest pipeline run")


def publish_alerts(project: str, report: WatchReport) -> None:
    """A table of all that is wrong now."""
    rows: list[Row] = [
        {"what": one.subject, "kind": one.kind, "since": f"{one.since:%Y-%m-%d %H:%M}", "more": one.what}
        for one in report.firing
    ]
    what = f"**{len(rows)}** things are wrong" if rows else "Nothing is wrong"
    put_table(artifact_key(project, "alerts"), what, rows)
