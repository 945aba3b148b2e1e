"""What reconciling found, in the store: every look at a destination, and who is not there as acknowledged."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millstream.state.store import Connection

_TABLES = """
CREATE SCHEMA IF NOT EXISTS delivery;

-- Every reconciliation of a sync with what its destination holds.
CREATE TABLE IF NOT EXISTS delivery.reconciliations (
    run_id TEXT NOT NULL,
    sync TEXT NOT NULL,
    destination TEXT NOT NULL,
    looked_at TIMESTAMPTZ NOT NULL,
    status TEXT NOT NULL,               -- in_step, drifted, repaired
    acknowledged BIGINT NOT NULL,       -- people the destination should hold
    found BIGINT NOT NULL,              -- members it has
    missing BIGINT NOT NULL,
    extra BIGINT NOT NULL,
    uncertain BIGINT NOT NULL,
    of_other_syncs BIGINT NOT NULL,
    strangers BIGINT NOT NULL,
    repaired BIGINT NOT NULL
);

-- Who was not as acknowledged when a sync was last reconciled.
CREATE TABLE IF NOT EXISTS delivery.drift (
    sync TEXT NOT NULL,
    match_value TEXT NOT NULL,
    profile_id TEXT,
    kind TEXT NOT NULL,                 -- missing, extra, uncertain
    since TIMESTAMPTZ NOT NULL,         -- when it was first seen
    repaired_at TIMESTAMPTZ,            -- when it was left to the next activation
    PRIMARY KEY (sync, match_value)
);
"""


@dataclass(frozen=True, kw_only=True)
class ReconciliationRow:
    """One look at a destination, as ``delivery.reconciliations`` keeps it; fields are its columns, in their order."""

    run_id: str
    sync: str
    destination: str
    looked_at: datetime
    status: str
    acknowledged: int
    found: int
    missing: int
    extra: int
    uncertain: int
    of_other_syncs: int
    strangers: int
    repaired: int


def create_tables(connection: Connection) -> None:
    """Make the tables that are missing."""
    connection.execute(_TABLES)


def keep_reconciliation(connection: Connection, row: ReconciliationRow, *, keep_days: int) -> None:
    """Add a look to the audit, and drop those that are older than is kept."""
    values = list(asdict(row).values())
    connection.execute(f"INSERT INTO delivery.reconciliations VALUES ({', '.join('?' * len(values))})", values)
    connection.execute(
        "DELETE FROM delivery.reconciliations WHERE looked_at < ?", [row.looked_at - timedelta(days=keep_days)]
    )
