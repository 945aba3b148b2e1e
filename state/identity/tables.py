"""The tables of identity resolution, in schema ``customers``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millstream.state.store import Connection

TABLES = """
-- Which profile each living record belongs to.
CREATE TABLE IF NOT EXISTS customers.members (
    record_id TEXT NOT NULL,            -- unique; without an index, which costs more than all that is looked up in it
    profile_id TEXT NOT NULL
);

-- Ids that were merged away, and the living profile that stands for them now.
CREATE TABLE IF NOT EXISTS customers.profile_aliases (
    alias_id TEXT NOT NULL,
    profile_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    changed_at TIMESTAMPTZ NOT NULL
);

-- Everything that ever happened to profile ids. Ids are never used twice.
CREATE TABLE IF NOT EXISTS customers.profile_history (
    changed_at TIMESTAMPTZ NOT NULL,
    run_id TEXT NOT NULL,
    change TEXT NOT NULL,               -- new, merge, split, removed
    profile_id TEXT NOT NULL,           -- merge: the survivor; split: the profile that lost a part
    other_id TEXT,                      -- merge: the id merged away; split: where the part is now
    kind TEXT,                          -- merge: the identifier that joins; split: the one that no longer does
    value TEXT,
    record_id TEXT,                     -- split: a record whose change took the join away
    reason TEXT                         -- split: identifier blocked, record deleted, record changed, rules changed
);

-- Values on two or more records that join nothing, with the reason.
CREATE TABLE IF NOT EXISTS customers.blocked_values (
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    records BIGINT NOT NULL,
    reason TEXT NOT NULL                -- pattern, or 'more than N records'
);

-- Profiles whose records or members changed and that have not been described anew yet.
CREATE TABLE IF NOT EXISTS customers.changed_profiles (profile_id TEXT NOT NULL);

-- How far resolution has come: one row.
CREATE TABLE IF NOT EXISTS customers.resolve_state (
    watermark TIMESTAMPTZ,              -- the newest modelled_at that was seen
    at_watermark BIGINT NOT NULL,       -- how many records bore it
    records BIGINT NOT NULL,            -- rows of customers.records then
    members BIGINT NOT NULL,
    profiles BIGINT NOT NULL,
    rules_fingerprint TEXT NOT NULL,
    rules TEXT NOT NULL,                -- the rules as JSON, for explaining
    run_id TEXT NOT NULL,
    changed_at TIMESTAMPTZ NOT NULL
);
"""


def create_identity_tables(connection: Connection) -> None:
    """Make the tables of identity resolution that are missing; ``customers.records`` must be there."""
    connection.execute(TABLES)
