"""What was sent, and how far destinations are from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millstream.destinations.reconciling import DriftReport
    from millstream.destinations.sync_report import SyncReport
    from millstream.flows.showing.cells import Row


def sync_rows(reports: Sequence[SyncReport]) -> list[Row]:
    """One row for each sync."""
    return [
        {
            "sync": one.sync,
            "status": one.status,
            "accepted": one.accepted,
            "rejected": one.rejected,
            "suppressed": one.suppressed,
            "retry later": one.retry_later,
            "unknown": one.unknown,
            "requests": one.requests,
            "problem": str(one.error) if one.error else "",
        }
        for one in reports
    ]


RARELY_DRIFTED = ("sent without an answer", "of other syncs", "repaired", "problem")
"""Columns of ``drift_rows`` that mostly say nothing."""


def drift_rows(reports: Sequence[DriftReport]) -> list[Row]:
    """One row for each sync."""
    return [
        {
            "sync": one.sync,
            "status": one.status.replace("_", " "),
            "acknowledged": one.acknowledged,
            "there": one.found,
            "missing": one.missing,
            "there again": one.extra,
            "sent without an answer": one.uncertain,
            "of other syncs": one.of_other_syncs,
            "strangers": one.strangers,
            "repaired": one.repaired,
            "problem": str(one.error) if one.error else (one.why or ""),
        }
        for one in reports
    ]
