"""Plan: what a destination should hold, compared with what it has acknowledged, as numbered operations.

Each function makes one step's table. The steps: ``wanted`` (the sync's rows, mapped), ``held_back`` (no consent),
``operations`` (the difference), and a Parquet file of them.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from millstream.destinations.modes import SyncMode
from millstream.destinations.sync import Sync
from millstream.state.errors import ConfigurationError, GuardError, QueryError
from millstream.state.ledger.acknowledged import create_tables
from millstream.state.sql import identifier, literal, quoted
from millstream.state.store import column_types, query_columns, query_errors, write_arrow, write_parquet

if TYPE_CHECKING:
    from millstream.state.store import Connection

_TIMES = ("DATE", "TIMESTAMP", "TIMESTAMPTZ")


@dataclass
class PlanReport:
    """What a plan would do.

    Attributes:
        sync: Name of the sync.
        wanted: People the destination should hold.
        adds: Rows to put in.
        updates: Rows whose fields changed.
        removes: Rows to take out.
        unchanged: Rows that are as acknowledged.
        suppressed: People kept back because they have not consented.
        unmatched: People without a value for the match key.
        waiting: Rows that were not accepted before and wait for a change or their next try.
        merged_away: Rows of ids that were merged into a person who is there under another; they stay, because the sync
            has no audience to take them out of.
        guards: Why a guard would stop it; empty when none does.
        plan_id: The plan's id, when it has operations and is to be sent.
        path: Its file, named after the sync and the plan.
    """

    sync: str
    wanted: int = 0
    adds: int = 0
    updates: int = 0
    removes: int = 0
    unchanged: int = 0
    suppressed: int = 0
    unmatched: int = 0
    waiting: int = 0
    merged_away: int = 0
    guards: list[str] = field(default_factory=list)
    plan_id: str | None = None
    path: Path | None = None

    @property
    def operations(self) -> int:
        """Rows to send."""
        return self.adds + self.updates + self.removes

    @property
    def ok(self) -> bool:
        """Whether no guard stands in the way."""
        return not self.guards

    def check_guards(self) -> None:
        """Stop here if a guard says so.

        Raises:
            GuardError: Says what would have happened and how to let it.
        """
        if self.guards:
            raise GuardError(
                " ".join(self.guards) + " Nothing was sent.",
                where=f"sync {self.sync}",
                remedy="look at `millstream plan`; to let it happen once, `millstream activate --override-guards`.",
            )

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {**asdict(self), "path": None, "operations": self.operations, "ok": self.ok}


def make_plan(
    connection: Connection,
    name: str,
    sync: Sync,
    *,
    waiting: Sequence[Mapping[str, Any]],
    folder: Path | None,
    now: datetime,
) -> PlanReport:
    """Compare and write the plan's file; nothing is sent.

    Args:
        connection: Open on the store.
        name: Name of the sync.
        sync: What it is.
        waiting: The journal's rejected rows of this sync.
        folder: Where plan files go; None writes none.
        now: The time of planning.

    Raises:
        ConfigurationError: A mapped column that the source does not have.
    """
    create_tables(connection)
    report = PlanReport(name)
    _make_wanted(connection, name, sync)
    report.unmatched = _count(connection, "SELECT count(*) FROM wanted WHERE match_value IS NULL")
    report.suppressed = _hold_back(connection, name, sync, now)
    report.wanted = _count(connection, "SELECT count(*) FROM desired")
    still = [row for row in waiting if row["next_try_at"] is None or row["next_try_at"] > now]
    _make_operations(connection, name, sync, still, report)
    _count_operations(connection, report)
    _look_at_guards(connection, name, sync, report)
    if report.operations and folder:
        _write(connection, folder, report)
    connection.execute("DROP TABLE wanted; DROP TABLE desired; DROP TABLE operations")
    return report


def _source(sync: Sync) -> tuple[str, dict[str, object]]:
    """The rows a sync sends, as a select with its parameters."""
    if sync.audience:
        return (
            """SELECT profile.* FROM customers.profiles AS profile
            JOIN customers.memberships AS member ON member.profile_id = profile.profile_id
            WHERE member.audience = $audience AND member.left_at IS NULL""",
            {"audience": sync.audience},
        )
    if sync.table:
        return f"SELECT * FROM {identifier(sync.table)}", {}
    return f"SELECT * FROM ({sync.sql}) AS chosen", {}


def _make_wanted(connection: Connection, name: str, sync: Sync) -> None:
    """``wanted``: match value, profile, fields as JSON with their hash; one row for each match value."""
    select, parameters = _source(sync)
    try:
        with query_errors():
            connection.execute(f"CREATE OR REPLACE TEMP TABLE source_rows AS {select}", parameters)
    except QueryError as error:
        raise ConfigurationError(
            f"The rows to send cannot be read: {error.what}",
            where=f"sync {name}",
            remedy="check the table or query; run `millstream resolve` and `millstream select` first.",
        ) from error
    columns = query_columns(connection, "SELECT * FROM source_rows")
    for column in (sync.match_column, *(mapping.column for mapping in sync.mappings().values())):
        if column not in columns:
            raise ConfigurationError(
                f"Column {column!r} is not there to be sent.", where=f"sync {name}", allowed=sorted(columns)
            )
    if sync.consent != "not_needed" and "profile_id" not in columns:
        raise ConfigurationError(
            "Consent cannot be looked up for rows without a profile_id; nothing is sent.",
            where=f"sync {name}",
            remedy="select profile_id too, or say consent: not_needed.",
        )
    match = f"nullif(trim(CAST({quoted(sync.match_column)} AS TEXT)), '')"
    if sync.match_key == "email":
        match = f"lower({match})"
    profile = "profile_id" if "profile_id" in columns else "CAST(NULL AS TEXT)"
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE wanted AS
        WITH mapped AS (
            SELECT {match} AS match_value, {profile} AS profile_id, {_fields(sync, columns)} AS fields FROM source_rows
        ), numbered AS (
            SELECT match_value, profile_id, fields,
                row_number() OVER (PARTITION BY match_value ORDER BY profile_id, fields) AS number
            FROM mapped
        )
        SELECT match_value, profile_id, fields, md5(fields) AS payload_hash FROM numbered
        WHERE match_value IS NULL OR number = 1
        """
    )
    connection.execute("DROP TABLE source_rows")


