"""The operations: what differs between ``desired`` and what the destination acknowledged, one numbered row each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from millstream.destinations.modes import SyncMode
from millstream.destinations.planning.places import row_place
from millstream.destinations.planning.report import PlanReport
from millstream.destinations.sync import Sync
from millstream.state.sql import json_path, literal, quoted, union_all
from millstream.state.store import column_types, count, write_arrow, write_parquet
from millstream.state.store.arrow import as_postgres

if TYPE_CHECKING:
    from millstream.state.store import Connection

_COLUMNS = ("operation", "match_value", "profile_id", "external_id", "payload_hash", "fields", "known_hashes")
"""What an operation has beside its number and the hashes of its fields."""

_IS_GONE = "(desired.match_value IS NULL)"

# What a destination acknowledged of an id that was since merged into somebody who is sent under another match value.
# Nobody leaves when it goes: also the modes that never take anyone out may take it out.
_MERGED_AWAY = """
    known.present IS NOT FALSE
    AND NOT EXISTS (SELECT 1 FROM desired WHERE desired.match_value = known.match_value)
    AND EXISTS (SELECT 1 FROM customers.profile_aliases AS alias JOIN desired ON desired.profile_id = alias.profile_id
                WHERE alias.alias_id = known.profile_id)"""


def make_operations(
    connection: Connection,
    name: str,
    sync: Sync,
    still: Sequence[Mapping[str, Any]],
    report: PlanReport,
    *,
    path: Path | None,
) -> None:
    """Write the differences, less the rows whose refusal still stands. How many there are goes to the report.

    They go from the join into the file: whoever has everything to send would hold it all once more otherwise. Where
    everybody is wanted exactly as acknowledged, and nobody else is known, nothing is compared and no file is written.

    Args:
        connection: Open on the store, with ``desired``.
        name: Name of the sync.
        sync: What it is.
        still: The journal's rejected rows that are not to be tried again yet.
        report: Counts go here.
        path: A Parquet file, which is not made where nothing differs; None only counts.
    """
    acknowledged = count(connection, "SELECT count(*) FROM delivery.acknowledged WHERE sync = ?", [name])
    as_they_are = count(connection, "SELECT count(*) FROM desired WHERE fields IS NULL")
    if report.wanted == as_they_are == acknowledged:
        report.unchanged = report.wanted
        return
    _find_known(connection, name, acknowledged, as_they_are)
    differences = _differences(sync, takes_out=_look_for_merged(connection, sync, report))
    left_out: dict[str, int] = {}
    if still:
        connection.execute(f"CREATE OR REPLACE TEMP TABLE differences AS {differences}")
        left_out = _leave_out(connection, still)
        differences = "SELECT * FROM differences"
    if path:
        _write(connection, _numbered(connection, sync, differences), path)
        counted = _counted(path)
    else:
        query = f"SELECT operation, count(*) FROM ({differences}) AS differences GROUP BY operation"
        counted = dict(connection.execute(query).fetchall())
    counted.pop("keep", None)
    report.adds, report.updates = counted.get("add", 0), counted.get("update", 0)
    report.removes = counted.get("remove", 0)
    report.waiting = sum(left_out.values())
    # Whoever is removed is wanted only where removing is what the sync does.
    report.unchanged = report.wanted - sum(
        rows
        for counts in (counted, left_out)
        for operation, rows in counts.items()
        if operation != "remove" or sync.mode is SyncMode.REMOVE
    )
    connection.execute("DROP TABLE IF EXISTS differences; DROP TABLE known")


def _find_known(connection: Connection, name: str, acknowledged: int, as_they_are: int) -> None:
    """``known``: what was acknowledged, less those who are wanted exactly so; they are nearly all of most runs."""
    chosen = "true" if acknowledged > as_they_are else "false"
    if 0 < as_they_are < acknowledged:
        # By their places first: a join that carried whole rows would take several times the memory.
        place = row_place(connection)
        connection.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE others AS
            SELECT acknowledged.{place} AS place FROM delivery.acknowledged AS acknowledged
            WHERE sync = {literal(name)} AND NOT EXISTS (
                SELECT 1 FROM desired WHERE desired.known_place = acknowledged.{place})
            """
        )
        chosen = f"{place} IN (SELECT place FROM others)"
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE known AS
        SELECT match_value, profile_id, payload_hash, external_id, present, field_hashes
        FROM delivery.acknowledged WHERE sync = {literal(name)} AND {chosen}
        """
    )
    connection.execute("DROP TABLE IF EXISTS others")


def _differences(sync: Sync, *, takes_out: bool) -> str:
    """Selects of an operation with all that sending it needs, for the sync's mode.

    Who is as acknowledged by ``desired`` is in none of them, and not in ``known``.
    """
    changed = "(SELECT * FROM desired WHERE fields IS NOT NULL) AS desired"
    puts_in = literal("update" if sync.mode is SyncMode.UPDATE else "add")
    as_sent = "known.present AND known.payload_hash = desired.payload_hash"
    put = f"""
        SELECT CASE WHEN known.present THEN 'update' ELSE {puts_in} END AS operation, desired.match_value,
            desired.profile_id, known.external_id, desired.payload_hash, desired.fields,
            known.field_hashes AS known_hashes
        FROM {changed} LEFT JOIN known ON known.match_value = desired.match_value WHERE ({as_sent}) IS NOT TRUE"""
    mirrored = f"""
        SELECT CASE WHEN {_IS_GONE} THEN 'remove' WHEN known.present THEN 'update' ELSE {puts_in} END AS operation,
            coalesce(desired.match_value, known.match_value) AS match_value,
            CASE WHEN {_IS_GONE} THEN known.profile_id ELSE desired.profile_id END AS profile_id,
            known.external_id, coalesce(desired.payload_hash, known.payload_hash) AS payload_hash,
            coalesce(desired.fields, '{{}}') AS fields,
            CASE WHEN NOT {_IS_GONE} THEN known.field_hashes END AS known_hashes
        FROM {changed} FULL JOIN known ON known.match_value = desired.match_value
        WHERE CASE WHEN {_IS_GONE} THEN known.present IS NOT FALSE ELSE ({as_sent}) IS NOT TRUE END"""
    out = """
        SELECT 'remove' AS operation, desired.match_value, desired.profile_id, known.external_id, '' AS payload_hash,
            '{}' AS fields, CAST(NULL AS TEXT) AS known_hashes
        FROM desired LEFT JOIN known USING (match_value) WHERE known.present IS NOT FALSE"""
    kept = f"""
        SELECT 'keep', desired.match_value, desired.profile_id, known.external_id, desired.payload_hash,
            desired.fields, CAST(NULL AS TEXT)
        FROM desired JOIN known ON known.match_value = desired.match_value WHERE {as_sent}"""
    merged = f"""
        SELECT 'remove', known.match_value, known.profile_id, known.external_id, known.payload_hash, '{{}}',
            CAST(NULL AS TEXT)
        FROM known WHERE {_MERGED_AWAY}"""
    if sync.mode is SyncMode.REMOVE:
        return out
    if sync.mode is SyncMode.MIRROR:
        return mirrored
    if sync.mode is SyncMode.REPLACE:
        return union_all([mirrored, kept])
    return union_all([put, merged]) if takes_out else put


def _look_for_merged(connection: Connection, sync: Sync, report: PlanReport) -> bool:
    """Whether the plan takes out ids that were merged away; where it cannot, they are counted.

    A table or a query may have several rows of one person, so only audiences tell that one stands for another.
    """
    if sync.mode not in (SyncMode.UPSERT, SyncMode.ADD) or not sync.audience:
        return False
    if not column_types(connection, "customers", "profile_aliases"):
        return False
    if sync.audience_name:
        return True
    report.merged_away = count(connection, f"SELECT count(*) FROM known WHERE {_MERGED_AWAY}")
    return False


def _leave_out(connection: Connection, still: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Take the rows out of ``differences`` whose refusal still stands; how many of each operation."""
    keys = ("match_hash", "operation", "payload_hash")
    write_arrow(
        connection, "refused", pa.table({key: pa.array([row[key] for row in still], pa.string()) for key in keys})
    )
    refused = """EXISTS (
        SELECT 1 FROM refused
        WHERE refused.match_hash = sha256(differences.match_value)
            AND refused.operation = differences.operation AND refused.payload_hash = differences.payload_hash
    )"""
    counted = connection.execute(
        f"SELECT operation, count(*) FROM differences WHERE {refused} GROUP BY operation"
    ).fetchall()
    connection.execute(f"DELETE FROM differences WHERE {refused}")
    connection.execute("DROP TABLE refused")
    return {str(operation): int(rows) for operation, rows in counted}


