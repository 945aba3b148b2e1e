"""The tables and views that describe profiles, in schema ``customers``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millstream.state.identity.tables import create_identity_tables
from millstream.state.model.tables import create_tables
from millstream.state.profiles.columns import FIXED, existing_columns
from millstream.state.profiles.people_view import create_people_view
from millstream.state.sql import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from millstream.state.store import Connection

ORIGIN = {
    "profile_id": "TEXT",
    "name": "TEXT",
    "record_id": "TEXT",
    "observed_at": "TIMESTAMPTZ",
    "value": "TEXT",
    "confirmed_at": "TIMESTAMPTZ",
    "support": "BIGINT",
}
"""``profile_traits_origin``: one row for each value of a profile, also for email and phone. Which record it was taken
from, and when that was true; when any record of the person last said the same, and how often they say it."""

TABLES = """
-- For how many days each column's value is believed after it was last said; NULL is for ever.
CREATE TABLE IF NOT EXISTS customers.trait_lifetimes (name TEXT NOT NULL, lifetime_days INTEGER);

-- How many of the profiles with a value had a fresh one, after each run.
CREATE TABLE IF NOT EXISTS customers.trait_freshness (
    as_of TIMESTAMPTZ NOT NULL,
    trait TEXT NOT NULL,
    lifetime_days INTEGER,              -- NULL: it never goes stale
    profiles BIGINT NOT NULL,
    fresh BIGINT NOT NULL,
    share DOUBLE NOT NULL
);

-- What is said of a profile's consent, with every denial that reaches it (consents.py).
CREATE TABLE IF NOT EXISTS customers.profile_consents (
    profile_id TEXT NOT NULL,
    channel TEXT NOT NULL,
    topic TEXT NOT NULL,
    status TEXT NOT NULL                -- granted, denied, unknown
);

-- The values of identifiers that a denial was given for: it holds for whoever bears one.
CREATE TABLE IF NOT EXISTS customers.denied_values (
    channel TEXT NOT NULL,
    topic TEXT NOT NULL,
    kind TEXT NOT NULL,
    value TEXT NOT NULL
);

-- Profiles with an event that is still to happen, and when the first one does: described anew then, whatever changed.
CREATE TABLE IF NOT EXISTS customers.awaited_profiles (profile_id TEXT NOT NULL, due_at TIMESTAMPTZ NOT NULL);

-- The rules the profiles were described by: one row.
CREATE TABLE IF NOT EXISTS customers.describe_state (rules_fingerprint TEXT NOT NULL);
"""

VIEWS = """
CREATE OR REPLACE VIEW customers.profile_identifiers AS
SELECT member.profile_id, identifier.kind, identifier.value, min(identifier.contact) AS contact,
       bool_or(identifier.merges) AS merges, count(DISTINCT identifier.record_id) AS records,
       max(record.observed_at) AS observed_at
FROM customers.identifiers AS identifier
JOIN customers.members AS member ON member.record_id = identifier.record_id
JOIN customers.records AS record ON record.record_id = identifier.record_id
GROUP BY member.profile_id, identifier.kind, identifier.value;

CREATE OR REPLACE VIEW customers.profile_events AS
SELECT member.profile_id, event.event_id, event.record_id, event.source, event.stream, event.name,
       event.original_name, event.happened_at, event.value, event.currency, event.channel, event.campaign,
       event.properties, event.plan_status, event.value_base, event.violations
FROM customers.events AS event JOIN customers.members AS member ON member.record_id = event.record_id;

-- Every value of a profile with its origin, and whether it was not confirmed for so long that it counts as stale.
CREATE OR REPLACE VIEW customers.profile_traits AS
SELECT origin.profile_id, origin.name, origin.value, origin.record_id, origin.observed_at, origin.confirmed_at,
       origin.support,
       origin.confirmed_at + lifetime.lifetime_days * INTERVAL '1' DAY AS stale_at,
       coalesce(origin.confirmed_at + lifetime.lifetime_days * INTERVAL '1' DAY <= now(), FALSE) AS stale
FROM customers.profile_traits_origin AS origin
LEFT JOIN customers.trait_lifetimes AS lifetime ON lifetime.name = origin.name;
"""


def create_profile_tables(connection: Connection) -> None:
    """Make the tables and views that are missing, on those of the customer model, which are brought up to date."""
    create_tables(connection)
    create_identity_tables(connection)
    _drop_what_is_outdated(connection)
    connection.execute(TABLES)
    create_table(connection, "profiles", FIXED)
    create_table(connection, "profile_traits_origin", ORIGIN)
    connection.execute(VIEWS)
    create_people_view(connection)


def create_table(connection: Connection, table: str, columns: Mapping[str, str]) -> None:
    """Make a ``customers`` table with these columns unless it is there."""
    connection.execute(f"CREATE TABLE IF NOT EXISTS customers.{quoted(table)} ({definitions(columns)})")


def definitions(columns: Mapping[str, str]) -> str:
    """Columns by name and type, as a statement that makes a table has them."""
    return ", ".join(f"{quoted(name)} {sql_type}" for name, sql_type in columns.items())


def _drop_what_is_outdated(connection: Connection) -> None:
    """What an older version left in another shape. All of it is made of the records, by a full run.

    ``profile_consents`` was a view; the table in its place is empty until that run, and so nobody may be addressed.
    """
    origin = existing_columns(connection, "profile_traits_origin")
    if not origin or list(origin) == list(ORIGIN):
        return
    views = connection.execute(
        """
        SELECT table_name FROM information_schema.tables
        WHERE table_schema = 'customers' AND table_type = 'VIEW'
          AND table_name IN ('profile_traits', 'profile_consents')
        """
    ).fetchall()
    for (view,) in views:
        connection.execute(f"DROP VIEW customers.{quoted(str(view))}")
    connection.execute("DROP TABLE customers.profile_traits_origin")
    connection.execute("DELETE FROM customers.describe_state")
