"""What the journal knows of past runs: when a sync was last completed, and whether a run took place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from millstream.state.ledger.tables import runs

if TYPE_CHECKING:
    from millstream.state.ledger.journal import Journal

_SENDING = ("pipeline", "activate")
_LOOKED_AT = 1_000
"""Runs that are looked back at; one that lies further back counts as none."""


def last_completed(journal: Journal, syncs: Sequence[str]) -> dict[str, datetime]:
    """When each of these syncs last came to its end, with rows refused or not; those that never did are left out."""
    left, found = set(syncs), dict[str, datetime]()
    query = (
        sa.select(runs.c.finished_at, runs.c.summary)
        .where(runs.c.kind.in_(_SENDING), runs.c.finished_at.is_not(None))
        .order_by(runs.c.finished_at.desc())
        .limit(_LOOKED_AT)
    )
    with journal.engine.connect().execution_options(yield_per=20) as connection:
        for finished_at, summary in connection.execute(query):
            for sync in left & _completed(summary):
                found[sync] = finished_at
                left.discard(sync)
            if not left:
                break
    return found


def _completed(summary: Mapping[str, Any]) -> set[str]:
    sent = summary.get("activated") or ()
    return {str(one["sync"]) for one in sent if one.get("status") in ("completed", "partial")}


def has_run(journal: Journal, kind: str, *, about: str | None, since: datetime) -> bool:
    """Whether a run of a flow was going on at a time, or began after it.

    Args:
        journal: Where runs are.
        kind: The flow.
        about: The source or sync that it has to be for; None takes any.
        since: The time.
    """
    query = sa.select(runs.c.about).where(
        runs.c.kind == kind,
        sa.or_(runs.c.started_at >= since, runs.c.finished_at.is_(None), runs.c.finished_at >= since),
    )
    with journal.engine.connect() as connection:
        return any(about is None or of_run is None or about in of_run for (of_run,) in connection.execute(query))
