"""Settle: the journal's outcomes of a plan become the store's acknowledged state.

It may be done twice without harm: a run that died between the two databases is settled again by the next one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa

from millstream.destinations.modes import LISTED, TAKEN, UNCERTAIN, Operation, SyncMode
from millstream.destinations.rules import DeliveryRules
from millstream.destinations.sending import HELD_BACK, PUT_OFF
from millstream.destinations.sending.enrolments import NOT_ENROLLED
from millstream.destinations.sending.plan_rows import AnyDestination, PlanRows
from millstream.destinations.settling.final_outcomes import Sent, final_outcomes
from millstream.destinations.settling.rejected import list_rejected
from millstream.destinations.stopping import overtaken
from millstream.destinations.sync import Sync
from millstream.state.errors import FatalError
from millstream.state.ledger.acknowledged import acknowledge, create_tables
from millstream.state.ledger.journal import BatchEntry, Journal, PlanEntry
from millstream.state.sql import literal
from millstream.state.store import Store, count, in_little_memory, keep_ids_plain, parquet_rows, write_arrow
from millstream.state.store.arrow import as_postgres

if TYPE_CHECKING:
    from millstream.state.store import Connection

_VERDICTS = ("status", "code", "reason", "fault")


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
    sync: Sync,
    rules: DeliveryRules,
    destination: AnyDestination,
    now: datetime,
) -> Settled:
    """Bring a plan's outcomes into the store, list what was not accepted, and drop the plan's file.

    Args:
        store: The analytical database.
        journal: The transactional one.
        plan: What was sent.
        sync: What it was sent for.
        rules: When rejected rows age out, and whether their values are kept.
        destination: The connector; nothing is asked of the vendor.
        now: When it is settled.

    Raises:
        FatalError: The plan's file is gone although rows of it were sent.
        OvertakenError: Another run has settled it meanwhile; nothing is kept.
    """
    kept_of = partial(_kept_of, plan, sync, destination)
    sent = final_outcomes(journal, plan.plan_id, destination.idempotent, kept_of)
    settled = Settled()
    if sent.outcomes is not None:
        if not plan.path.exists():
            _check_open(journal, plan)
            raise FatalError(
                f"The file of plan {plan.plan_id} is gone, and rows of it were sent.",
                where=f"sync {plan.sync}",
                remedy="put the file back; without it nobody knows which people its outcomes belong to.",
            )
        listed = journal.rejected_rows(plan.sync)

        def merged(connection: Connection) -> tuple[Settled, list[dict[str, Any]], bool]:
            keep_ids_plain(connection)
            create_tables(connection)
            _make_settling(connection, plan, sent, with_fields=rules.keep_rejected_values)
            counted = _merge(connection, plan, sent, keeps_removed=sync.mode is SyncMode.REMOVE, now=now)
            rows = _rows_to_list(connection, sent, listed, in_clear=rules.keep_rejected_values)
            told = _tells_people(connection)
            connection.execute(f"DROP {_kind(connection)} settling")
            connection.execute("DROP TABLE IF EXISTS planned; DROP TABLE answers; DROP TABLE verdicts")
            _check_open(journal, plan)
            return counted, rows, told

        pa.default_memory_pool().release_unused()  # what reading took, beside what DuckDB takes
        # A second thread takes 25 MB more at a million rows, and more CPU: nearly all of it is to write them.
        settled, rows, told = in_little_memory(store, merged, threads=1)
        list_rejected(journal, plan, listed, rows, rules=rules, now=now, forgets_ids=told)
    else:
        journal.plan_settled(plan.plan_id)
    plan.path.unlink(missing_ok=True)
    return settled


def _kept_of(plan: PlanEntry, sync: Sync, destination: AnyDestination, batch: BatchEntry) -> list[str | None]:
    """What is to be kept of people whose batch was cut off: they may have been put in, by what their rows say.

    Nothing in mode ``replace``, where all of them are handed over anew, and who is not is out.
    """
    operation = Operation(batch.operation)
    keeps = destination.codes("kept_as") and operation is not Operation.REMOVE and sync.mode is not SyncMode.REPLACE
    if not keeps or not plan.path.exists():
        return [None] * len(batch.numbers)
    rows = PlanRows(plan.path, sync, destination).of_numbers(operation, batch.numbers)
    kept = {row.number: destination.kept_as(row, match_key=sync.match_key) for row in rows}
    return [kept.get(number) for number in batch.numbers]


def _check_open(journal: Journal, plan: PlanEntry) -> None:
    """Stop where another run has settled the plan: it may have sent newer values since, which these would overwrite."""
    if journal.is_settled(plan.plan_id):
        raise overtaken()


def _merge(
    connection: Connection,
    plan: PlanEntry,
    sent: Sent,
    *,
    keeps_removed: bool,
    now: datetime,
) -> Settled:
    """Write the acknowledged state and the outcomes of ``settling``."""
    _acknowledge(connection, plan, sent, now, keeps_removed=keeps_removed)
    connection.execute("DELETE FROM delivery.outcomes WHERE plan_id = ?", [plan.plan_id])
    connection.execute(
        """
        INSERT INTO delivery.outcomes
            (sync, plan_id, operation, match_value, profile_id, status, code, reason, settled_at)
        SELECT $sync, $plan, operation, match_value, profile_id, status, code, reason, $now FROM settling
        """,
        {"sync": plan.sync, "plan": plan.plan_id, "now": now},
    )
    return Settled(_counted(connection, "status"), _counted(connection, "code"))


def _kind(connection: Connection) -> str:
    """What ``settling`` is: DuckDB finds what a step needs in the plan's file faster than it keeps all once more."""
    return "TABLE" if as_postgres(connection) else "VIEW"


