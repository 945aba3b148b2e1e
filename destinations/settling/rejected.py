"""The list of rows that were not accepted: how often each was tried, and when it is tried again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from millstream.destinations.modes import Status
from millstream.state.ledger.journal import Journal

FIRST_RETRY = timedelta(hours=1)
LONGEST_RETRY = timedelta(days=1)
MOST_ATTEMPTS = 7
"""After so many tries a rejected row is held until it changes."""

_LISTED = (Status.REJECTED.value, Status.SUPPRESSED.value, Status.UNKNOWN.value)


def list_rejected(
    journal: Journal, sync: str, before: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]], now: datetime
) -> None:
    """Take rows off the list that have an outcome now, and put those on it that were not accepted."""
    known = {(row["match_hash"], row["operation"]): row for row in before}
    keys = [(row["match_hash"], row["operation"]) for row in rows]
    gone = [key for key in keys if key in known]
    listed = [
        _rejected_row(sync, row, known.get(key), now)
        for key, row in zip(keys, rows, strict=True)
        if row["status"] in _LISTED
    ]
    if gone or listed:
        journal.replace_rejected(sync, gone, listed)


def _rejected_row(sync: str, row: Mapping[str, Any], before: Mapping[str, Any] | None, now: datetime) -> dict[str, Any]:
    """The list's entry: how often it was tried with these values, and when it is tried again."""
    same = before is not None and before["payload_hash"] == row["payload_hash"]
    attempts = before["attempts"] + 1 if before is not None and same else 1
    held = row["status"] == Status.UNKNOWN.value or attempts >= MOST_ATTEMPTS
    wait = min(FIRST_RETRY * 4 ** (attempts - 1), LONGEST_RETRY)
    return {
        "sync": sync,
        "match_hash": row["match_hash"],
        "profile_id": row["profile_id"],
        "operation": row["operation"],
        "payload_hash": row["payload_hash"],
        "status": row["status"],
        "code": row["code"],
        "reason": row["reason"],
        "fault": row["fault"],
        "attempts": attempts,
        "first_at": before["first_at"] if before is not None and same else now,
        "last_at": now,
        "next_try_at": None if held else now + wait,
    }
