"""The history of who was in which audience, how large each was and by which rule, in schema ``customers``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millstream.state.profiles.tables import create_profile_tables

if TYPE_CHECKING:
    from millstream.state.store import Connection

TABLES = """
-- One row for each stay in an audience; left_at is empty while it lasts.
CREATE TABLE IF NOT EXISTS customers.memberships (
    audience TEXT NOT NULL,
    profile_id TEXT NOT NULL,
    entered_at TIMESTAMPTZ NOT NULL,
    entered_run TEXT NOT NULL,
    left_at TIMESTAMPTZ,
    left_run TEXT,
    rule_fingerprint TEXT NOT NULL,     -- the rule that held last
    reason TEXT NOT NULL                -- why the stay began; once it is over, why it ended
);

-- One row for each audience and run that computed it. Who is in it under another id after a merge neither entered
-- nor left.
CREATE TABLE IF NOT EXISTS customers.audience_sizes (
    as_of TIMESTAMPTZ NOT NULL,
    run_id TEXT NOT NULL,
    audience TEXT NOT NULL,
    size BIGINT NOT NULL,
    entered BIGINT NOT NULL,
    left_count BIGINT NOT NULL
);

-- One row for each rule an audience was computed by, from the run on in which it first was; the latest one holds.
CREATE TABLE IF NOT EXISTS customers.audience_rules (
    audience TEXT NOT NULL,
    rule_fingerprint TEXT NOT NULL,     -- empty from the run on that found it gone from the project
    definition TEXT,                    -- as JSON; NULL likewise
    first_run TEXT NOT NULL,
    first_as_of TIMESTAMPTZ NOT NULL
);
"""


def create_audience_tables(connection: Connection) -> None:
    """Make the tables that are missing, with those they build on."""
    create_profile_tables(connection)
    connection.execute(TABLES)
