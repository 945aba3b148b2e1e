"""What was delivered, in the store: what destinations acknowledged, and the audit of every run, batch and row."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from millstream.state.store import column_types, count
from millstream.state.store.arrow import as_postgres

if TYPE_CHECKING:
    from millstream.state.store import Connection

_TABLES = """
CREATE SCHEMA IF NOT EXISTS delivery;

-- A person at a destination as it was last acknowledged. Removals use what stands here, not what is known now.
-- One row for each sync and match value, by ``acknowledge``: the index of a key would cost more than all else.
CREATE TABLE IF NOT EXISTS delivery.acknowledged (
    sync TEXT NOT NULL,
    match_value TEXT NOT NULL,
    profile_id TEXT,
    payload_hash TEXT NOT NULL,
    external_id TEXT,                   -- the vendor's id of the person
    present BOOLEAN,                    -- false: taken out by mode 'remove'; NULL: sent without an answer
    acknowledged_at TIMESTAMPTZ NOT NULL,
    plan_id TEXT NOT NULL,
    field_hashes TEXT                   -- JSON: destination field and hash of its value; NULL: nobody knows
);

-- Every row's outcome, for 'explain' and for audits. Rows that were held back have the operation 'hold'.
CREATE TABLE IF NOT EXISTS delivery.outcomes (
    sync TEXT NOT NULL,
    plan_id TEXT NOT NULL,              -- of a row held back: the run
    operation TEXT NOT NULL,
    match_value TEXT NOT NULL,
    profile_id TEXT,
    status TEXT NOT NULL,
    code TEXT,
    reason TEXT,
    settled_at TIMESTAMPTZ NOT NULL
);

-- Who is kept back from a sync now, and why.
CREATE TABLE IF NOT EXISTS delivery.suppressed (
    sync TEXT NOT NULL,
    match_value TEXT NOT NULL,
    profile_id TEXT,
    reason TEXT NOT NULL,
    since TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (sync, match_value)
);

-- What the guards compare with: what a sync was when it was last planned.
CREATE TABLE IF NOT EXISTS delivery.syncs (
    sync TEXT PRIMARY KEY,
    columns TEXT NOT NULL,              -- JSON: mapped column and type
    matched_by TEXT,                    -- JSON: match key and column; NULL: planned by an older version
    destination TEXT,                   -- NULL: as above
    audience TEXT                       -- JSON: its name, null where there is none; NULL: as above
);

-- Every activation of a sync.
CREATE TABLE IF NOT EXISTS delivery.runs (
    run_id TEXT NOT NULL,
    sync TEXT NOT NULL,
    destination TEXT NOT NULL,
    mode TEXT NOT NULL,
    plan_id TEXT,
    started_at TIMESTAMPTZ NOT NULL,
    finished_at TIMESTAMPTZ NOT NULL,
    status TEXT NOT NULL,               -- completed, partial, stopped, waiting
    wanted BIGINT NOT NULL,
    adds BIGINT NOT NULL,
    updates BIGINT NOT NULL,
    removes BIGINT NOT NULL,
    accepted BIGINT NOT NULL,
    rejected BIGINT NOT NULL,
    suppressed BIGINT NOT NULL,
    retry_later BIGINT NOT NULL,
    unknown BIGINT NOT NULL,
    requests BIGINT NOT NULL,
    error TEXT
);

-- Every batch of every plan.
CREATE TABLE IF NOT EXISTS delivery.batches (
    batch_id BIGINT PRIMARY KEY,        -- as in the journal
    sync TEXT NOT NULL,
    plan_id TEXT NOT NULL,
    operation TEXT NOT NULL,
    rows BIGINT NOT NULL,
    job_id TEXT,                        -- the vendor's id of an async job
    started_at TIMESTAMPTZ NOT NULL,
    finished_at TIMESTAMPTZ,
    accepted BIGINT NOT NULL
);
"""

_AGING = {"outcomes": "settled_at", "runs": "finished_at", "batches": "started_at"}
"""Tables of the audit, and the time by which their rows grow old."""


@dataclass(frozen=True, kw_only=True)
class RunRow:
    """An activation of a sync, as ``delivery.runs`` keeps it; fields are its columns, in their order."""

    run_id: str
    sync: str
    destination: str
    mode: str
    plan_id: str | None
    started_at: datetime
    finished_at: datetime
    status: str
    wanted: int
    adds: int
    updates: int
    removes: int
    accepted: int
    rejected: int
    suppressed: int
    retry_later: int
    unknown: int
    requests: int
    error: str | None


def keep_run(connection: Connection, run: RunRow) -> None:
    """Add a run to the audit."""
    values = list(asdict(run).values())
    connection.execute(f"INSERT INTO delivery.runs VALUES ({', '.join('?' * len(values))})", values)


def acknowledge(connection: Connection, sync: str, plan: str, at: datetime, people: str) -> None:
    """Put people into ``delivery.acknowledged``, in the place of what stands there of them.

    Args:
        connection: Open on the store.
        sync: The sync that they are of.
        plan: Id of the plan, or of the run, that acknowledges them.
        at: When it does.
        people: A select of match value, profile id, payload hash, external id, presence and hashes of fields, one row
            for each match value. It is run twice.
    """
    if count(connection, "SELECT count(*) FROM delivery.acknowledged WHERE sync = ?", [sync]):
        connection.execute(
            f"""
            DELETE FROM delivery.acknowledged WHERE sync = $sync
                AND match_value IN (SELECT match_value FROM ({people}) AS people)
            """,
            {"sync": sync},
        )
    connection.execute(
        f"""
        INSERT INTO delivery.acknowledged (sync, acknowledged_at, plan_id,
            match_value, profile_id, payload_hash, external_id, present, field_hashes)
        SELECT $sync, $at, $plan, people.* FROM ({people}) AS people
        """,
        {"sync": sync, "at": at, "plan": plan},
    )


def create_tables(connection: Connection) -> None:
    """Make the tables that are missing, and bring those of an older version to this shape."""
    suppressed = column_types(connection, "delivery", "suppressed")
    if suppressed and "match_value" not in suppressed:
        connection.execute("DROP TABLE delivery.suppressed")  # the next plan finds its rows again
    connection.execute(_TABLES)
    if "field_hashes" not in column_types(connection, "delivery", "acknowledged"):
        connection.execute("ALTER TABLE delivery.acknowledged ADD COLUMN field_hashes TEXT")
    known = column_types(connection, "delivery", "syncs")
    for column in ("matched_by", "destination", "audience"):
        if column not in known:
            connection.execute(f"ALTER TABLE delivery.syncs ADD COLUMN {column} TEXT")
    if as_postgres(connection) is None:
        _drop_key(connection)


def _drop_key(connection: Connection) -> None:
    """A DuckDB store of before has a key, whose index makes settling many times as slow."""
    described = connection.execute("DESCRIBE delivery.acknowledged").fetchall()
    if not any(key == "PRI" for _, _, _, key, *_ in described):
        return
    connection.execute("ALTER TABLE delivery.acknowledged RENAME TO acknowledged_with_key")
    connection.execute(_TABLES)
    connection.execute("INSERT INTO delivery.acknowledged BY NAME SELECT * FROM delivery.acknowledged_with_key")
    connection.execute("DROP TABLE delivery.acknowledged_with_key")


def forget_old(connection: Connection, *, keep_days: int, now: datetime) -> None:
    """Delete the audit's rows that are older; what is acknowledged stays."""
    for table, column in _AGING.items():
        connection.execute(f"DELETE FROM delivery.{table} WHERE {column} < ?", [now - timedelta(days=keep_days)])
