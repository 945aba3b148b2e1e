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

-- Which records an id that was merged away brought along. They get it back when they part again.
CREATE TABLE IF NOT EXISTS customers.merged_members (
    record_id TEXT NOT NULL,
    from_id TEXT NOT NULL,              -- the id merged away, by now an alias
    into_id TEXT NOT NULL,              -- the survivor at that time
    run_id TEXT NOT NULL,
    changed_at TIMESTAMPTZ NOT NULL
);

-- Records that came to a profile which an id had been merged into, by then or with them. An unmerge leaves them free to
-- go where they belong, as they were nobody's when the two became one.
CREATE TABLE IF NOT EXISTS customers.later_members (
    record_id TEXT NOT NULL,
    from_id TEXT,                       -- the id that brought it along and came back without it; NULL: by itself
    changed_at TIMESTAMPTZ NOT NULL     -- when it came
);

-- Everything that ever happened to profile ids. No id is made twice.
CREATE TABLE IF NOT EXISTS customers.profile_history (
    changed_at TIMESTAMPTZ NOT NULL,
    run_id TEXT NOT NULL,
    change TEXT NOT NULL,               -- new, merge, split, unmerge, removed
    profile_id TEXT NOT NULL,           -- merge: the survivor; split, unmerge: the profile that lost a part
    other_id TEXT,                      -- merge: the id merged away; split, unmerge: the id of the part
    kind TEXT,                          -- merge: the identifier that joins; else: the one that no longer does
    value TEXT,
    record_id TEXT,                     -- split, unmerge: a record whose change took the join away
    reason TEXT                         -- merge: NULL, merged by hand, linkage; split, unmerge: unmerged by hand,
                                        -- identifier blocked, identifier shared, limit, decision revoked,
                                        -- link withdrawn, record deleted, record changed, rules changed,
                                        -- identifier deleted; also of removed: source … deleted
);

-- Values on two or more records that join nothing, with the reason.
CREATE TABLE IF NOT EXISTS customers.blocked_values (
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    records BIGINT NOT NULL,
    reason TEXT NOT NULL                -- pattern, or 'more than N records'
);

-- Values on records whose own trait says that they are several people: each group of equal traits joins by itself.
CREATE TABLE IF NOT EXISTS customers.shared_values (
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    trait TEXT NOT NULL,
    records BIGINT NOT NULL,
    groups BIGINT NOT NULL
);

-- The living records that bear a shared value.
CREATE TABLE IF NOT EXISTS customers.shared_bearers (
    record_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    value TEXT NOT NULL
);

-- Joins that a limit or a decision forbade.
CREATE TABLE IF NOT EXISTS customers.refused_joins (
    record_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    reason TEXT NOT NULL,               -- 'more than 1 user_id', 'more than 3 user_id within 30 days', or
                                        -- 'unmerged by hand'
    run_id TEXT NOT NULL,               -- the run that first refused it
    changed_at TIMESTAMPTZ NOT NULL
);

-- Records of components in which a join was refused; they are always looked at together.
CREATE TABLE IF NOT EXISTS customers.contested (
    record_id TEXT NOT NULL,
    component TEXT NOT NULL             -- the smallest record of the component
);

-- What people decided by hand, one row for each record. merge: all of a decision's records are one person; unmerge:
-- those of side a are not the person that those of side b are, and others may be either.
CREATE TABLE IF NOT EXISTS customers.identity_decisions (
    decision_id TEXT NOT NULL,
    decision TEXT NOT NULL,             -- merge, unmerge
    record_id TEXT NOT NULL,
    side TEXT NOT NULL,                 -- a, b; merge: b came to a
    reason TEXT NOT NULL,
    made_by TEXT NOT NULL,
    made_at TIMESTAMPTZ NOT NULL,
    revoked_at TIMESTAMPTZ              -- from when on it no longer holds
);

-- Pairs of records that are probably one person.
CREATE TABLE IF NOT EXISTS customers.links (
    link_id TEXT NOT NULL,
    record_a TEXT NOT NULL,
    record_b TEXT NOT NULL,
    probability DOUBLE NOT NULL,
    match_weight DOUBLE NOT NULL,
    levels TEXT NOT NULL,               -- JSON: how well each thing compared agrees
    status TEXT NOT NULL,               -- merged, suggested, accepted, refused, withdrawn
    reason TEXT,
    run_id TEXT NOT NULL,
    changed_at TIMESTAMPTZ NOT NULL
);

-- The trained model of linkage: one row.
CREATE TABLE IF NOT EXISTS customers.linkage_model (
    trained_at TIMESTAMPTZ NOT NULL,
    fingerprint TEXT NOT NULL,
    settings TEXT NOT NULL              -- JSON
);

-- Records whose decisions or links changed since the last run; resolve looks at them and empties this.
CREATE TABLE IF NOT EXISTS customers.rejoin (record_id TEXT NOT NULL);

-- Profiles that share a place to be reached at: 2 or more profiles for each household.
CREATE TABLE IF NOT EXISTS customers.household_members (
    household_id TEXT NOT NULL,
    profile_id TEXT NOT NULL
);

-- Everything that ever happened to household ids.
CREATE TABLE IF NOT EXISTS customers.household_history (
    changed_at TIMESTAMPTZ NOT NULL,
    run_id TEXT NOT NULL,
    change TEXT NOT NULL,               -- new, merge, split, removed
    household_id TEXT NOT NULL,
    other_id TEXT,                      -- merge: the id merged away; split: where the part is now
    reason TEXT
);

-- Profiles whose records or members changed and that have not been described anew yet.
CREATE TABLE IF NOT EXISTS customers.changed_profiles (profile_id TEXT NOT NULL);

-- How far resolution has come: one row.
CREATE TABLE IF NOT EXISTS customers.resolve_state (
    watermark TIMESTAMPTZ,              -- the newest modelled_at that was seen
    at_watermark BIGINT NOT NULL,       -- checksum of the records that bore it
    records BIGINT NOT NULL,            -- checksum of the living records then
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
