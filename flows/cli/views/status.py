"""What a project knows, shown: its state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from millstream.flows.cli.output import age, print_json, print_table, utc
from millstream.state.amounts import people_counted

if TYPE_CHECKING:
    from millstream.flows.looking.status import StatusReport
    from millstream.flows.showing.cells import Row


def show_status(report: StatusReport, *, as_json: bool) -> bool:
    """The last runs, how fresh each stream is, the audiences and the syncs."""
    if as_json:
        print_json(report.as_json())
        return True
    print_table("Last runs", map(_run_row, report.runs), empty="Nothing ran yet.")
    print_table(
        "Sources",
        [
            {"source": one.source, "stream": one.stream, "rows": one.rows, "last rows": age(one.pulled_at)}
            for one in report.streams
        ],
        empty="Nothing was pulled yet.",
    )
    print_table(
        f"Audiences, of {people_counted(report.profiles)}",
        [
            {"audience": one.audience, "members": one.size, "last change": age(one.changed_at)}
            for one in report.audiences
        ],
    )
    print_table(
        "Syncs",
        [
            {
                "sync": one.sync,
                "at the destination": one.acknowledged,
                "last said so": age(one.acknowledged_at),
                "kept back": one.suppressed,
                "not accepted": one.rejected,
                "unsettled plans": one.unsettled,
            }
            for one in report.syncs
        ],
        rare=("kept back", "not accepted", "unsettled plans"),
    )
    return True


def _run_row(run: Mapping[str, Any]) -> Row:
    started, finished = utc(run["started_at"]), utc(run["finished_at"])
    assert started is not None
    return {
        "run": run["run_id"],
        "kind": run["kind"],
        "started": age(started),
        "took": f"{(finished - started).total_seconds():,.1f} s" if finished else "",
        "status": f"killed, last alive {age(finished)}" if run["status"] == "killed" else run["status"],
    }
