"""Settle: the journal's outcomes of a plan become the store's acknowledged state.

It may be done twice without harm: a run that died between the two databases is settled again by the next one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from millstream.destinations.modes import Operation, Status, SyncMode
from millstream.state.errors import FatalError
from millstream.state.ledger.acknowledged import REPLACE_ACKNOWLEDGED, create_tables
from millstream.state.ledger.journal import Journal, PlanEntry, RowOutcome
from millstream.state.store import Store, load_parquet, write_arrow

if TYPE_CHECKING:
    from millstream.state.store import Connection

FIRST_RETRY = timedelta(hours=1)
LONGEST_RETRY = timedelta(days=1)
MOST_ATTEMPTS = 7
"""After so many tries a rejected row is held until it changes."""

_ACCEPTED = (Status.ACCEPTED.value, Status.ACCEPTED_ASYNC.value)
_LISTED = (Status.REJECTED.value, Status.SUPPRESSED.value, Status.UNKNOWN.value)


@dataclass
class Settled:
    """Rows of a plan by what became of them, and the codes of those not accepted."""

    counts: dict[str, int] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)


def settle(
    store: Store,
    journal: Journal,
    plan: PlanEntry,
    *,
    mode: SyncMode,
    idempotent: frozenset[Operation],
    now: datetime,
) -> Settled:
    """Bring a plan's outcomes into the store, list what was not accepted, and drop the plan's file.

    Raises:
        FatalError: The plan's file is gone although rows of it were sent.
    """
    outcomes = final_outcomes(journal, plan.plan_id, idempotent)
    settled = Settled()
    if outcomes:
        if not plan.path.exists():
            raise FatalError(
                f"The file of plan {plan.plan_id} is gone, and rows of it were sent.",
                where=f"sync {plan.sync}",
                remedy="put the file back; without it nobody knows which people its outcomes belong to.",
            )
        listed = journal.rejected_rows(plan.sync)
        with store.transaction() as connection:
            settled, rows = _merge(connection, plan, outcomes, listed=listed, mode=mode, now=now)
        _list_rejected(journal, plan.sync, listed, rows, now)
    journal.plan_settled(plan.plan_id)
    plan.path.unlink(missing_ok=True)
    return settled


def final_outcomes(journal: Journal, plan_id: str, idempotent: frozenset[Operation]) -> list[RowOutcome]:
    """The last outcome of each row that was sent.

    A row that got no answer is unknown; where its operation may be sent again, it is tried again later instead.
    """
    latest: dict[int, RowOutcome] = {}
    for batch in journal.batches_of(plan_id):
        may_repeat = Operation(batch.operation) in idempotent
        outcomes = [_unanswered(number) for number in batch.numbers] if batch.outcomes is None else batch.outcomes
        for outcome in outcomes:
            unsure = outcome.status == Status.UNKNOWN.value and may_repeat
            latest[outcome.number] = replace(outcome, status=Status.RETRY_LATER.value) if unsure else outcome
    return list(latest.values())


def _unanswered(number: int) -> RowOutcome:
    reason = "The run ended before the answer came."
    return RowOutcome(number, Status.UNKNOWN.value, "no_answer", reason, "vendor")


def _merge(
    connection: Connection,
    plan: PlanEntry,
    outcomes: Sequence[RowOutcome],
    *,
    listed: Sequence[Mapping[str, Any]],
    mode: SyncMode,
    now: datetime,
) -> tuple[Settled, list[dict[str, Any]]]:
    """Write the acknowledged state and the outcomes; return the counts, and the rows that concern the rejected list."""
    create_tables(connection)
    load_parquet(connection, "planned", plan.path)
    write_arrow(connection, "answers", _answers(outcomes))
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE settling AS
        SELECT planned.*, answers.status, answers.code, answers.reason, answers.fault, answers.given_id
        FROM planned JOIN answers ON answers.number = planned.number
        """
    )
    connection.execute("DROP TABLE planned; DROP TABLE answers")
    facts = {"sync": plan.sync, "plan": plan.plan_id, "now": now}
    accepted = f"status IN {_ACCEPTED}"
    connection.execute(
        f"""
        INSERT INTO delivery.acknowledged
        SELECT $sync, match_value, profile_id, payload_hash, coalesce(given_id, external_id),
            operation <> 'remove', $now, $plan
        FROM settling WHERE {accepted} AND (operation <> 'remove' OR $keeps_removed)
        {REPLACE_ACKNOWLEDGED}
        """,
        {**facts, "keeps_removed": mode is SyncMode.REMOVE},
    )
    # Nobody knows whether these are there: the next plan puts them in again, or takes them out.
    connection.execute(
        f"""
        INSERT INTO delivery.acknowledged
        SELECT $sync, match_value, profile_id, '', external_id,
            CASE WHEN operation = 'update' THEN true END, $now, $plan
        FROM settling WHERE status = 'retry_later'
        {REPLACE_ACKNOWLEDGED}
        """,
        facts,
    )
    connection.execute(
        f"""
        DELETE FROM delivery.acknowledged WHERE sync = $sync AND NOT $keeps_removed AND match_value IN (
            SELECT match_value FROM settling WHERE {accepted} AND operation = 'remove')
        """,
        {"sync": plan.sync, "keeps_removed": mode is SyncMode.REMOVE},
    )
    connection.execute("DELETE FROM delivery.outcomes WHERE plan_id = ?", [plan.plan_id])
    connection.execute(
        """
        INSERT INTO delivery.outcomes
        SELECT $sync, $plan, operation, match_value, profile_id, status, code, reason, $now FROM settling
        """,
        facts,
    )
    settled = Settled(_counted(connection, "status"), _counted(connection, "code"))
    rows = _rows_to_list(connection, listed)
    connection.execute("DROP TABLE settling")
    return settled, rows


