"""The tables of the customer model, schema ``customers``. Every step that follows reads these."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millstream.state.errors import ConfigurationError
from millstream.state.identity.joining import PROBE

if TYPE_CHECKING:
    from millstream.state.store import Connection

SCHEMA = "customers"
VERSION = 4
"""Of the tables below. An older one is brought up to date, in the same records (``create_tables``)."""

TOLD_BY_RECORDS = ("identifiers", "unheard_identifiers", "traits", "consents")
"""What of the tables below goes with a record."""

TABLES = """
CREATE SCHEMA IF NOT EXISTS customers;

-- One row for each thing a source knows about a person. record_id is 'source.stream:key'.
CREATE TABLE IF NOT EXISTS customers.records (
    record_id TEXT PRIMARY KEY,
    source TEXT NOT NULL,
    stream TEXT NOT NULL,
    source_key TEXT NOT NULL,
    observed_at TIMESTAMPTZ NOT NULL,   -- when the vendor says it was true
    deleted BOOLEAN NOT NULL,           -- the vendor has deleted it
    modelled_at TIMESTAMPTZ NOT NULL    -- when this row last changed here; later steps read what is newer
);

-- What a record is known by. Equal (kind, value) with merges means the same person.
CREATE TABLE IF NOT EXISTS customers.identifiers (
    record_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    value TEXT NOT NULL,                -- what joins: folded, and 'source:value' where it means a person only there
    original TEXT NOT NULL,             -- as the vendor holds it
    merges BOOLEAN NOT NULL,
    contact TEXT NOT NULL,              -- valid and the person's own: what to write to, or to name them by elsewhere
    record_hash INTEGER,                -- of record_id and value, which never change: resolve looks for them by these,
    value_hash INTEGER                  -- and works them out where they are NULL
);

-- What is true of a record's person, as text, with the type to read it as.
CREATE TABLE IF NOT EXISTS customers.traits (
    record_id TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    type TEXT NOT NULL,                 -- text, number, boolean, date, timestamp
    observed_at TIMESTAMPTZ NOT NULL
);

-- What a record's person did, or what happened to them.
CREATE TABLE IF NOT EXISTS customers.events (
    event_id TEXT NOT NULL,
    record_id TEXT NOT NULL,
    source TEXT NOT NULL,
    stream TEXT NOT NULL,
    name TEXT NOT NULL,                 -- canonical name by the tracking plan
    original_name TEXT NOT NULL,
    happened_at TIMESTAMPTZ NOT NULL,
    value DOUBLE,
    currency TEXT,
    channel TEXT,
    campaign TEXT,
    properties JSON NOT NULL,
    plan_status TEXT NOT NULL,          -- planned, unplanned, or violating: planned, and with violations
    value_base DOUBLE,                  -- value in the project's base currency; NULL without a rate (currency.py)
    violations TEXT[]                   -- 'missing a', 'type b', 'value c' of properties; NULL where there are none
);

