"""The history of who was in which audience, in schema ``customers``."""

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
"""


def create_audience_tables(connection: Connection) -> None:
    """Make the tables that are missing, with those they build on."""
    create_profile_tables(connection)
    connection.execute(TABLES)
