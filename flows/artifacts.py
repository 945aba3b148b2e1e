"""What a run leaves in Prefect's UI for people to read: tables of counts, progress, links. Never personal data."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.logging import get_run_logger

from millstream.flows.audience_tables import preview_rows, sync_preview_rows
from millstream.flows.audited_tables import dimension_rows, finding_rows, odd_day_rows, threshold_rows
from millstream.flows.measured_tables import figure_rows, funnel_rows, journey_rows, lift_rows, retention_rows

if TYPE_CHECKING:
    from millstream.destinations.reconciling import DriftReport
    from millstream.destinations.sync_report import SyncReport
    from millstream.flows.alerting import WatchReport
    from millstream.flows.auditing import AuditReport
    from millstream.flows.measuring import MeasureReport
    from millstream.flows.people import ResolveReport
    from millstream.flows.previewing import SelectPreview
    from millstream.flows.reconciling import ReconcileReport
    from millstream.flows.rehearsing import Rehearsal
    from millstream.flows.steps import PipelineReport
    from millstream.sources.forecast import Forecast
    from millstream.sources.ingest import IngestReport
    from millstream.state.audiences.select import AudienceReport
    from millstream.state.identity.preview import Cause
    from millstream.state.traits.contract import ModelCard
    from millstream.state.traits.report import DescribeReport

_LONG_PULL_SECONDS = 5.0
_UPDATE_SECONDS = 3.0

Cell = str | int | float | None


def artifact_key(*parts: str) -> str:
    """A key that Prefect takes (lower-case letters, digits, dashes); runs of one thing share it, as versions."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")


def publish_pull(project: str, report: IngestReport) -> None:
    """A table of the rows of each stream."""
    _table(
        artifact_key(project, "ingest", report.source),
        f"**{report.source}**: {report.rows:,} rows pulled in {report.seconds:.1f} s",
        pull_rows(report),
    )


def publish_people(project: str, report: ResolveReport) -> None:
    """A table of one row: records in, profiles out."""
    _table(
        artifact_key(project, "people"),
        f"**{report.records:,} records** belong to **{report.profiles:,} people**",
        people_rows(report),
    )
    if fresh := freshness_rows(report):
        _table(artifact_key(project, "freshness"), "How much of what is known of people is still believed", fresh)


def publish_rehearsal(project: str, rehearsal: Rehearsal) -> None:
    """One page about what resolving would change. Values and people are counted, not named."""
    people = rehearsal.people
    counts: list[dict[str, Cell]] = [
        {"": name.replace("_", " "), "now": count, "then": people.after[name]} for name, count in people.before.items()
    ]
    changes: list[dict[str, Cell]] = [
        {
            "merged into another": people.merged,
            "lose a part": people.split,
            "new": people.appeared,
            "vanish": people.vanished,
            "values that change": people.turned,
        }
    ]
    merges: list[dict[str, Cell]] = [
        {"profile": one.profile_id, "of profiles": one.profiles, "records": one.records, "by": _kinds(one.causes)}
        for one in people.merges
    ]
    splits: list[dict[str, Cell]] = [
        {"profile": one.profile_id, "into": one.parts, "records": one.records, "keeps": one.kept,
         "no longer joined by": _kinds(one.causes)}
        for one in people.splits
    ]  # fmt: skip
    audiences: list[dict[str, Cell]] = [
        {"audience": one.audience, "now": one.before, "then": one.after, "enter": one.entered, "leave": one.left}
        for one in rehearsal.audiences
    ]
    parts = [f"# {project}: what resolving would change", "Nothing was written."]
    tables = {"Counts": counts, "People": changes, "Largest merges": merges, "Largest splits": splits}
    for title, rows in {**tables, "Audiences": audiences}.items():
        parts += [f"## {title}", markdown_table(rows)]
    parts.append("`millstream resolve --dry-run` names the values as well.")
    create_markdown_artifact("\n\n".join(parts), key=artifact_key(project, "dry-run"), description="Dry run of resolve")


