"""Resolve: made-up records with hot values, in full and after one in a hundred is new."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import numpy as np
import pyarrow as pa

from benchmarks.measuring import Comparison, Meter, Side, compare
from millstream.state.identity import IdentityRules, resolve
from millstream.state.model.tables import create_tables
from millstream.state.store import Store

_START = datetime(2026, 1, 1, tzinfo=UTC)
_LATER = _START + timedelta(days=1)
_RECORDS_A_PERSON = 3
_HOT_SHARE = 0.007
_HOT_VALUES = 5
_MOST_RECORDS = 50
"""The floor's only guard: a value on more records than this joins nothing."""

_IDENTIFIERS = """
INSERT INTO customers.identifiers
SELECT record_id, kind, value, value, true FROM (
    SELECT record_id, 'email' AS kind, CASE WHEN hot >= 0 THEN 'hot-' || hot
        ELSE 'person-' || person || '-' || address END || '@example.com' AS value FROM made WHERE has_email
    UNION ALL
    SELECT record_id, 'user_id', 'customer-' || person FROM made WHERE has_user_id
    UNION ALL
    SELECT record_id, 'phone', '+1' || (2015550100 + other) FROM made WHERE has_phone
    UNION ALL
    SELECT record_id, 'device_id', 'browser-' || person || '-' || device FROM made WHERE has_device
)
"""


def run(*, records: int, repeat: int) -> list[Comparison]:
    """Full and incremental, beside connected components in numpy, which always look at everything."""
    with TemporaryDirectory(prefix="millstream-bench-") as folder:
        first, second = Path(folder) / "first.duckdb", Path(folder) / "second.arrow"
        _make_first(first, records)
        _make_second(second, records)
        return compare("resolve", _ours(first, second), _floor(first, second), repeat=repeat)


def _ours(first: Path, second: Path) -> Side:
    def side(folder: Path, meter: Meter) -> None:
        store = Store(Path(shutil.copy(first, folder / "store.duckdb")))
        for number, name in enumerate(("full", "1 % new records")):
            if number:
                _add_second(store.path, second)
            with meter.phase(name) as phase, store.transaction() as connection:
                report = resolve(connection, IdentityRules(), run_id=f"run-{number}", now=_LATER)
            phase.rows = report.records
            phase.result = _partition(store.path, "customers.members", "profile_id")

    return side


def _floor(first: Path, second: Path) -> Side:
    """One query for the guarded identifiers, components by numpy, one table of labels."""

    def side(folder: Path, meter: Meter) -> None:
        path = Path(shutil.copy(first, folder / "floor.duckdb"))
        for number, name in enumerate(("full", "1 % new records")):
            if number:
                _add_second(path, second)
            with meter.phase(name) as phase, duckdb.connect(str(path)) as connection:
                phase.rows = _label(connection)
            phase.result = _partition(path, "labels", "label")

    return side


def _label(connection: duckdb.DuckDBPyConnection) -> int:
    records = connection.execute("SELECT record_id FROM customers.records WHERE NOT deleted").to_arrow_table()
    links = connection.execute(
        f"""
        SELECT record_id, kind || ':' || value AS value FROM customers.identifiers
        JOIN customers.records USING (record_id)
        ANTI JOIN (SELECT kind, value FROM customers.identifiers GROUP BY ALL
                   HAVING count(DISTINCT record_id) > {_MOST_RECORDS}) USING (kind, value)
        WHERE merges AND NOT deleted
        """
    ).to_arrow_table()
    names = records["record_id"].combine_chunks()
    record = pa.compute.index_in(links["record_id"], value_set=names).to_numpy()
    value = links["value"].combine_chunks().dictionary_encode().indices.to_numpy()
    labels = components(record, value, len(names))
    found = pa.table({"record_id": names, "label": labels})  # noqa: F841 - DuckDB finds it by its name
    connection.execute("CREATE OR REPLACE TABLE labels AS SELECT * FROM found")
    return len(names)


def components(record: np.ndarray, value: np.ndarray, records: int) -> np.ndarray:
    """Label each record with the smallest record of its component.

    Each identifier value becomes a star from its smallest record; then, until no edge is left, every root hooks onto
    the smallest root it has an edge to, and pointer jumping makes all trees flat (after Shiloach and Vishkin, 1982).

    Args:
        record: Record number of each identifier row.
        value: Identifier value number of each identifier row.
        records: How many records there are.
    """
    first = np.full(int(value.max(initial=-1)) + 1, records, dtype=np.int64)
    np.minimum.at(first, value, record)
    a, b = first[value], record.astype(np.int64)
    parent = np.arange(records, dtype=np.int64)
    while True:
        a, b = parent[a], parent[b]
        apart = a != b
        a, b = a[apart], b[apart]
        if not len(a):
            return parent
        np.minimum.at(parent, np.maximum(a, b), np.minimum(a, b))
        while True:
            above = parent[parent]
            if np.array_equal(above, parent):
                break
            parent = above


def _make_first(path: Path, records: int) -> None:
    """``records`` records of a third as many people, whose identifiers overlap in part."""
    people = max(1, records // _RECORDS_A_PERSON)
    random = np.random.default_rng(7)
    person = random.integers(0, people, records)
    with duckdb.connect(str(path)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        create_tables(connection)
        _insert(connection, _identities("crm", person, person, random), _START)


def _make_second(path: Path, records: int) -> None:
    """One in a hundred: half about people we know, of whom a few bear someone else's phone number; half new ones."""
    people, new = max(1, records // _RECORDS_A_PERSON), max(2, records // 100)
    random = np.random.default_rng(8)
    person = np.where(random.random(new) < 0.5, random.integers(0, people, new), people + np.arange(new))
    other = np.where(random.random(new) < 0.1, random.integers(0, people, new), person)
    with pa.ipc.new_file(str(path), (table := _identities("web", person, other, random)).schema) as file:
        file.write_table(table)


def _identities(source: str, person: np.ndarray, other: np.ndarray, random: np.random.Generator) -> pa.Table:
    count = len(person)
    return pa.table(
        {
            "record_id": [f"{source}.contacts:{number}" for number in range(count)],
            "person": person,
            "other": other,
            "address": random.integers(0, 2, count),
            "device": random.integers(0, 3, count),
            "hot": np.where(random.random(count) < _HOT_SHARE, random.integers(0, _HOT_VALUES, count), -1),
            "has_email": random.random(count) < 0.8,
            "has_user_id": random.random(count) < 0.3,
            "has_phone": random.random(count) < 0.4,
            "has_device": random.random(count) < 0.3,
        }
    )


def _add_second(path: Path, second: Path) -> None:
    with pa.ipc.open_file(str(second)) as file, duckdb.connect(str(path)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        _insert(connection, file.read_all(), _LATER)


def _insert(connection: duckdb.DuckDBPyConnection, made: pa.Table, modelled_at: datetime) -> None:
    connection.register("made", made)
    connection.execute(
        """
        INSERT INTO customers.records
        SELECT record_id, split_part(record_id, '.', 1), 'contacts', split_part(record_id, ':', 2), $at, false, $at
        FROM made
        """,
        {"at": modelled_at},
    )
    connection.execute(_IDENTIFIERS)


def _partition(path: Path, table: str, label: str) -> object:
    """How many people there are, and a fingerprint of which records are together."""
    with duckdb.connect(str(path)) as connection:
        return connection.execute(
            f"""
            SELECT count(DISTINCT first), bit_xor(hash(record_id, first)) FROM (
                SELECT record_id, min(record_id) OVER (PARTITION BY {label}) AS first FROM {table})
            """
        ).fetchone()