def _answers(outcomes: Sequence[RowOutcome]) -> pa.Table:
    texts = {
        name: pa.array([getattr(outcome, name) for outcome in outcomes], pa.string())
        for name in ("status", "code", "reason", "fault")
    }
    return pa.table(
        {
            "number": pa.array([outcome.number for outcome in outcomes], pa.int32()),
            **texts,
            "given_id": pa.array([outcome.external_id for outcome in outcomes], pa.string()),
        }
    )


def _counted(connection: Connection, column: str) -> dict[str, int]:
    query = f"SELECT {column}, count(*) FROM settling WHERE {column} <> '' GROUP BY {column} ORDER BY {column}"
    return dict(connection.execute(query).fetchall())


def _rows_to_list(connection: Connection, listed: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows that were not accepted, and those whose person was on the list: few, where nearly all were taken."""
    known = pa.table({"match_hash": pa.array([row["match_hash"] for row in listed], pa.string())})
    write_arrow(connection, "listed", known)
    names = ("match_hash", "profile_id", "operation", "payload_hash", "status", "code", "reason", "fault")
    rows = connection.execute(
        f"""
        WITH hashed AS (SELECT *, sha256(match_value) AS settled_hash FROM settling)
        SELECT settled_hash AS match_hash, {", ".join(names[1:])} FROM hashed
        WHERE status IN {_LISTED} OR settled_hash IN (SELECT match_hash FROM listed)
        """
    ).fetchall()
    connection.execute("DROP TABLE listed")
    return [dict(zip(names, row, strict=True)) for row in rows]


def _list_rejected(
    journal: Journal, sync: str, before: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]], now: datetime
) -> None:
    known = {(row["match_hash"], row["operation"]): row for row in before}
    keys = [(row["match_hash"], row["operation"]) for row in rows]
    gone = [key for key in keys if key in known]
    listed = [
        _rejected_row(sync, row, known.get(key), now)
        for key, row in zip(keys, rows, strict=True)
        if row["status"] in _LISTED
    ]
    if gone or listed:
        journal.replace_rejected(sync, gone, listed)


def _rejected_row(sync: str, row: Mapping[str, Any], before: Mapping[str, Any] | None, now: datetime) -> dict[str, Any]:
    """The list's entry: how often it was tried with these values, and when it is tried again."""
    same = before is not None and before["payload_hash"] == row["payload_hash"]
    attempts = before["attempts"] + 1 if before is not None and same else 1
    held = row["status"] == Status.UNKNOWN.value or attempts >= MOST_ATTEMPTS
    wait = min(FIRST_RETRY * 4 ** (attempts - 1), LONGEST_RETRY)
    return {
        "sync": sync,
        "match_hash": row["match_hash"],
        "profile_id": row["profile_id"],
        "operation": row["operation"],
        "payload_hash": row["payload_hash"],
        "status": row["status"],
        "code": row["code"],
        "reason": row["reason"],
        "fault": row["fault"],
        "attempts": attempts,
        "first_at": before["first_at"] if before is not None and same else now,
        "last_at": now,
        "next_try_at": None if held else now + wait,
    }