def _kinds(causes: Sequence[Cause]) -> str:
    """The kinds of identifier, without their values: those are personal data."""
    named = [": ".join(part for part in (cause.kind, cause.reason) if part) for cause in causes]
    return ", ".join(dict.fromkeys(named))


def publish_traits(project: str, report: DescribeReport, cards: Mapping[str, ModelCard]) -> None:
    """A table of the sets of traits, and a page with what stands behind the predicted ones."""
    failed = f"; {len(report.failed)} sets failed" if report.failed else ""
    what = f"**{report.traits:,} traits** of {report.profiles:,} people{failed}"
    _table(artifact_key(project, "traits"), what, trait_rows(report))
    if cards:
        parts = [f"# {project}: predictions", *(card_text(trait, card) for trait, card in sorted(cards.items()))]
        create_markdown_artifact(
            "\n\n".join(parts), key=artifact_key(project, "predictions"), description="What stands behind predictions"
        )


def publish_select_preview(project: str, preview: SelectPreview) -> None:
    """One page about what selecting would change. People are counted, not named."""
    parts = [f"# {project}: what selecting would change", "Nothing was written."]
    parts += ["## Audiences", markdown_table(preview_rows(preview))]
    parts += ["## Syncs that would get something to do", markdown_table(sync_preview_rows(preview))]
    create_markdown_artifact(
        "\n\n".join(parts), key=artifact_key(project, "audiences-dry-run"), description="Dry run of select"
    )


def publish_audiences(project: str, reports: Sequence[AudienceReport]) -> None:
    """A table of the members of each audience."""
    _table(artifact_key(project, "audiences"), "Members of each audience", audience_rows(reports))


def publish_sync(project: str, report: SyncReport, *, docs_url: str) -> None:
    """A table of what the destination made of the rows, and where to read about what it refused."""
    key = artifact_key(project, "activate", report.sync)
    _table(key, f"**{report.sync}**: {report.status}", sync_rows([report]))
    if report.rejected:
        create_link_artifact(
            link=docs_url,
            link_text="What the destination says about its errors",
            key=f"{key}-docs",
            description=f"{report.rejected:,} rows were rejected; `millstream rejected {report.sync}` lists them.",
        )


def publish_pipeline(project: str, report: PipelineReport, problems: Sequence[str]) -> None:
    """One page about a whole run, and a link to it under a key that always names the latest run."""
    from prefect.runtime import flow_run
    from prefect.utilities.urls import url_for

    parts = [f"# {project}: {'everything is in step' if report.ok else 'not everything worked'}"]
    parts += [f"- {problem}" for problem in problems]
    parts += ["## Pulled", markdown_table([row for one in report.ingested for row in pull_rows(one)])]
    if report.resolved.records:
        parts += ["## People", markdown_table(people_rows(report.resolved))]
    if report.described.sets:
        parts += ["## Traits", markdown_table(trait_rows(report.described))]
    parts += ["## Audiences", markdown_table(audience_rows(report.selected))]
    parts += ["## Sent", markdown_table(sync_rows(report.activated))]
    create_markdown_artifact(
        "\n\n".join(parts), key=artifact_key(project, "pipeline"), description=f"Run {report.run_id}"
    )
    if url := url_for("flow-run", obj_id=flow_run.id):
        create_link_artifact(url, link_text="Latest pipeline run", key=artifact_key(project, "latest-run"))


def publish_drift(project: str, report: ReconcileReport) -> None:
    """A table of how far each destination is from what it acknowledged."""
    what = "Every destination is as it acknowledged" if report.ok else "Not every destination is as it acknowledged"
    _table(artifact_key(project, "reconcile"), what, drift_rows(report.reconciled))


