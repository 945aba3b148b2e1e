"""Ingest: HubSpot's contacts from the sandbox into a fresh store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pyarrow as pa

from benchmarks.measuring import Comparison, Meter, Side, compare
from benchmarks.vendor import Vendor
from millstream.sources.dlt_source import SourcePull
from millstream.sources.hubspot.contacts import contact_object
from millstream.sources.ingest import ingest
from millstream.state.store import DuckDBStore

_CHUNK = 2_000
_SQL_TYPES = {"timestamp": "TIMESTAMPTZ", "bool": "BOOLEAN"}


def run(vendor: Vendor, *, repeat: int) -> list[Comparison]:
    """Contacts beside the floor, and all streams alone."""
    contacts = compare("ingest", _ours(vendor, "contacts"), _floor(vendor), repeat=repeat)
    everything = compare("ingest", _ours(vendor), None, repeat=repeat)
    return [*contacts, *everything]


def _ours(vendor: Vendor, *streams: str) -> Side:
    def side(folder: Path, meter: Meter) -> None:
        store = DuckDBStore(folder / "store.duckdb")
        pull = SourcePull(vendor.source(*streams))
        with meter.phase(", ".join(streams) or "all streams") as phase:
            report = ingest(pull, store, name="hubspot", pipelines=folder / "dlt")
        if not report.ok:
            raise report.errors[0]
        phase.rows = report.rows
        phase.result = _stored(store.path, "raw_hubspot.contacts")

    return side


def _floor(vendor: Vendor) -> Side:
    """Page after page with requests and orjson, some thousand rows at a time as an Arrow table into DuckDB.

    The same columns with the same types; no retries, no pacing, no merge by key, no state, no check of anything.
    """
    contact = contact_object(vendor.source().settings)
    property_of = {p.column: p.name for p in contact.properties} | {"modified_at": contact.modified}
    fact_of = {"id": "id", "created_at": "createdAt", "deleted": "archived", "archived_at": "archivedAt"}
    schema = pa.schema([(c.name, pa.bool_() if c.name == "deleted" else pa.string()) for c in contact.columns])
    table_columns = ", ".join(f"{c.name} {_SQL_TYPES.get(c.type, 'VARCHAR')}" for c in contact.columns)

    def row(record: dict[str, Any]) -> dict[str, Any]:
        properties = record["properties"]
        return {column: properties.get(name) or None for column, name in property_of.items()} | {
            column: record.get(name) for column, name in fact_of.items()
        }

    def side(folder: Path, meter: Meter) -> None:
        path = folder / "floor.duckdb"
        with meter.phase("contacts") as phase, duckdb.connect(str(path)) as connection:
            connection.execute(f"CREATE TABLE contacts ({table_columns})")
            rows: list[dict[str, Any]] = []
            for page in _pages(vendor, ",".join(contact.names)):
                rows.extend(map(row, page))
                if len(rows) >= _CHUNK:
                    phase.rows += _insert(connection, rows, schema)
                    rows = []
            phase.rows += _insert(connection, rows, schema)
        phase.result = _stored(path, "contacts")

    return side


def _insert(connection: duckdb.DuckDBPyConnection, rows: list[dict[str, Any]], schema: pa.Schema) -> int:
    chunk = pa.Table.from_pylist(rows, schema)  # noqa: F841 - DuckDB finds it by its name
    connection.execute("INSERT INTO contacts SELECT * FROM chunk")
    return len(rows)


def _pages(vendor: Vendor, properties: str) -> Iterator[list[dict[str, Any]]]:
    after: str | None = None
    with vendor.session() as session:
        while True:
            query: dict[str, str | int] = {"limit": 100, "properties": properties}
            answer = session.get(
                f"{vendor.url}/crm/v3/objects/contacts", params=query | ({"after": after} if after else {}), timeout=60
            )
            answer.raise_for_status()
            body = orjson.loads(answer.content)
            yield body["results"]
            after = body.get("paging", {}).get("next", {}).get("after")
            if after is None:
                return


def _stored(path: Path, table: str) -> object:
    """A fingerprint of the rows in a store."""
    columns = "id, email, phone, first_name, city, email_opted_out, modified_at, deleted"
    with duckdb.connect(str(path)) as connection:
        return connection.execute(f"SELECT count(*), bit_xor(hash({columns})) FROM {table}").fetchone()
