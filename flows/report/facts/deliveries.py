"""Deliveries and runs: how each sync last ended, why rows were refused, how the last runs ended."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from millstream.flows.report.facts.reader import Reader
from millstream.state.ledger.rejected_counts import RejectedCount, rejected_counts

if TYPE_CHECKING:
    from millstream.state.ledger.journal import Journal

_RUNS = 12


@dataclass(frozen=True, kw_only=True)
class SyncFacts:
    """The last activation of a sync.

    Attributes:
        sync: Its name.
        destination: Where it goes.
        status: completed, partial, stopped or waiting; empty where it never ran.
        at: When it ended.
        accepted: Rows taken.
        rejected: Rows refused.
        suppressed: Rows kept back for want of consent, or by a list.
        held: People the destination holds by now.
    """

    sync: str
    destination: str
    status: str
    at: datetime | None
    accepted: int
    rejected: int
    suppressed: int
    held: int


@dataclass(frozen=True)
class RunFacts:
    """A run: what it was, and how it ended."""

    kind: str
    about: str
    status: str
    started_at: datetime
    seconds: float | None


@dataclass(frozen=True, kw_only=True)
class DeliveryFacts:
    """What was sent, and what became of it.

    Attributes:
        syncs: In the order of the project.
        reasons: Rows that are not accepted by now, by code, most first.
        runs: The latest first.
    """

    syncs: tuple[SyncFacts, ...]
    reasons: tuple[RejectedCount, ...]
    runs: tuple[RunFacts, ...]


def read_deliveries(reader: Reader, syncs: dict[str, str]) -> tuple[SyncFacts, ...]:
    """The last activation of each sync; none where nothing was ever sent.

    Args:
        reader: The store.
        syncs: The project's syncs, and the destination of each.
    """
    if not reader.has("delivery.runs", "delivery.acknowledged"):
        return ()
    held: dict[str, int] = dict(
        reader.rows("SELECT sync, count(*) FROM delivery.acknowledged WHERE present GROUP BY sync")
    )
    rows = reader.rows(
        """
        SELECT sync, status, finished_at, accepted, rejected, suppressed FROM (
            SELECT sync, status, finished_at, accepted, rejected, suppressed,
                   row_number() OVER (PARTITION BY sync ORDER BY started_at DESC) AS place
            FROM delivery.runs
        ) AS numbered WHERE place = 1
        """
    )
    last = {row[0]: row[1:] for row in rows}
    return tuple(
        _sync(name, destination, last.get(name, ("", None, 0, 0, 0)), held.get(name, 0))
        for name, destination in syncs.items()
    )


def read_journal(journal: Journal, syncs: Collection[str]) -> tuple[tuple[RejectedCount, ...], tuple[RunFacts, ...]]:
    """Why rows of these syncs are not accepted, and the last runs."""
    journal.note_killed()
    reasons = tuple(one for one in rejected_counts(journal) if one.sync in syncs)
    runs = tuple(
        RunFacts(
            kind=run["kind"],
            about=", ".join(run["about"] or ()),
            status=run["status"],
            started_at=run["started_at"],
            seconds=(run["finished_at"] - run["started_at"]).total_seconds() if run["finished_at"] else None,
        )
        for run in journal.last_runs(_RUNS)
        if run["kind"] != "report" or run["finished_at"]  # not the one that is at it
    )
    return reasons, runs


def _sync(name: str, destination: str, last: tuple[str, datetime | None, int, int, int], held: int) -> SyncFacts:
    status, at, accepted, rejected, suppressed = last
    return SyncFacts(
        sync=name,
        destination=destination,
        status=status,
        at=at,
        accepted=accepted,
        rejected=rejected,
        suppressed=suppressed,
        held=held,
    )