def publish_measured(project: str, report: MeasureReport) -> None:
    """One page with figures, cohorts, funnels, journeys, and what campaigns changed."""
    parts = [f"# {project}: what was measured"]
    tables = {
        "Key figures": figure_rows(report),
        "Who comes back": retention_rows(report),
        "Funnels": funnel_rows(report),
        "Ways to a goal": journey_rows(report),
        "Addressed against held out, and variants": lift_rows(report),
    }
    for title, rows in tables.items():
        parts += [f"## {title}", markdown_table(rows)]
    create_markdown_artifact(
        "\n\n".join(parts), key=artifact_key(project, "measured"), description=f"Figures up to {report.last}"
    )


def publish_alerts(project: str, report: WatchReport) -> None:
    """A table of all that is wrong now."""
    rows: list[dict[str, Cell]] = [
        {"what": one.subject, "kind": one.kind, "since": f"{one.since:%Y-%m-%d %H:%M}", "more": one.what}
        for one in report.firing
    ]
    _table(artifact_key(project, "alerts"), f"**{len(rows)}** things are wrong" if rows else "Nothing is wrong", rows)


def drift_rows(reports: Sequence[DriftReport]) -> list[dict[str, Cell]]:
    """One row for each sync."""
    return [
        {
            "sync": one.sync,
            "status": one.status,
            "acknowledged": one.acknowledged,
            "there": one.found,
            "missing": one.missing,
            "there again": one.extra,
            "sent without an answer": one.uncertain,
            "strangers": one.strangers,
            "repaired": one.repaired,
            "problem": str(one.error) if one.error else (one.why or ""),
        }
        for one in reports
    ]


def pull_rows(report: IngestReport) -> list[dict[str, Cell]]:
    """One row for each stream."""
    return [
        {
            "source": report.source,
            "stream": stream.stream,
            "status": stream.status,
            "rows": stream.rows,
            "loaded": stream.loaded,
            "problem": str(stream.error) if stream.error else "",
        }
        for stream in report.streams
    ]


def people_rows(report: ResolveReport) -> list[dict[str, Cell]]:
    """One row with the counts of who is who."""
    return [
        {
            "records": report.records,
            "people": report.profiles,
            "new": report.new,
            "merged": report.merged,
            "split": report.split,
            "values left aside": report.blocked,
            "shared values": report.shared,
            "joins refused": report.refused,
            "households": report.households,
            "to review": report.suggested,
            "values out of date": report.stale,
        }
    ]


def freshness_rows(report: ResolveReport) -> list[dict[str, Cell]]:
    """One row for each trait whose values go stale."""
    return [
        {
            "trait": one.trait,
            "believed for days": one.lifetime_days,
            "people": one.profiles,
            "fresh": one.fresh,
            "share": f"{one.share:.0%}",
        }
        for one in report.freshness
        if one.lifetime_days is not None
    ]


def publish_audit(project: str, report: AuditReport) -> None:
    """One page with what is not as good as it could be."""
    parts = [f"# {project}: data quality"]
    tables = {
        "Thresholds": threshold_rows(report),
        "Dimensions": dimension_rows(report),
        "Odd days": odd_day_rows(report),
        "Checks that not all pass": [row for row in finding_rows(report) if row["failed"]],
    }
    for title, rows in tables.items():
        parts += [f"## {title}", markdown_table(rows)]
    broken = sum(not one.ok for one in report.judgements)
    create_markdown_artifact(
        "\n\n".join(parts),
        key=artifact_key(project, "quality"),
        description=f"{len(report.findings):,} checks; thresholds that are not reached: {broken}",
    )


def trait_rows(report: DescribeReport) -> list[dict[str, Cell]]:
    """One row for each set of traits."""
    return [
        {
            "set": one.name,
            "status": one.status,
            "people": one.people,
            "share": f"{one.people / report.profiles:.0%}" if report.profiles else "",
            "computed": f"{one.computed_at:%Y-%m-%d %H:%M}" if one.computed_at else "",
            "seconds": round(one.seconds, 2),
            "message": one.message,
        }
        for one in report.sets
    ]


