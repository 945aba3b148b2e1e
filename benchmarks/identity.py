"""Identity: who is who of made-up records, in full and after a thousandth is new, beside scipy's components."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import numpy as np
import pyarrow as pa

from benchmarks.identity_people import LATER, MOST_RECORDS, add_newcomers, count_people, make_store
from benchmarks.measuring import Comparison, Meter, Side, compare
from millstream.state.identity import IdentityRules, KindRule, resolve
from millstream.state.store import DuckDBStore

PHASES = ("full", "0.1 % new rows")

PLAIN = IdentityRules(
    kinds={
        kind: KindRule(max_records=MOST_RECORDS, max_values=None, window_days=None, agree_on=None, blocked=())
        for kind in ("user_id", "email", "phone", "device_id")
    }
)
"""All that the floor does too: equal values join unless they are hot."""

_EDGES = f"""
WITH joining AS (
    SELECT kind, value, row_number() OVER () - 1 AS node FROM customers.identifiers
    WHERE merges GROUP BY kind, value HAVING count(*) <= {MOST_RECORDS}
)
SELECT record.rowid AS record, joining.node AS value
FROM customers.identifiers AS identifier
JOIN customers.records AS record ON record.record_id = identifier.record_id
JOIN joining ON joining.kind = identifier.kind AND joining.value = identifier.value
WHERE identifier.merges AND NOT record.deleted
"""


def run(*, identifiers: int, repeat: int) -> list[Comparison]:
    """Full and incremental: by rules that the floor can follow, and by the shipped ones beside the same floor."""
    with TemporaryDirectory(prefix="millstream-bench-") as folder:
        first = Path(folder) / "first.duckdb"
        make_store(first, identifiers)
        plain = compare("identity", _ours(first, identifiers, PLAIN), _floor(first, identifiers), repeat=repeat)
        shipped = compare("identity, shipped rules", _ours(first, identifiers, IdentityRules()), None, repeat=repeat)
    for one, beside in zip(shipped, plain, strict=True):
        one.floor = beside.floor
    return plain + shipped


def _ours(first: Path, identifiers: int, rules: IdentityRules) -> Side:
    def side(folder: Path, meter: Meter) -> None:
        store = DuckDBStore(Path(shutil.copy(first, folder / "store.duckdb")))
        for number, name in enumerate(PHASES):
            if number:
                _add_newcomers(store.path, identifiers)
            with meter.phase(name) as phase, store.transaction() as connection:
                resolve(connection, rules, run_id=f"run-{number}", now=LATER)
            phase.rows = _count_identifiers(store.path)
            phase.result = _partition(store.path, "customers.members", "profile_id")

    return side


def _floor(first: Path, identifiers: int) -> Side:
    """The edges by one query, components by scipy, one table of labels; everything again for the newcomers."""

    def side(folder: Path, meter: Meter) -> None:
        path = Path(shutil.copy(first, folder / "floor.duckdb"))
        for number, name in enumerate(PHASES):
            if number:
                _add_newcomers(path, identifiers)
            with meter.phase(name) as phase, duckdb.connect(str(path)) as connection:
                _label(connection)
            phase.rows = _count_identifiers(path)
            phase.result = _partition(path, "labels", "label")

    return side


def _label(connection: duckdb.DuckDBPyConnection) -> None:
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    edges = connection.execute(_EDGES).to_arrow_table()
    names = connection.execute("SELECT rowid AS node, record_id FROM customers.records WHERE NOT deleted")
    living = names.to_arrow_table()
    record, value, node = (column.to_numpy() for column in (edges["record"], edges["value"], living["node"]))
    nodes = int(node.max()) + 1
    size = nodes + int(value.max(initial=-1)) + 1
    graph = coo_matrix((np.ones(len(record), dtype=np.bool_), (record, value + nodes)), shape=(size, size))
    _, labels = connected_components(graph, directed=False)
    found = pa.table({"record_id": living["record_id"], "label": labels[node]})
    connection.register("found", found)
    connection.execute("CREATE OR REPLACE TABLE labels AS SELECT * FROM found")


def _add_newcomers(path: Path, identifiers: int) -> None:
    """Newcomers; meanwhile, as in every run, whoever changed in the first has been described."""
    add_newcomers(path, identifiers // 1000, count_people(identifiers))
    with duckdb.connect(str(path)) as connection:
        connection.execute("DELETE FROM customers.changed_profiles")


def _count_identifiers(path: Path) -> int:
    with duckdb.connect(str(path)) as connection:
        row = connection.execute("SELECT count(*) FROM customers.identifiers").fetchone()
        return 0 if row is None else int(row[0])


def _partition(path: Path, table: str, label: str) -> object:
    """How many people there are, and a fingerprint of which records are together."""
    with duckdb.connect(str(path)) as connection:
        return connection.execute(
            f"""
            SELECT count(DISTINCT first), bit_xor(hash(record_id, first)) FROM (
                SELECT record_id, min(record_id) OVER (PARTITION BY {label}) AS first FROM {table})
            """
        ).fetchone()
