"""The list of rows that were not accepted: how often each was tried, and when it is tried again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from millstream.destinations.modes import LISTED, TAKEN, Status
from millstream.destinations.rules import DeliveryRules
from millstream.state.ledger.journal import Journal, PlanEntry

FIRST_RETRY = timedelta(hours=1)
LONGEST_RETRY = timedelta(days=1)
_KEPT = ("match_hash", "profile_id", "operation", "payload_hash", "status", "code", "reason", "fault", "clear_text")

Row = Mapping[str, Any]


def list_rejected(
    journal: Journal,
    plan: PlanEntry,
    before: Sequence[Row],
    rows: Sequence[Row],
    *,
    rules: DeliveryRules,
    now: datetime,
    forgets_ids: bool = False,
) -> None:
    """Take rows off the list that have an outcome now, put on it those not accepted, and note the plan as settled."""
    known = {(row["match_hash"], row["operation"]): row for row in before}
    keys = [(row["match_hash"], row["operation"]) for row in rows]
    taken = {row["match_hash"] for row in rows if row["status"] in TAKEN}
    # Whatever was taken of a person, no other operation of theirs is in doubt any more.
    answered = set(keys)
    gone = [key for key in known if key in answered or key[0] in taken]
    listed = [
        _entry(plan.sync, row, known.get(key), rules, now)
        for key, row in zip(keys, rows, strict=True)
        if row["status"] in LISTED
    ]
    journal.replace_rejected(plan.sync, gone, listed, settles=plan.plan_id, forgets_ids=forgets_ids)


def _entry(sync: str, row: Row, before: Row | None, rules: DeliveryRules, now: datetime) -> dict[str, Any]:
    """The list's entry: how often it was tried with these values, and when it is tried again."""
    same = before is not None and before["payload_hash"] == row["payload_hash"]
    attempts = before["attempts"] + 1 if before is not None and same else 1
    first_at = before["first_at"] if before is not None and same else now
    aged_out = _aged_out(row, attempts, now - first_at, rules)
    return {
        "sync": sync,
        **{name: row[name] for name in _KEPT},
        "attempts": attempts,
        "first_at": first_at,
        "last_at": now,
        "next_try_at": None if aged_out else now + min(FIRST_RETRY * 4 ** min(attempts - 1, 9), LONGEST_RETRY),
        "aged_out": aged_out,
    }


def _aged_out(row: Row, attempts: int, age: timedelta, rules: DeliveryRules) -> str | None:
    """Why a row is held until it changes; None while it is tried again."""
    if row["status"] == Status.UNKNOWN.value:
        return "sent without an answer; sending it again could do it twice"
    if attempts >= rules.retry_attempts:
        return f"refused {attempts} times with the same values"
    if age >= timedelta(days=rules.retry_days):
        return f"refused for {age.days} days with the same values"
    return None