def card_text(trait: str, card: ModelCard) -> str:
    """What stands behind a predicted trait, as Markdown."""
    rows: list[dict[str, Cell]] = [
        {"predicted": f"{one.predicted:.3g}", "observed": f"{one.observed:.3g}", "people": one.people}
        for one in card.calibration
    ]
    text = f"## {trait}\n\n{card.sentence}\n\n" + "\n".join(f"- {line}" for line in card.lines())
    return f"{text}\n\n{markdown_table(rows)}" if rows else text


def audience_rows(reports: Sequence[AudienceReport]) -> list[dict[str, Cell]]:
    """One row for each audience."""
    return [{"audience": one.name, "members": one.size, "entered": one.entered, "left": one.left} for one in reports]


def sync_rows(reports: Sequence[SyncReport]) -> list[dict[str, Cell]]:
    """One row for each sync."""
    return [
        {
            "sync": one.sync,
            "status": one.status,
            "sent": one.accepted,
            "rejected": one.rejected,
            "suppressed": one.suppressed,
            "retry later": one.retry_later,
            "unknown": one.unknown,
            "requests": one.requests,
            "problem": str(one.error) if one.error else "",
        }
        for one in reports
    ]


def markdown_table(rows: Sequence[dict[str, Cell]]) -> str:
    """Rows as a Markdown table; a word when there are none."""
    if not rows:
        return "None."
    lines = [list(rows[0]), ["---" for _ in rows[0]], *([_cell(value) for value in row.values()] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


class PullProgress:
    """Logs how far a pull is, and shows a progress bar in the UI once the pull turns out to be a long one.

    The bar counts streams; of one whose rows the vendor has announced, its share.

    Args:
        source: Name of the source, for the log.
        key: Artifact key.
        streams: The streams in the order in which they are read.
    """

    def __init__(self, source: str, key: str, streams: Sequence[str]) -> None:
        self._source = source
        self._key = key
        self._streams = list(streams)
        self._logger = get_run_logger()
        self._bar: UUID | None = None
        self._started = self._told = time.monotonic()
        self._left: dict[str, Forecast] = {}

    def foretell(self, source: str, stream: str, left: Forecast) -> None:
        """The vendor has announced how many rows there are: what is left of a stream after a page."""
        self._left[stream] = left

    def __call__(self, source: str, stream: str, rows: int) -> None:
        """A page of the source was read: ``rows`` of the stream so far."""
        now = time.monotonic()
        if now - self._told < _UPDATE_SECONDS:
            return
        self._told = now
        left = self._left.get(stream)
        how_far = str(left) if left else f"{rows:,} rows so far"
        self._logger.info("%s.%s: %s", source, stream, how_far)
        if now - self._started >= _LONG_PULL_SECONDS:
            self._show(self._share(stream), f"{source}: reading {stream}, {how_far}")

    def finish(self, rows: int) -> None:
        """The pull is over."""
        if self._bar:
            self._show(100.0, f"{self._source}: {rows:,} rows pulled")

    def _share(self, stream: str) -> float:
        done: float = self._streams.index(stream) if stream in self._streams else 0
        left = self._left.get(stream)
        if left and left.expected:
            done += min(1.0, left.rows / left.expected)
        return 100.0 * done / max(len(self._streams), 1)

    def _show(self, percent: float, description: str) -> None:
        if self._bar is None:
            made = create_progress_artifact(percent, key=self._key, description=description)
            assert isinstance(made, UUID), "outside of an event loop Prefect answers at once"
            self._bar = made
        else:
            update_progress_artifact(self._bar, percent, description=description)


def _table(key: str, description: str, rows: Sequence[dict[str, Cell]]) -> None:
    create_table_artifact(table=list(rows), key=key, description=description)


def _cell(value: Cell) -> str:
    text = f"{value:,}" if isinstance(value, int) else str(value if value is not None else "")
    return text.replace("|", "\\|").replace("\n", " ")
