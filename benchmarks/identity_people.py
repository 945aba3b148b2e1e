"""Made-up records and identifiers to find the people of: power-law sizes, long chains, values that thousands share.

Everything is drawn with fixed seeds: equal sizes give equal rows.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from millstream.state.identity import create_identity_tables
from millstream.state.identity.joining import hashed
from millstream.state.model.tables import create_tables

START = datetime(2026, 1, 1, tzinfo=UTC)
LATER = START + timedelta(days=1)
MOST_RECORDS = 1_000
"""A value on more records than this is hot; nobody here has as many."""

_LARGEST_PERSON = 500
_TAIL = 1.5
"""Of twice the records there are 2 ** -2.5 as many people."""
_CHAIN_SHARE = 0.02
_CHAIN_LENGTH = 1_000
_HOT_SHARE = 0.007
_MOST_HOT_VALUES = 5
_ROWS_A_RECORD = 1.95
_FIRST_NAMES = 200

_RECORDS = """
INSERT INTO customers.records
SELECT record_id, '{source}', 'contacts', number::VARCHAR, $at::TIMESTAMPTZ - to_days(days_ago), false, $at FROM made
"""

_IDENTIFIERS = """
INSERT INTO customers.identifiers (record_id, kind, value, original, merges, contact, record_hash, value_hash)
SELECT record_id, kind, value, value, true, value, {record_hash}, {value_hash} FROM (
    SELECT record_id, 'email' AS kind, CASE WHEN hot >= 0 THEN 'till-' || hot
        ELSE 'person-' || person || '-' || address END || '@box.example' AS value FROM made WHERE has_email
    UNION ALL
    SELECT record_id, 'user_id', 'customer-' || person FROM made WHERE has_user_id
    UNION ALL
    SELECT record_id, 'phone', '+1' || (2015550100 + other) FROM made WHERE has_phone
    UNION ALL
    SELECT record_id, 'device_id', 'browser-' || person || '-' || device FROM made WHERE has_device
    UNION ALL
    SELECT record_id, 'device_id', 'chain-' || chain FROM made WHERE chain >= 0
    UNION ALL
    SELECT record_id, 'device_id', 'chain-' || (chain + 1) FROM made WHERE chain >= 0
)
"""

_FIRST_NAME = """
INSERT INTO customers.traits
SELECT record_id, 'first_name', 'Name ' || (person % {names}), 'text', $at FROM made WHERE chain < 0
"""


def make_store(path: Path, identifiers: int) -> None:
    """A store with about so many identifier rows, not resolved yet."""
    random = np.random.default_rng(7)
    records = max(8, round(identifiers / _ROWS_A_RECORD))
    in_chains = round(records * _CHAIN_SHARE)
    person = _people(records - in_chains, random)
    with duckdb.connect(str(path)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        create_tables(connection)
        create_identity_tables(connection)
        _insert(connection, "crm", _bearers(person, person, random), START)
        _insert(connection, "web", _chains(in_chains, random), START)


def add_newcomers(path: Path, identifiers: int, people: int) -> None:
    """About so many more rows: half of people we know, of whom a few bear somebody else's number; half of new ones."""
    random = np.random.default_rng(8)
    records = max(2, round(identifiers / _ROWS_A_RECORD))
    known = random.random(records) < 0.5
    person = np.where(known, random.integers(0, people, records), people + np.arange(records))
    other = np.where(random.random(records) < 0.1, random.integers(0, people, records), person)
    with duckdb.connect(str(path)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        _insert(connection, "shop", _bearers(person, other, random), LATER)


def count_people(identifiers: int) -> int:
    """How many people ``make_store`` makes."""
    records = max(8, round(identifiers / _ROWS_A_RECORD))
    return int(_people(records - round(records * _CHAIN_SHARE), np.random.default_rng(7)).max()) + 1


def _people(records: int, random: np.random.Generator) -> np.ndarray:
    """Whose each record is, in no order: how many one person has follows a power law."""
    sizes = np.minimum(1 + random.pareto(_TAIL, records), _LARGEST_PERSON).astype(np.int64)
    people = int(np.searchsorted(np.cumsum(sizes), records)) + 1
    return random.permutation(np.repeat(np.arange(people), sizes[:people])[:records])


def _bearers(person: np.ndarray, other: np.ndarray, random: np.random.Generator) -> pa.Table:
    """A record for each element, of ``person`` and with the phone number of ``other``."""
    count = len(person)
    # So few that each is on more records than MOST_RECORDS, from 150,000 rows on.
    hot_values = min(_MOST_HOT_VALUES, max(1, round(count * _HOT_SHARE / MOST_RECORDS)))
    return pa.table(
        {
            "number": np.arange(count),
            "person": person,
            "other": other,
            "address": random.integers(0, 2, count),
            "device": random.integers(0, 3, count),
            "hot": np.where(random.random(count) < 2 * _HOT_SHARE, random.integers(0, hot_values, count), -1),
            "has_email": random.random(count) < 0.8,
            "has_user_id": random.random(count) < 0.4,
            "has_phone": random.random(count) < 0.4,
            "has_device": random.random(count) < 0.35,
            "chain": np.full(count, -1),
            "days_ago": random.integers(0, 700, count),
        }
    )


def _chains(count: int, random: np.random.Generator) -> pa.Table:
    """Visits of which each shares one device with the one before and another with the one after, in no order."""
    position = random.permutation(np.arange(count))
    nobody = np.full(count, -1)
    never = np.zeros(count, dtype=bool)
    return pa.table(
        {
            "number": np.arange(count),
            **dict.fromkeys(("person", "other", "address", "device", "hot"), nobody),
            **dict.fromkeys(("has_email", "has_user_id", "has_phone", "has_device"), never),
            "chain": position + position // _CHAIN_LENGTH,
            "days_ago": position % _CHAIN_LENGTH % 700,
        }
    )


def _insert(connection: duckdb.DuckDBPyConnection, source: str, drawn: pa.Table, modelled_at: datetime) -> None:
    connection.register("drawn", drawn)
    connection.execute(f"CREATE TEMP TABLE made AS SELECT *, '{source}.contacts:' || number AS record_id FROM drawn")
    connection.execute(_RECORDS.format(source=source), {"at": modelled_at})
    connection.execute(_IDENTIFIERS.format(record_hash=hashed("record_id"), value_hash=hashed("value")))
    connection.execute(_FIRST_NAME.format(names=_FIRST_NAMES), {"at": modelled_at})
    connection.execute("DROP TABLE made")
    connection.unregister("drawn")
