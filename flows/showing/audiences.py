"""Audiences, how they change, and what syncs make of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millstream.flows.dry_runs.resolving import AudienceMove
    from millstream.flows.dry_runs.selecting import SelectPreview, SyncPreview
    from millstream.flows.looking.audiences import AudiencesReport
    from millstream.flows.showing.cells import Row
    from millstream.state.audiences.moves import Moves
    from millstream.state.audiences.preview import AudiencePreview
    from millstream.state.audiences.select import AudienceReport


def audience_rows(reports: Sequence[AudienceReport]) -> list[Row]:
    """One row for each audience; why some stand still, if they do."""
    rows: list[Row] = [
        {"audience": one.name, "members": one.size, "entered": one.entered, "left": one.left} for one in reports
    ]
    return _with_held(rows, [one.held for one in reports])


def move_rows(moves: Sequence[AudienceMove]) -> list[Row]:
    """One row for each audience: how a dry run of resolve would change it; why some stand still, if they do."""
    rows: list[Row] = [
        {"audience": one.audience, "now": one.before, "then": one.after, "enter": one.entered, "leave": one.left}
        for one in moves
    ]
    return _with_held(rows, [one.held for one in moves])


def _with_held(rows: list[Row], held: Sequence[str | None]) -> list[Row]:
    return [{**row, "stands still": why} for row, why in zip(rows, held, strict=True)] if any(held) else rows


def preview_rows(preview: SelectPreview) -> list[Row]:
    """One row for each audience that would change, or whose rule did."""
    return [
        {
            "audience": one.audience,
            "rule": _rule(one),
            "now": one.before,
            "then": one.after,
            "enter": one.entered,
            "leave": one.left,
            "by the rules": _moves(one.by_rules),
            "by the data": _moves(one.by_data),
        }
        for one in preview.audiences
        if one.change != "unchanged" or one.entered or one.left or one.before != one.after or one.problem
    ]


def sync_preview_rows(preview: SelectPreview) -> list[Row]:
    """One row for each sync that would get something to do."""
    return [
        {
            "sync": one.sync if one.enabled else f"{one.sync} (off)",
            "to": one.destination,
            "mode": one.mode if one.on_leave is None else f"{one.mode}, {one.on_leave}",
            "audience": one.audience or "",
            "enter": one.enter,
            "leave": one.leave,
            "would add": one.adds,
            "update": one.updates,
            "take out": one.removes,
            "kept back": ", ".join(f"{count:,} {why}" for why, count in (one.held or {}).items()),
            "also": restraints_of(one),
            "guards": " ".join(one.guards) or one.problem,
        }
        for one in preview.syncs
    ]


def restraints_of(sync: SyncPreview) -> str:
    """Holdouts and priority lists of a sync, in words."""
    held_out = [f"{share:.0%} held out ({name})" for name, share in (sync.holdouts or {}).items()]
    return "; ".join([*held_out, *([f"after {', '.join(sync.earlier)}"] if sync.earlier else [])])


def _rule(audience: AudiencePreview) -> str:
    if audience.problem:
        return audience.problem
    if audience.because_of:
        builds = f"builds on {', '.join(audience.because_of)}"
        return builds if audience.change == "builds on" else f"{audience.change}; {builds}"
    return audience.change


def _moves(moves: Moves | None) -> str:
    return "unknown" if moves is None else f"+{moves.entered:,} -{moves.left:,}"


def standing_rows(report: AudiencesReport) -> list[Row]:
    """One row for each audience."""
    return [
        {
            "audience": one.name,
            "members": one.size,
            "of all": f"{one.share:.1%}",
            "change": None if one.change is None else f"{one.change:+,}",
            "entered": one.entered,
            "left": one.left,
            "computed": f"{one.as_of:%Y-%m-%d %H:%M}" if one.as_of else "never",
            "sent by": ", ".join(one.syncs),
            "who": one.description,
        }
        for one in report.audiences
    ]


def history_rows(report: AudiencesReport) -> list[Row]:
    """One row for each run, the latest first, with the size of every audience."""
    by_run: dict[str, Row] = {}
    for one in report.audiences:
        for at in one.history:
            by_run.setdefault(at.run_id, {"run": f"{at.as_of:%Y-%m-%d %H:%M}"})[one.name] = at.size
    names = [one.name for one in report.audiences]
    return [
        {"run": row["run"], **{name: row.get(name) for name in names}}
        for row in sorted(by_run.values(), key=lambda row: str(row["run"]), reverse=True)
    ]


def overlap_rows(report: AudiencesReport) -> list[Row]:
    """The overlap matrix: who is in both, and of the smaller one which share that is."""
    matrix = report.overlap
    if matrix is None:
        return []
    rows: list[Row] = []
    for number, first in enumerate(matrix.audiences):
        cells: Row = {
            second: f"{pair.both:,} ({pair.share:.0%})"
            for second in matrix.audiences[:number]
            if (pair := matrix.pair(first, second))
        }
        rest = dict.fromkeys(matrix.audiences[number + 1 :])
        rows.append({"audience": first, **cells, first: f"{matrix.both[number][number]:,}", **rest})
    return rows
