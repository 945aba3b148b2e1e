"""The tables and views that describe profiles, in schema ``customers``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millstream.state.identity.tables import create_identity_tables
from millstream.state.profiles.columns import FIXED, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from millstream.state.store import Connection

TABLES = """
-- Which record a profile's trait was taken from.
CREATE TABLE IF NOT EXISTS customers.profile_traits_origin (
    profile_id TEXT NOT NULL,
    name TEXT NOT NULL,
    record_id TEXT NOT NULL,
    observed_at TIMESTAMPTZ NOT NULL
);

-- The rules the profiles were described by: one row.
CREATE TABLE IF NOT EXISTS customers.describe_state (rules_fingerprint TEXT NOT NULL);
"""

VIEWS = """
CREATE OR REPLACE VIEW customers.profile_identifiers AS
SELECT member.profile_id, identifier.kind, identifier.value, bool_or(identifier.merges) AS merges,
       count(DISTINCT identifier.record_id) AS records, max(record.observed_at) AS observed_at
FROM customers.identifiers AS identifier
JOIN customers.members AS member ON member.record_id = identifier.record_id
JOIN customers.records AS record ON record.record_id = identifier.record_id
GROUP BY member.profile_id, identifier.kind, identifier.value;

CREATE OR REPLACE VIEW customers.profile_events AS
SELECT member.profile_id, event.event_id, event.record_id, event.source, event.stream, event.name,
       event.original_name, event.happened_at, event.value, event.currency, event.channel, event.campaign,
       event.properties, event.plan_status
FROM customers.events AS event JOIN customers.members AS member ON member.record_id = event.record_id;

-- What is said of a profile's consent, with every denial that reaches it. A denial holds for the address it was given
-- for, on whichever profile that address stands; and the denial of a deleted record holds for whoever else bears
-- one of its identifiers, so that deleting a contact does not take an opt-out back.
CREATE OR REPLACE VIEW customers.profile_consents AS
WITH denials AS (
    SELECT consent.record_id, consent.channel, consent.topic, record.deleted
    FROM customers.consents AS consent JOIN customers.records AS record ON record.record_id = consent.record_id
    WHERE consent.status = 'denied'
),
reach AS (
    SELECT DISTINCT denial.channel, denial.topic, identifier.kind, identifier.value
    FROM denials AS denial
    JOIN customers.identifiers AS identifier ON identifier.record_id = denial.record_id
    LEFT JOIN customers.blocked_values AS blocked
      ON blocked.kind = identifier.kind AND blocked.value = identifier.value
    WHERE (denial.channel = 'email' AND identifier.kind = 'email')
       OR (denial.channel IN ('sms', 'phone') AND identifier.kind = 'phone')
       OR (denial.deleted AND identifier.merges AND blocked.kind IS NULL)
),
said AS (
    SELECT member.profile_id, consent.channel, consent.topic,
           CASE consent.status WHEN 'denied' THEN 2 WHEN 'granted' THEN 1 ELSE 0 END AS weight
    FROM customers.consents AS consent JOIN customers.members AS member ON member.record_id = consent.record_id
    UNION ALL
    SELECT member.profile_id, reach.channel, reach.topic, 2 AS weight
    FROM reach
    JOIN customers.identifiers AS identifier ON identifier.kind = reach.kind AND identifier.value = reach.value
    JOIN customers.members AS member ON member.record_id = identifier.record_id
)
SELECT profile_id, channel, topic,
       CASE max(weight) WHEN 2 THEN 'denied' WHEN 1 THEN 'granted' ELSE 'unknown' END AS status
FROM said GROUP BY profile_id, channel, topic;
"""


def create_profile_tables(connection: Connection) -> None:
    """Make the tables and views that are missing; those of the customer model must be there."""
    create_identity_tables(connection)
    connection.execute(TABLES)
    create_table(connection, "profiles", FIXED)
    connection.execute(VIEWS)


def create_table(connection: Connection, table: str, columns: Mapping[str, str]) -> None:
    """Make a ``customers`` table with these columns unless it is there."""
    definitions = ", ".join(f"{quoted(name)} {sql_type}" for name, sql_type in columns.items())
    connection.execute(f"CREATE TABLE IF NOT EXISTS customers.{quoted(table)} ({definitions})")
