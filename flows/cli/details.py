"""What a project knows, shown: its state, and the rows that were not accepted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from millstream.flows.cli.output import Cell, print_json, print_line, print_table, utc

if TYPE_CHECKING:
    from millstream.flows.reading import StatusReport


def show_status(report: StatusReport, *, as_json: bool) -> bool:
    """The last runs, how fresh each stream is, the audiences and the syncs."""
    if as_json:
        print_json(report.as_json())
        return True
    print_table("Last runs", map(_run_row, report.runs), empty="Nothing ran yet.")
    print_table(
        "Sources",
        [
            {"source": one.source, "stream": one.stream, "rows": one.rows, "last rows": _age(one.pulled_at)}
            for one in report.streams
        ],
        empty="Nothing was pulled yet.",
    )
    print_table(
        f"Audiences, of {report.profiles:,} people",
        [
            {"audience": one.audience, "members": one.size, "last change": _age(one.changed_at)}
            for one in report.audiences
        ],
    )
    print_table(
        "Syncs",
        [
            {
                "sync": one.sync,
                "at the destination": one.acknowledged,
                "last said so": _age(one.acknowledged_at),
                "kept back": one.suppressed,
                "not accepted": one.rejected,
                "unsettled plans": one.unsettled,
            }
            for one in report.syncs
        ],
        rare=("kept back", "not accepted", "unsettled plans"),
    )
    return True


def _run_row(run: Mapping[str, Any]) -> dict[str, Cell]:
    started, finished = utc(run["started_at"]), utc(run["finished_at"])
    assert started is not None
    return {
        "run": run["run_id"],
        "kind": run["kind"],
        "started": _age(started),
        "took": f"{(finished - started).total_seconds():,.1f} s" if finished else "",
        "status": run["status"],
    }


def show_rejected(rows: Sequence[Mapping[str, Any]], *, as_json: bool) -> bool:
    """The rows that destinations did not accept; people are named by their profile only."""
    if as_json:
        print_json({"rejected": [dict(row) for row in rows]})
        return True
    by_sync: dict[str, list[dict[str, Cell]]] = {}
    for row in rows:
        by_sync.setdefault(row["sync"], []).append(_rejected_row(row))
    for sync, shown in by_sync.items():
        print_table(f"{sync}: {len(shown):,} not accepted", shown, rare=("who has to act",))
    if not rows:
        print_line("Every row was accepted.")
    if rows:
        print_line("\nThe story of one: millstream explain PROFILE")
    return True


def _rejected_row(row: Mapping[str, Any]) -> dict[str, Cell]:
    return {
        "profile": row["profile_id"] or "",
        "what": row["operation"],
        "code": row["code"] or row["status"],
        "reason": row["reason"] or "",
        "who has to act": row["fault"] or "",
        "tries": row["attempts"],
        "next try": _age(row["next_try_at"]) or "when the row changes",
    }


def _age(moment: datetime | None) -> str:
    """``3 h ago``, ``in 5 min``; empty for None."""
    moment = utc(moment)
    if moment is None:
        return ""
    seconds = (datetime.now(UTC) - moment).total_seconds()
    amount = _rounded(abs(seconds))
    return f"{amount} ago" if seconds >= 0 else f"in {amount}"


def _rounded(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
