"""What destinations have acknowledged, in the store: the state every plan is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millstream.state.sql import replaced

if TYPE_CHECKING:
    from millstream.state.store import Connection

TABLES = """
CREATE SCHEMA IF NOT EXISTS delivery;

-- A person at a destination as it was last acknowledged. Removals use what stands here, not what is known now.
CREATE TABLE IF NOT EXISTS delivery.acknowledged (
    sync TEXT NOT NULL,
    match_value TEXT NOT NULL,
    profile_id TEXT,
    payload_hash TEXT NOT NULL,
    external_id TEXT,                   -- the vendor's id of the person
    present BOOLEAN,                    -- false: taken out by mode 'remove'; NULL: sent without an answer
    acknowledged_at TIMESTAMPTZ NOT NULL,
    plan_id TEXT NOT NULL,
    PRIMARY KEY (sync, match_value)
);

-- Every row's outcome, for 'explain' and for audits.
CREATE TABLE IF NOT EXISTS delivery.outcomes (
    sync TEXT NOT NULL,
    plan_id TEXT NOT NULL,
    operation TEXT NOT NULL,
    match_value TEXT NOT NULL,
    profile_id TEXT,
    status TEXT NOT NULL,
    code TEXT,
    reason TEXT,
    settled_at TIMESTAMPTZ NOT NULL
);

-- Who is kept back from a sync now, and why.
CREATE TABLE IF NOT EXISTS delivery.suppressed (
    sync TEXT NOT NULL,
    profile_id TEXT NOT NULL,
    reason TEXT NOT NULL,
    since TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (sync, profile_id)
);
"""

REPLACE_ACKNOWLEDGED = replaced(
    ("sync", "match_value"),
    ("profile_id", "payload_hash", "external_id", "present", "acknowledged_at", "plan_id"),
)
"""Ends an INSERT into ``delivery.acknowledged`` whose rows take the place of those that are there."""


def create_tables(connection: Connection) -> None:
    """Make the tables that are missing."""
    connection.execute(TABLES)
