"""The history of data quality, in schema ``customers``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millstream.state.audiences.tables import create_audience_tables
from millstream.state.ledger.acknowledged import create_tables as create_delivery_tables

if TYPE_CHECKING:
    from millstream.state.store import Connection

TABLES = """
-- One row for each check of each run. The score is the share of what was checked that is good.
CREATE TABLE IF NOT EXISTS customers.quality (
    as_of TIMESTAMPTZ NOT NULL,
    run_id TEXT NOT NULL,
    dimension TEXT NOT NULL,            -- completeness, validity, uniqueness, freshness, consistency, ...
    source TEXT NOT NULL,               -- empty: people as a whole; 'a / b': what two sources say
    subject TEXT NOT NULL,              -- 'stream.trait', a trait, or what else was looked at
    checked BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    score DOUBLE NOT NULL
);

-- Rows of each day (UTC), days without any included, and what was to be expected.
CREATE TABLE IF NOT EXISTS customers.daily_counts (
    day DATE NOT NULL,
    kind TEXT NOT NULL,                 -- events, records
    source TEXT NOT NULL,
    stream TEXT NOT NULL,
    name TEXT NOT NULL,                 -- of the event; empty for records
    rows BIGINT NOT NULL,
    expected DOUBLE,                    -- NULL, as the score, where too little is known to tell
    score DOUBLE,                       -- how many times the usual spread it is off
    anomaly BOOLEAN NOT NULL,
    as_of TIMESTAMPTZ NOT NULL
);
"""


def create_quality_tables(connection: Connection) -> None:
    """Make the tables that are missing, with those that are looked at."""
    create_audience_tables(connection)
    create_delivery_tables(connection)
    connection.execute(TABLES)
