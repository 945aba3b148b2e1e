"""Repair: what was acknowledged is marked as unknown, so that the next activation sends it again. Nothing is sent here.

The guards of the sync stand before that activation as before any other.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from millstream.destinations.modes import Leaving, SyncMode
from millstream.destinations.reconciling.report import DriftReport
from millstream.destinations.sync import Sync
from millstream.state.ledger.acknowledged import REPLACE_ACKNOWLEDGED
from millstream.state.store import count

if TYPE_CHECKING:
    from millstream.state.ledger.journal import Journal
    from millstream.state.store import Connection

_ANEW = """
INSERT INTO delivery.acknowledged
    (sync, match_value, profile_id, payload_hash, external_id, present, acknowledged_at, plan_id, field_hashes)
"""


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
    _put_in_again(connection, facts)
    repaired = report.missing + report.uncertain
    kinds = "'missing', 'uncertain'"
    if sync.mode is SyncMode.REMOVE or sync.leaving is Leaving.LEAVE_AUDIENCE:
        _take_out_again(connection, facts)
        repaired += report.extra
        kinds += ", 'extra'"
    elif report.extra:
        report.why = (
            f"{report.extra} people who were taken out are there again; somebody may have made them anew, so they are "
            f"left alone: this sync would {sync.leaving.value.replace('_', ' ')} them."
        )
    answered = [
        str(match_hash)
        for (match_hash,) in connection.execute(
            "SELECT sha256(match_value) FROM drift WHERE kind = 'uncertain' ORDER BY match_value"
        ).fetchall()
    ]
    _know_what_is_there(connection, facts)
    connection.execute(f"UPDATE delivery.drift SET repaired_at = ? WHERE sync = ? AND kind IN ({kinds})",
                       [now, report.sync])  # fmt: skip
    report.repaired = repaired
    return answered


def _put_in_again(connection: Connection, facts: dict[str, object]) -> None:
    """Who is missing may have been deleted there: the vendor's id of the person is not relied on."""
    connection.execute(
        f"""
        {_ANEW}
        SELECT $sync, match_value, min(profile_id), '', NULL, CAST(NULL AS BOOLEAN), $now, $run, NULL
        FROM drift WHERE kind = 'missing' GROUP BY match_value
        {REPLACE_ACKNOWLEDGED}
        """,
        facts,
    )


def _take_out_again(connection: Connection, facts: dict[str, object]) -> None:
    connection.execute(
        f"""
        {_ANEW}
        SELECT $sync, match_value, min(profile_id), '', NULL, CAST(NULL AS BOOLEAN), $now, $run, NULL
        FROM drift WHERE kind = 'extra' GROUP BY match_value
        {REPLACE_ACKNOWLEDGED}
        """,
        facts,
    )


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
