"""The tables of the customer model, schema ``customers``. Every step that follows reads these."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millstream.state.store import Connection

SCHEMA = "customers"

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

-- What a record is known by. value is normalised; equal (kind, value) with merges means the same person.
CREATE TABLE IF NOT EXISTS customers.identifiers (
    record_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    original TEXT NOT NULL,
    merges BOOLEAN NOT NULL
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
    plan_status TEXT NOT NULL           -- planned, unplanned, or 'missing: a, b'
);

-- Whether a record's person may be addressed. A profile takes the most restrictive of its records.
CREATE TABLE IF NOT EXISTS customers.consents (
    record_id TEXT NOT NULL,
    channel TEXT NOT NULL,
    topic TEXT NOT NULL,
    status TEXT NOT NULL,               -- granted, denied, unknown
    observed_at TIMESTAMPTZ NOT NULL
);

-- Raw identifier values as they were normalised once; value is NULL where it is not valid.
CREATE TABLE IF NOT EXISTS customers.normalised (
    kind TEXT NOT NULL,
    country TEXT NOT NULL,
    original TEXT NOT NULL,
    value TEXT,
    PRIMARY KEY (kind, country, original)
);

-- How far each stream has been modelled.
CREATE TABLE IF NOT EXISTS customers.modelled_streams (
    source TEXT NOT NULL,
    stream TEXT NOT NULL,
    pulled_at TIMESTAMPTZ NOT NULL,
    declaration TEXT NOT NULL,          -- fingerprint of what the stream says; a change models it anew
    PRIMARY KEY (source, stream)
);
"""


def create_tables(connection: Connection) -> None:
    """Make the tables that are missing."""
    connection.execute(TABLES)