def _make_settling(connection: Connection, plan: PlanEntry, sent: Sent, *, with_fields: bool) -> None:
    """``settling``: the plan's rows that were sent, each with its last outcome; and the audit of the batches."""
    assert sent.outcomes is not None
    planned = parquet_rows(connection, "planned", plan.path)
    write_arrow(connection, "answers", sent.outcomes)
    columns = [pa.array(column, pa.string()) for column in zip(*sent.verdicts, strict=True)]
    places = pa.array(range(len(sent.verdicts)), pa.int32())
    write_arrow(connection, "verdicts", pa.table([places, *columns], ["verdict", *_VERDICTS]))
    # Fields are many and long; only the list of rejected rows may keep them, where the project asks for that.
    fields = f"CASE WHEN status IN {LISTED} THEN fields END" if with_fields else "CAST(NULL AS TEXT)"
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP {_kind(connection)} settling AS
        SELECT operation, match_value, profile_id, external_id, payload_hash, field_hashes,
            {fields} AS fields, status, code, reason, fault, given_id
        FROM {planned} AS planned JOIN answers ON answers.number = planned.number
        JOIN verdicts ON verdicts.verdict = answers.verdict
        """
    )
    write_arrow(connection, "audited", sent.batches)
    connection.execute("DELETE FROM delivery.batches WHERE batch_id IN (SELECT batch_id FROM audited)")
    connection.execute(
        """
        INSERT INTO delivery.batches
        SELECT batch_id, ?, ?, operation, rows, job_id, started_at, finished_at, accepted FROM audited
        """,
        [plan.sync, plan.plan_id],
    )
    connection.execute("DROP TABLE audited")


def _acknowledge(connection: Connection, plan: PlanEntry, sent: Sent, now: datetime, *, keeps_removed: bool) -> None:
    """What is known of people from now on."""
    accepted = f"status IN {TAKEN}"
    kept = "true" if keeps_removed else "operation <> 'remove'"
    taken = f"""
        SELECT match_value, profile_id, payload_hash, coalesce(given_id, external_id) AS external_id,
            operation <> 'remove' AS present, field_hashes
        FROM settling WHERE {accepted} AND {kept}"""
    # Nobody knows whether these are there: the next plan puts them in again, or takes them out. Of those that must not
    # be sent again, the rejected list holds back the same operation with the same hash, and no other. Whose fields were
    # taken and who is not enrolled needs no fields again. Nothing was asked about those who were put off.
    uncertain = f"""
        SELECT match_value, profile_id, CASE WHEN operation = 'remove' THEN payload_hash ELSE '' END AS payload_hash,
            coalesce(given_id, external_id) AS external_id, CASE WHEN operation = 'update' THEN true END AS present,
            CASE WHEN code = {literal(NOT_ENROLLED)} THEN field_hashes END AS field_hashes
        FROM settling WHERE status IN {UNCERTAIN} AND coalesce(code, '') <> {literal(PUT_OFF)}"""
    for statuses, people in ((TAKEN, taken), (UNCERTAIN, uncertain)):
        if sent.has(statuses):
            acknowledge(connection, plan.sync, plan.plan_id, now, people)
    if sent.withdrawn:
        write_arrow(connection, "withdrawn", pa.table({"number": pa.array(sent.withdrawn, pa.int32())}))
        planned = parquet_rows(connection, "planned", plan.path)
        connection.execute(
            f"""
            DELETE FROM delivery.acknowledged WHERE sync = $sync AND match_value IN (
                SELECT match_value FROM {planned} AS planned JOIN withdrawn ON withdrawn.number = planned.number)
            """,
            {"sync": plan.sync},
        )
        connection.execute("DROP TABLE withdrawn")
    if not keeps_removed and count(connection, "SELECT count(*) FROM settling WHERE operation = 'remove'"):
        connection.execute(
            f"""
            DELETE FROM delivery.acknowledged WHERE sync = $sync AND match_value IN (
                SELECT match_value FROM settling WHERE {accepted} AND operation = 'remove')
            """,
            {"sync": plan.sync},
        )


def _tells_people(connection: Connection) -> bool:
    """Whether ids that the vendor gave are what we match by, or identifiers that we keep in place of an id."""
    own = "SELECT count(*) FROM settling WHERE lower(given_id) = lower(match_value) OR left(given_id, 1) = '['"
    return count(connection, own) > 0


def _counted(connection: Connection, column: str) -> dict[str, int]:
    answered = "answers JOIN verdicts ON verdicts.verdict = answers.verdict"
    query = f"SELECT {column}, count(*) FROM {answered} WHERE {column} <> '' GROUP BY {column} ORDER BY {column}"
    return dict(connection.execute(query).fetchall())


def _rows_to_list(
    connection: Connection, sent: Sent, listed: Sequence[Mapping[str, Any]], *, in_clear: bool
) -> list[dict[str, Any]]:
    """The rows that were not accepted, and those whose person was on the list: few, where nearly all were taken.

    Rows that we held back are not on it: the next plan judges them anew.
    """
    if not listed and not sent.has(LISTED):
        return []
    names = ("match_hash", "profile_id", "operation", "payload_hash", "status", "code", "reason", "fault")
    known = ""
    if listed:
        hashes = pa.table({"match_hash": pa.array([row["match_hash"] for row in listed], pa.string())})
        write_arrow(connection, "listed", hashes)
        known = "OR sha256(match_value) IN (SELECT match_hash FROM listed)"
    rows = connection.execute(
        f"""
        SELECT sha256(match_value) AS match_hash, {", ".join(names[1:])}, match_value, fields FROM settling
        WHERE coalesce(code, '') <> ? AND (status IN {LISTED} {known})
        """,
        [HELD_BACK],
    ).fetchall()
    connection.execute("DROP TABLE IF EXISTS listed")
    return [
        {
            **dict(zip(names, row[:-2], strict=True)),
            "clear_text": {"match_value": row[-2], "fields": orjson.loads(row[-1])} if in_clear and row[-1] else None,
        }
        for row in rows
    ]
