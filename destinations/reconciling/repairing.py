"""Repair: what was acknowledged is marked as unknown, so that the next activation sends it again. Nothing is sent here.

The guards of the sync stand before that activation as before any other.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from millstream.destinations.modes import Leaving, SyncMode
from millstream.destinations.reconciling.report import DriftReport
from millstream.destinations.sending import HELD_BACK
from millstream.destinations.sync import Sync
from millstream.state.amounts import people_counted
from millstream.state.ledger.acknowledged import acknowledge
from millstream.state.sql import literal
from millstream.state.store import count

if TYPE_CHECKING:
    from millstream.state.ledger.journal import Journal
    from millstream.state.store import Connection


def repair(connection: Connection, report: DriftReport, sync: Sync, *, run_id: str, now: datetime) -> list[str]:
    """Mark the rows of ``drift``, and count them in the report.

    Args:
        connection: Open on the store, with ``drift``.
        report: Of the comparison.
        sync: What is kept in step.
        run_id: The run that repairs, kept in place of a plan's id.
        now: When it does.

    Returns:
        Hashes of the match values that were sent without an answer, of which is known now whether they are there.
    """
    facts = {"sync": report.sync, "run": run_id, "now": now}
    _know_nothing_of(connection, report, "missing", run_id, now)
    repaired = report.missing + report.uncertain
    kinds = "'missing', 'uncertain'"
    if sync.mode is SyncMode.REMOVE or sync.leaving is Leaving.LEAVE_AUDIENCE:
        _know_nothing_of(connection, report, "extra", run_id, now)
        repaired += report.extra
        kinds += ", 'extra'"
    elif report.extra:
        report.why = (
            f"{people_counted(report.extra)} there again after having been taken out; somebody may have made them "
            f"anew, so they are left alone: this sync would {sync.leaving.value.replace('_', ' ')} them."
        )
    answered = [
        str(match_hash)
        for (match_hash,) in connection.execute(
            "SELECT sha256(match_value) FROM drift WHERE kind = 'uncertain' ORDER BY match_value"
        ).fetchall()
    ]
    _know_what_is_there(connection, facts)
    if sync.mode is not SyncMode.REMOVE and sync.leaving is Leaving.LEAVE_AUDIENCE:
        _forget_who_is_not_there(connection, report)
    connection.execute(f"UPDATE delivery.drift SET repaired_at = ? WHERE sync = ? AND kind IN ({kinds})",
                       [now, report.sync])  # fmt: skip
    report.repaired = repaired
    return answered


def _know_nothing_of(connection: Connection, report: DriftReport, kind: str, run_id: str, now: datetime) -> None:
    """The next plan puts them in again, or takes them out.

    Who is missing may have been deleted there: the vendor's id of the person is not relied on.
    """
    people = f"""
        SELECT match_value, min(profile_id) AS profile_id, '' AS payload_hash, CAST(NULL AS TEXT) AS external_id,
            CAST(NULL AS BOOLEAN) AS present, CAST(NULL AS TEXT) AS field_hashes
        FROM drift WHERE kind = {literal(kind)} GROUP BY match_value"""
    acknowledge(connection, report.sync, run_id, now, people)


def _know_what_is_there(connection: Connection, facts: dict[str, object]) -> None:
    """Sent without an answer, and there: acknowledged, with fields that nobody knows."""
    if not count(connection, "SELECT count(*) FROM drift WHERE kind = 'uncertain' AND there"):
        return
    connection.execute(
        """
        UPDATE delivery.acknowledged SET present = TRUE, payload_hash = '', acknowledged_at = $now, plan_id = $run
        WHERE sync = $sync AND match_value IN (SELECT match_value FROM drift WHERE kind = 'uncertain' AND there)
        """,
        facts,
    )


def _forget_who_is_not_there(connection: Connection, report: DriftReport) -> None:
    """Sent without an answer, not there, and refused by the vendor since: there is nobody to be taken out again.

    Of others it may be that the vendor has not come so far yet; the next plan sends them anew, or takes them out.
    """
    connection.execute(
        """
        DELETE FROM delivery.acknowledged AS known WHERE sync = $sync
            AND match_value IN (SELECT match_value FROM drift WHERE kind = 'uncertain' AND NOT there)
            AND EXISTS (
                SELECT 1 FROM delivery.outcomes AS later
                WHERE later.sync = known.sync AND later.match_value = known.match_value
                    AND later.status IN ('rejected', 'suppressed') AND coalesce(later.code, '') <> $held_back
                    AND later.settled_at > known.acknowledged_at
            )
        """,
        {"sync": report.sync, "held_back": HELD_BACK},
    )


def forget_unanswered(journal: Journal, sync: str, answered: list[str]) -> None:
    """Take rows off the list of those held because nobody knew what became of them."""
    hashes = set(answered)
    gone = [
        (str(row["match_hash"]), str(row["operation"]))
        for row in journal.rejected_rows(sync)
        if row["status"] == "unknown" and row["match_hash"] in hashes and row["operation"] != "update"
    ]
    if gone:
        journal.replace_rejected(sync, gone, [])
