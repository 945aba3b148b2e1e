"""Reports of the steps, as tables and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from millstream.flows.cli.output import day, print_error, print_json, print_note, print_table
from millstream.flows.showing.audiences import audience_rows
from millstream.flows.showing.figures import figure_rows
from millstream.flows.showing.quality import threshold_rows
from millstream.state.amounts import counted, people_counted, who_is_who

if TYPE_CHECKING:
    from millstream.flows.cli.engines.contract import Outcome
    from millstream.flows.showing.cells import Row
    from millstream.flows.steps import PipelineReport
    from millstream.state.checks import CheckResult


def show_outcome(outcome: Outcome, parts: Sequence[str], *, as_json: bool) -> bool:
    """Show the parts of a run that a command is about, and what went wrong in it.

    Args:
        outcome: What was done.
        parts: Of ``ingested``, ``resolved``, ``described``, ``selected``, ``activated``, ``measured``, ``audited``.
        as_json: For programs.

    Returns:
        Whether all went well.
    """
    report = outcome.report
    if as_json:
        whole = report.as_json()
        shown = {"ok": outcome.ok, "run_id": report.run_id or None, "problems": outcome.problems}
        print_json({**shown, **{part: whole[part] for part in parts}})
    else:
        for part in parts:
            _TABLES[part](report)
    for problem in outcome.problems:
        print_error(problem)
    return outcome.ok


def _show_ingested(report: PipelineReport) -> None:
    rows: list[Row] = [
        {
            "source": pulled.source,
            "stream": stream.stream,
            "rows": stream.rows,
            "status": stream.status,
            "since": day(stream.since) if stream.since else "the beginning",
            "quarantined": stream.broken or None,
        }
        for pulled in report.ingested
        for stream in pulled.streams
    ]
    nothing: Row = dict.fromkeys(("stream", "rows", "since", "quarantined"))
    rows += [
        {"source": one.source, **nothing, "status": "skipped: another run pulls it"}
        for one in report.ingested
        if one.skipped
    ]
    total = sum(pulled.rows for pulled in report.ingested)
    print_table(f"Pulled {counted(total, 'row')}", rows, rare=("quarantined",), empty="No stream was read.")
    for pulled in report.ingested:
        for stream in pulled.streams:
            for warning in stream.warnings:
                print_note(f"warning: {pulled.source}.{stream.stream}: {warning}")


def _show_resolved(report: PipelineReport) -> None:
    resolved = report.resolved
    print_table(
        who_is_who(resolved.records, resolved.profiles),
        [
            {
                "new rows": resolved.modelled,
                "new people": resolved.new,
                "merged": resolved.merged,
                "split": resolved.split,
                "values left aside": resolved.blocked,
                "shared values": resolved.shared,
                "joins refused": resolved.refused,
                "households": resolved.households,
                "to review": resolved.suggested,
                "values out of date": resolved.stale,
                "events outside the plan": resolved.unplanned_events,
                "incomplete events": resolved.incomplete_events,
                "invalid events": resolved.invalid_events,
                "values without a rate": resolved.unconverted_events,
            }
        ],
        rare=(
            "values left aside",
            "shared values",
            "joins refused",
            "households",
            "to review",
            "values out of date",
            "events outside the plan",
            "incomplete events",
            "invalid events",
            "values without a rate",
        ),
    )
    if resolved.suggested:
        print_note("Some records are probably one person: see `millstream review`.")


def _show_described(report: PipelineReport) -> None:
    described = report.described
    rows: list[Row] = [
        {
            "set": one.name,
            "status": one.status,
            "people": one.people,
            "computed": day(one.computed_at) if one.computed_at else "never",
            "seconds": one.seconds,
            "message": one.message,
        }
        for one in described.sets
    ]
    print_table(
        f"{counted(described.traits, 'trait')} of {people_counted(described.profiles)}", rows, rare=("message",)
    )


def _show_selected(report: PipelineReport) -> None:
    print_table("Audiences", audience_rows(report.selected))


def _show_activated(report: PipelineReport) -> None:
    rows: list[Row] = [
        {
            "sync": one.sync,
            "status": one.status,
            "accepted": one.accepted,
            "rejected": one.rejected,
            "suppressed": one.suppressed,
            "retry later": one.retry_later,
            "unknown": one.unknown,
        }
        for one in report.activated
    ]
    print_table("Sent", rows, rare=("retry later", "unknown"))
    still = [one for one in report.activated if one.ok and one.planned and not one.planned.operations]
    if still:
        requests = sum(one.requests for one in still)
        what = "Nothing changed" if len(still) == len(report.activated) else f"Nothing changed for {len(still)} of them"
        print_note(f"{what}: {counted(requests, 'request')} made.")


def _show_measured(report: PipelineReport) -> None:
    if report.measured is not None:
        print_table("Key figures", figure_rows(report.measured), rare=("of",))


def _show_audited(report: PipelineReport) -> None:
    if report.audited is not None and not report.audited.ok:
        broken = [row for row in threshold_rows(report.audited) if row["state"] == "BROKEN"]
        print_table("Data that are not good enough", broken)


_TABLES = {
    "ingested": _show_ingested,
    "resolved": _show_resolved,
    "described": _show_described,
    "selected": _show_selected,
    "activated": _show_activated,
    "measured": _show_measured,
    "audited": _show_audited,
}


def show_checks(results: Sequence[CheckResult], *, as_json: bool) -> bool:
    """Show what can be used and what cannot; False when something cannot."""
    ok = all(result.ok for result in results)
    if as_json:
        print_json({"ok": ok, "checks": [result.as_json() for result in results]})
        return ok
    rows: list[Row] = [
        {
            "what": result.kind,
            "name": result.name,
            "ok": result.ok,
            "problem": result.problem or "",
            "detail": result.detail,
            "what to do": result.remedy or "",
        }
        for result in results
    ]
    print_table("Checked", rows, rare=("problem", "detail", "what to do"))
    if ok:
        print_note("Everything can be used.")
    return ok