-- Which plan the events were held against, and by which rates they were converted: one row each.
CREATE TABLE IF NOT EXISTS customers.judged_by (fingerprint TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS customers.converted_by (fingerprint TEXT NOT NULL);

-- The rate of each day on which one holds: units of the base currency for one of the currency.
CREATE TABLE IF NOT EXISTS customers.exchange_rates (
    currency TEXT NOT NULL,
    day DATE NOT NULL,
    rate DOUBLE NOT NULL
);

-- Whether a record's person may be addressed. A profile takes the most restrictive of its records.
CREATE TABLE IF NOT EXISTS customers.consents (
    record_id TEXT NOT NULL,
    channel TEXT NOT NULL,
    topic TEXT NOT NULL,
    status TEXT NOT NULL,               -- granted, denied, unknown
    observed_at TIMESTAMPTZ NOT NULL
);

-- Raw identifier values as they were normalised once; value and contact are NULL where it is not valid.
CREATE TABLE IF NOT EXISTS customers.normalised (
    spelling TEXT NOT NULL,             -- how: version of the code, and all that the rules say about it
    country TEXT NOT NULL,
    original TEXT NOT NULL,
    value TEXT,
    contact TEXT,
    PRIMARY KEY (spelling, country, original)
);

-- Identifiers that were deleted by hand: what a source still says of them is not heard.
CREATE TABLE IF NOT EXISTS customers.deleted_identifiers (
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    reason TEXT NOT NULL,
    made_by TEXT NOT NULL,
    deleted_at TIMESTAMPTZ NOT NULL
);

-- How sources had written them: neither are these heard, should the rules spell them in another way some day.
CREATE TABLE IF NOT EXISTS customers.deleted_originals (
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    account TEXT NOT NULL,              -- that the value begins with, where it means a person only within one
    original TEXT NOT NULL
);

-- What records say all the same of these: it counts again once they are restored.
CREATE TABLE IF NOT EXISTS customers.unheard_identifiers (
    record_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    account TEXT NOT NULL,
    original TEXT NOT NULL,
    merges BOOLEAN NOT NULL,
    contact TEXT NOT NULL
);

-- How far each stream has been modelled.
CREATE TABLE IF NOT EXISTS customers.modelled_streams (
    source TEXT NOT NULL,
    stream TEXT NOT NULL,
    pulled_at TIMESTAMPTZ NOT NULL,
    declaration TEXT NOT NULL,          -- fingerprint of what the stream says; a change models it anew
    PRIMARY KEY (source, stream)
);

-- What the engine made of a few texts (PROBE) when it worked out the hashes of identifiers: one row.
CREATE TABLE IF NOT EXISTS customers.hashed_by (probe TEXT NOT NULL);

-- Which VERSION of these tables the store has: one row.
CREATE TABLE IF NOT EXISTS customers.model_version (version INTEGER NOT NULL);
"""


def create_tables(connection: Connection) -> None:
    """Make the tables that are missing, and bring those of an older version up to date.

    Records keep their ids, and people theirs.

    Raises:
        ConfigurationError: The store was made by a newer version.
    """
    version = _version(connection)
    if version is not None and version > VERSION:
        raise ConfigurationError(
            f"The store has tables of version {version}; this Millstream knows those up to {VERSION}.",
            where="store",
            remedy="install the newer Millstream that wrote to this store.",
        )
    if version == 1:
        _carry_over_spellings(connection)
    if version is not None and version < 3:
        _add_event_columns(connection)
    if version in (2, 3):
        _add_hash_columns(connection)
    connection.execute(TABLES)
    if version is None:
        connection.execute(f"INSERT INTO customers.hashed_by VALUES ({PROBE})")
    if version != VERSION:
        connection.execute("DELETE FROM customers.model_version")
        connection.execute("INSERT INTO customers.model_version VALUES (?)", [VERSION])


def _version(connection: Connection) -> int | None:
    """The version of the store's tables, or None where there are none."""
    found = connection.execute(
        """
        SELECT table_name FROM information_schema.tables
        WHERE table_schema = 'customers' AND table_name IN ('records', 'model_version')
        """
    ).fetchall()
    if ("records",) not in found:
        return None
    if ("model_version",) not in found:
        return 1
    row = connection.execute("SELECT max(version) FROM customers.model_version").fetchone()
    return row[0] if row else None


def _carry_over_spellings(connection: Connection) -> None:
    """From version 1, which had one spelling of each identifier; also for streams that are not pulled any more.

    After that all streams are modelled anew from their raw tables.
    """
    connection.execute("CREATE OR REPLACE TEMP TABLE carried_over AS SELECT * FROM customers.identifiers")
    connection.execute("DROP TABLE customers.identifiers")
    connection.execute("DROP TABLE customers.normalised")
    connection.execute(TABLES)
    connection.execute(
        """
        INSERT INTO customers.identifiers (record_id, kind, value, original, merges, contact)
        SELECT record_id, kind, value, original, merges, value FROM carried_over
        """
    )
    connection.execute("DROP TABLE carried_over")
    connection.execute("UPDATE customers.modelled_streams SET declaration = ''")


def _add_event_columns(connection: Connection) -> None:
    """From version 2, which kept values as said only; what it knew of the plan is judged anew from the events."""
    connection.execute("ALTER TABLE customers.events ADD COLUMN value_base DOUBLE")
    connection.execute("ALTER TABLE customers.events ADD COLUMN violations TEXT[]")
    connection.execute("UPDATE customers.events SET value_base = value WHERE value IS NOT NULL")


def _add_hash_columns(connection: Connection) -> None:
    """From version 3; resolve works the hashes out."""
    for column in ("record_hash", "value_hash"):
        connection.execute(f"ALTER TABLE customers.identifiers ADD COLUMN {column} INTEGER")