def _fields(sync: Sync, columns: Mapping[str, str]) -> str:
    """The mapped columns as one JSON text. Times are written as text, which every engine writes alike."""
    if not sync.mappings():
        return "'{}'"
    values = {
        target: f"CAST({quoted(mapping.column)} AS TEXT)"
        if columns[mapping.column] in _TIMES
        else quoted(mapping.column)
        for target, mapping in sync.mappings().items()
    }
    packed = ", ".join(f"{quoted(target)} := {value}" for target, value in values.items())
    return f"CAST(to_json(struct_pack({packed})) AS TEXT)"


def _hold_back(connection: Connection, name: str, sync: Sync, now: datetime) -> int:
    """``desired``: wanted people who may be addressed. Who may not is noted with the reason; no record means no."""
    if sync.consent == "not_needed":
        connection.execute("DELETE FROM delivery.suppressed WHERE sync = ?", [name])
        connection.execute("CREATE OR REPLACE TEMP TABLE desired AS SELECT * FROM wanted WHERE match_value IS NOT NULL")
        return 0
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE judged AS
        SELECT wanted.*, coalesce(consent.status, 'no consent record') AS consent
        FROM wanted LEFT JOIN customers.profile_consents AS consent
            ON consent.profile_id = wanted.profile_id AND consent.channel = $channel AND consent.topic = $topic
        WHERE match_value IS NOT NULL
        """,
        {"channel": sync.consent.channel, "topic": sync.consent.topic},
    )
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE desired AS
        SELECT match_value, profile_id, fields, payload_hash FROM judged WHERE consent = 'granted'
        """
    )
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE held_back AS
        SELECT profile_id, 'consent: ' || min(consent) AS reason FROM judged
        WHERE consent <> 'granted' AND profile_id IS NOT NULL GROUP BY profile_id
        """
    )
    connection.execute(
        """
        DELETE FROM delivery.suppressed AS known WHERE sync = $sync AND NOT EXISTS (
            SELECT 1 FROM held_back WHERE held_back.profile_id = known.profile_id AND held_back.reason = known.reason
        )
        """,
        {"sync": name},
    )
    connection.execute(
        """
        INSERT INTO delivery.suppressed SELECT $sync, profile_id, reason, $now FROM held_back ON CONFLICT DO NOTHING
        """,
        {"sync": name, "now": now},
    )
    held = _count(connection, "SELECT count(*) FROM judged WHERE consent <> 'granted'")
    connection.execute("DROP TABLE judged; DROP TABLE held_back")
    return held


def _differences(sync: Sync, *, takes_out: bool) -> str:
    """Selects of operation, match value, profile, external id, payload hash and fields, for the sync's mode."""
    puts_in = "update" if sync.mode is SyncMode.UPDATE else "add"
    new = f"""
        SELECT {literal(puts_in)} AS operation, desired.match_value, desired.profile_id, known.external_id,
            desired.payload_hash, desired.fields
        FROM desired LEFT JOIN known USING (match_value) WHERE known.present IS NOT TRUE"""
    changed = """
        SELECT 'update', desired.match_value, desired.profile_id, known.external_id,
            desired.payload_hash, desired.fields
        FROM desired JOIN known USING (match_value)
        WHERE known.present AND known.payload_hash <> desired.payload_hash"""
    gone = """
        SELECT 'remove', known.match_value, known.profile_id, known.external_id, known.payload_hash, '{}'
        FROM known LEFT JOIN desired ON desired.match_value = known.match_value
        WHERE desired.match_value IS NULL AND known.present IS NOT FALSE"""
    out = """
        SELECT 'remove' AS operation, desired.match_value, desired.profile_id, known.external_id, '' AS payload_hash,
            '{}' AS fields
        FROM desired LEFT JOIN known USING (match_value) WHERE known.present IS NOT FALSE"""
    merged = f"""
        SELECT 'remove', known.match_value, known.profile_id, known.external_id, known.payload_hash, '{{}}'
        FROM known WHERE {_MERGED_AWAY}"""
    if sync.mode is SyncMode.REMOVE:
        return out
    if sync.mode is SyncMode.MIRROR:
        return "\nUNION ALL\n".join([new, changed, gone])
    return "\nUNION ALL\n".join([new, changed, merged] if takes_out else [new, changed])