def _numbered(connection: Connection, sync: Sync, differences: str) -> str:
    """The operations, numbered in their order: batches and saved plans go by names that follow from it."""
    parsed, hashes = _field_hashes(connection, sync)
    ordered = f"SELECT * FROM ({differences}) AS differences ORDER BY operation, match_value"
    return f"""
        SELECT CAST(row_number() OVER () - 1 AS INTEGER) AS number, {", ".join(_COLUMNS)}, {hashes} AS field_hashes
        FROM (SELECT *, {parsed} AS parsed FROM ({ordered}) AS ordered) AS read"""


def _write(connection: Connection, query: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        write_parquet(connection, query, path)
    except BaseException:
        path.unlink(missing_ok=True)  # it has people's fields, and is written anew under another name if at all
        raise


def _counted(path: Path) -> dict[str, int]:
    """How many rows of each operation the file has."""
    operations = pq.read_table(path, columns=["operation"])["operation"]
    return {entry["values"]: entry["counts"] for entry in pc.value_counts(operations).to_pylist()}


def _field_hashes(connection: Connection, sync: Sync) -> tuple[str, str]:
    """What ``fields`` is parsed into, and from that a JSON text with a short hash of each field.

    32 bits tell one value of a person's field from the value before it; rows are compared by their long hash.
    """
    if not sync.fields:
        return "NULL", "'{}'"
    paths = [literal(json_path(target)) for target in sync.fields]
    if as_postgres(connection):
        parsed, value = "CAST(fields AS JSON)", "json_extract_string(parsed, {path})"
    else:
        # All at once: for each of them alone, DuckDB would read the whole text again.
        parsed, value = f"json_extract_string(CAST(fields AS JSON), [{', '.join(paths)}])", "parsed[{number}]"
    values = (value.format(number=number, path=path) for number, path in enumerate(paths, start=1))
    hashed = ", ".join(
        f"{quoted(target)} := substr(md5({value}), 1, 8)" for target, value in zip(sync.fields, values, strict=True)
    )
    return parsed, f"CAST(to_json(struct_pack({hashed})) AS TEXT)"
