"""The state of things: the last runs, how fresh each stream is, the audiences and the syncs."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from millstream.state.ledger.rejected_counts import rejected_counts
from millstream.state.store import column_types, count_rows

if TYPE_CHECKING:
    from millstream.flows.steps import Workspace
    from millstream.state.store import Connection


@dataclass(frozen=True)
class StreamStatus:
    """A stream's table: its rows, and when rows last came."""

    source: str
    stream: str
    rows: int
    pulled_at: datetime | None


@dataclass(frozen=True)
class AudienceStatus:
    """An audience's size, and when somebody last entered or left."""

    audience: str
    size: int
    changed_at: datetime | None


@dataclass(frozen=True)
class SyncStatus:
    """What a sync's destination has acknowledged, who is kept back, and what was not accepted."""

    sync: str
    acknowledged: int
    acknowledged_at: datetime | None
    suppressed: int
    rejected: int
    unsettled: int


@dataclass
class StatusReport:
    """The state of a project."""

    runs: list[dict[str, Any]] = field(default_factory=list)
    profiles: int = 0
    streams: list[StreamStatus] = field(default_factory=list)
    audiences: list[AudienceStatus] = field(default_factory=list)
    syncs: list[SyncStatus] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


def status(workspace: Workspace) -> StatusReport:
    """The last runs, how fresh each stream is, the audiences and the syncs."""
    workspace.journal.note_killed()
    report = StatusReport(runs=workspace.journal.last_runs(10))
    with workspace.store.open() as connection:
        for source in workspace.project.sources:
            report.streams += _streams(connection, source)
        if column_types(connection, "customers", "memberships"):
            report.profiles = count_rows(connection, "customers.profiles")
            report.audiences = [_audience(connection, name) for name in workspace.project.audiences]
        acknowledged = _acknowledged(connection) if column_types(connection, "delivery", "acknowledged") else {}
        held = _suppressed_counts(connection) if column_types(connection, "delivery", "suppressed") else {}
    rejected: Counter[str] = Counter()
    for one in rejected_counts(workspace.journal):
        rejected[one.sync] += one.rows
    for name in workspace.project.syncs:
        count, latest = acknowledged.get(name, (0, None))
        unsettled = len(workspace.journal.unsettled_plans(name))
        report.syncs.append(SyncStatus(name, count, latest, held.get(name, 0), rejected[name], unsettled))
    return report


def _streams(connection: Connection, source: str) -> list[StreamStatus]:
    tables = connection.execute(
        """
        SELECT table_name FROM information_schema.columns
        WHERE table_schema = ? AND column_name = '_pulled_at' ORDER BY table_name
        """,
        [f"raw_{source}"],
    ).fetchall()
    found = []
    for (table,) in tables:
        row = connection.execute(f'SELECT count(*), max(_pulled_at) FROM "raw_{source}"."{table}"').fetchone()
        found.append(StreamStatus(source, table, *(row or (0, None))))
    return found


def _audience(connection: Connection, name: str) -> AudienceStatus:
    row = connection.execute(
        """
        SELECT count(*) FILTER (WHERE left_at IS NULL), max(coalesce(left_at, entered_at))
        FROM customers.memberships WHERE audience = ?
        """,
        [name],
    ).fetchone()
    return AudienceStatus(name, *(row or (0, None)))


def _acknowledged(connection: Connection) -> dict[str, tuple[int, datetime]]:
    rows = connection.execute(
        """
        SELECT sync, count(*) FILTER (WHERE present), max(acknowledged_at)
        FROM delivery.acknowledged GROUP BY sync
        """
    ).fetchall()
    return {sync: (count, latest) for sync, count, latest in rows}


def _suppressed_counts(connection: Connection) -> dict[str, int]:
    return dict(connection.execute("SELECT sync, count(*) FROM delivery.suppressed GROUP BY sync").fetchall())