# What a destination acknowledged of an id that was since merged into somebody who is sent under another match value.
# Nobody leaves when it goes: also the modes that never take anyone out may take it out.
_MERGED_AWAY = """
    known.present IS NOT FALSE
    AND NOT EXISTS (SELECT 1 FROM desired WHERE desired.match_value = known.match_value)
    AND EXISTS (SELECT 1 FROM customers.profile_aliases AS alias JOIN desired ON desired.profile_id = alias.profile_id
                WHERE alias.alias_id = known.profile_id)"""


def _look_for_merged(connection: Connection, name: str, sync: Sync, report: PlanReport) -> bool:
    """Whether the plan takes out ids that were merged away; where it cannot, they are counted.

    A table or a query may have several rows of one person, so only audiences tell that one stands for another.
    """
    if sync.mode not in (SyncMode.UPSERT, SyncMode.ADD) or not sync.audience:
        return False
    if not column_types(connection, "customers", "profile_aliases"):
        return False
    if sync.audience_name:
        return True
    known = "WITH known AS (SELECT * FROM delivery.acknowledged WHERE sync = ?)"
    report.merged_away = _count(connection, f"{known} SELECT count(*) FROM known WHERE {_MERGED_AWAY}", [name])
    return False


def _make_operations(
    connection: Connection,
    name: str,
    sync: Sync,
    still: Sequence[Mapping[str, Any]],
    report: PlanReport,
) -> None:
    """``operations``: the differences, less the rows whose refusal still stands."""
    keys = ("match_hash", "operation", "payload_hash")
    write_arrow(
        connection, "refused", pa.table({key: pa.array([row[key] for row in still], pa.string()) for key in keys})
    )
    takes_out = _look_for_merged(connection, name, sync, report)
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE differences AS
        WITH known AS (SELECT * FROM delivery.acknowledged WHERE sync = $sync)
        {_differences(sync, takes_out=takes_out)}
        """,
        {"sync": name},
    )
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE operations AS
        WITH hashed AS (SELECT *, sha256(match_value) AS match_hash FROM differences)
        SELECT CAST(row_number() OVER (ORDER BY operation, match_value) - 1 AS INTEGER) AS number, *
        FROM hashed
        WHERE NOT EXISTS (
            SELECT 1 FROM refused
            WHERE refused.match_hash = hashed.match_hash AND refused.operation = hashed.operation
                AND refused.payload_hash = hashed.payload_hash
        )
        """
    )
    differences = _count(connection, "SELECT count(*) FROM differences")
    report.waiting = differences - _count(connection, "SELECT count(*) FROM operations")
    report.unchanged = report.wanted - _count(
        connection, "SELECT count(*) FROM differences JOIN desired USING (match_value)"
    )
    connection.execute("DROP TABLE differences; DROP TABLE refused")


def _count_operations(connection: Connection, report: PlanReport) -> None:
    counted = dict(connection.execute("SELECT operation, count(*) FROM operations GROUP BY operation").fetchall())
    report.adds, report.updates = counted.get("add", 0), counted.get("update", 0)
    report.removes = counted.get("remove", 0)


def _look_at_guards(connection: Connection, name: str, sync: Sync, report: PlanReport) -> None:
    if sync.mode is SyncMode.REMOVE or not report.removes:
        return
    held = _count(connection, "SELECT count(*) FROM delivery.acknowledged WHERE sync = ? AND present", [name])
    guards = sync.guards
    if not report.wanted and not guards.allow_empty:
        report.guards.append(f"The source is empty, and {report.removes} people would be taken out.")
    elif report.removes > guards.removals_always_allowed and report.removes > guards.largest_removal_share * held:
        report.guards.append(
            f"{report.removes} of {held} people would be taken out; at most "
            f"{guards.largest_removal_share:.0%} are allowed in one run."
        )


def _write(connection: Connection, folder: Path, report: PlanReport) -> None:
    """The plan's file, put in place whole."""
    report.plan_id = f"plan_{uuid.uuid4().hex[:16]}"
    report.path = folder / f"{report.sync}.{report.plan_id}.parquet"
    folder.mkdir(parents=True, exist_ok=True)
    part = report.path.with_suffix(".part")
    write_parquet(connection, "SELECT * FROM operations ORDER BY number", part)
    part.rename(report.path)


def _count(connection: Connection, query: str, parameters: Sequence[object] = ()) -> int:
    row = connection.execute(query, list(parameters)).fetchone()
    return int(row[0]) if row else 0
