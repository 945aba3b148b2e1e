"""What the journal keeps of deliveries: plans, batches with their outcomes, and rows that were not accepted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from millstream.state.ledger.database import Database, now
from millstream.state.ledger.holders import this_process
from millstream.state.ledger.outcomes import Outcomes, packed, unpacked
from millstream.state.ledger.tables import batches, leases, plans, rejected

# Made once: they run twice a batch.
_INTENT = ("operation", "rows", "started_at", "label")
_SENDING = sa.select(plans.c.plan_id, *(sa.bindparam(name, type_=batches.c[name].type) for name in _INTENT)).where(
    plans.c.plan_id == sa.bindparam("of_plan"), plans.c.status == "sending"
)
# The plan is locked meanwhile: whoever closes it sees every batch that was begun before.
_START = (
    batches.insert()
    .from_select(["plan_id", *_INTENT], _SENDING.with_for_update(read=True))
    .returning(batches.c.batch_id)
)
_FINISH = (
    batches.update()
    .where(batches.c.batch_id == sa.bindparam("of_batch"))
    .values(finished_at=sa.bindparam("finished_at"), outcomes=sa.bindparam("outcomes"))
)


_OPEN_JOBS = sa.and_(batches.c.label.is_not(None), batches.c.outcomes.is_(None))


_OPEN = ("planned", "sending", "settling")
"""What a plan may be before it is settled."""


def lease_of(sync: str) -> str:
    """The name that a run holds while it plans, sends and settles a sync."""
    return f"sync {sync}"


def _is_held(sync: str, run_id: str) -> sa.ColumnElement[bool]:
    """The condition on a lease that a run of this process holds a sync."""
    return sa.and_(leases.c.name == lease_of(sync), leases.c.holder == this_process(run_id))


@dataclass(frozen=True)
class PlanEntry:
    """A plan as the journal knows it."""

    plan_id: str
    sync: str
    path: Path
    status: str
    audience_id: str | None
    made_at: datetime


@dataclass(frozen=True)
class BatchEntry:
    """A batch: its rows, and their outcomes once it ended.

    Attributes:
        batch_id: Its number.
        operation: What was done with its rows.
        numbers: The rows' numbers in the plan.
        outcomes: What became of them; None while nobody knows.
        label: Our name for it, where it goes as an async job.
        job_id: The vendor's id of the job, once it said so.
        started_at: When its sending began.
        finished_at: When the last answer was kept.
    """

    batch_id: int
    operation: str
    numbers: list[int]
    outcomes: Outcomes | None
    label: str | None
    job_id: str | None
    started_at: datetime
    finished_at: datetime | None


class Deliveries(Database):
    """Plans, batches and rejected rows."""

    def add_plan(self, plan_id: str, *, sync: str, run_id: str, path: Path, counts: Mapping[str, int]) -> bool:
        """Keep a plan before anything of it is sent; False where the run does not hold the sync any more.

        The lease is locked meanwhile: whoever takes it over sees the plan.
        """
        values: dict[str, object] = {
            "plan_id": plan_id,
            "sync": sync,
            "run_id": run_id,
            "made_at": now(),
            "path": str(path),
            "status": "planned",
            "counts": dict(counts),
        }
        new = [sa.literal(value, plans.c[name].type) for name, value in values.items()]
        held = sa.select(*new).where(_is_held(sync, run_id))
        with self.writing() as connection:
            made = connection.execute(plans.insert().from_select(list(values), held.with_for_update(read=True)))
            return made.rowcount > 0

    def holds(self, sync: str, run_id: str) -> bool:
        """Whether a run of this process still holds a sync."""
        held = sa.select(leases.c.name).where(_is_held(sync, run_id))
        with self.engine.connect() as connection:
            return connection.execute(held).first() is not None

    def plan_sending(self, plan_id: str, audience_id: str | None) -> bool:
        """Note that sending begins, and into which audience; False where another run has closed the plan."""
        return self._set_plan(plan_id, ("planned",), status="sending", audience_id=audience_id)

    def close_plan(self, plan_id: str, *, own: bool) -> bool:
        """Note that a plan is being settled: no batch of it is begun from now on, whoever may think that it sends it.

        Args:
            plan_id: The plan.
            own: Whether it is of the run that asks; else the run that it is of left it.

        Returns:
            False where the run that asks has lost it: another one has closed it, or settled it.
        """
        return self._set_plan(plan_id, ("planned", "sending") if own else _OPEN, status="settling")

    def plan_settled(self, plan_id: str) -> None:
        """Note that the outcomes of a plan are in the store."""
        self._set_plan(plan_id, _OPEN, status="settled", settled_at=now())

    def is_settled(self, plan_id: str) -> bool:
        """Whether the outcomes of a plan are in the store."""
        query = sa.select(plans.c.status).where(plans.c.plan_id == plan_id)
        with self.engine.connect() as connection:
            return connection.execute(query).scalar() == "settled"

    def _set_plan(self, plan_id: str, before: Sequence[str], **values: object) -> bool:
        """Change a plan that has one of these statuses; False where it has another one."""
        chosen = plans.update().where(plans.c.plan_id == plan_id, plans.c.status.in_(before))
        with self.writing() as connection:
            return connection.execute(chosen.values(**values)).rowcount > 0

    def latest_audience(self, sync: str) -> str | None:
        """The vendor's id of the audience that the sync sent into last; None where it never did, or long ago."""
        query = (
            sa.select(plans.c.audience_id)
            .where(plans.c.sync == sync, plans.c.audience_id.is_not(None))
            .order_by(plans.c.made_at.desc())
            .limit(1)
        )
        with self.engine.connect() as connection:
            return connection.execute(query).scalar()

    def unsettled_plans(self, sync: str) -> list[PlanEntry]:
        """Plans of a sync whose outcomes are not in the store yet, oldest first."""
        query = plans.select().where(plans.c.sync == sync, plans.c.status != "settled").order_by(plans.c.made_at)
        with self.engine.connect() as connection:
            return [
                PlanEntry(row.plan_id, row.sync, Path(row.path), row.status, row.audience_id, row.made_at)
                for row in connection.execute(query)
            ]

    def start_batch(
        self, plan_id: str, operation: str, numbers: Sequence[int], *, label: str | None = None
    ) -> int | None:
        """Keep the intent to send these rows; committed before the request.

        Returns:
            The batch's number; None where nothing of the plan is to be sent any more, as another run has closed it.
        """
        values = {
            "of_plan": plan_id,
            "operation": operation,
            "rows": packed(list(numbers)),
            "started_at": now(),
            "label": label,
        }
        return self.together.execute(_START, values)

    def job_submitted(self, batch_id: int, job_id: str) -> None:
        """Keep the vendor's id of a batch that goes as a job; committed before it is asked after."""
        with self.writing() as connection:
            connection.execute(batches.update().where(batches.c.batch_id == batch_id).values(job_id=job_id))

    def finish_batch(self, batch_id: int, outcomes: Outcomes) -> None:
        """Keep what became of a batch's rows; committed after the answer."""
        values = {"of_batch": batch_id, "finished_at": now(), "outcomes": outcomes.packed()}
        self.together.execute(_FINISH, values)

    def batches_of(self, plan_id: str, *, newest_first: bool = False) -> Iterator[BatchEntry]:
        """The batches of a plan in the order in which they were started, or the other way round."""
        return self._batches(plan_id, sa.true(), newest_first=newest_first)

    def _batches(
        self, plan_id: str, which: sa.ColumnElement[bool], *, newest_first: bool = False
    ) -> Iterator[BatchEntry]:
        order = batches.c.batch_id.desc() if newest_first else batches.c.batch_id
        query = batches.select().where(batches.c.plan_id == plan_id, which).order_by(order)
        with self.engine.connect().execution_options(yield_per=100) as connection:
            for row in connection.execute(query):
                yield BatchEntry(
                    batch_id=row.batch_id,
                    operation=row.operation,
                    numbers=unpacked(row.rows),  # type: ignore[arg-type]
                    outcomes=None if row.outcomes is None else Outcomes.unpacked(row.outcomes),
                    label=row.label,
                    job_id=row.job_id,
                    started_at=row.started_at,
                    finished_at=row.finished_at,
                )

    def open_jobs(self, plan_id: str) -> list[BatchEntry]:
        """Batches that went as jobs and have no outcomes yet."""
        return [batch for batch in self._batches(plan_id, _OPEN_JOBS) if batch.label]

    def forget_plans(self, *, before: datetime) -> None:
        """Delete plans that were settled before a time, with their batches; the store's audit has them."""
        old = sa.select(plans.c.plan_id).where(plans.c.status == "settled", plans.c.settled_at < before)
        with self.writing() as connection:
            connection.execute(batches.delete().where(batches.c.plan_id.in_(old)))
            connection.execute(plans.delete().where(plans.c.status == "settled", plans.c.settled_at < before))

    def rejected_rows(
        self, sync: str | None = None, *, profile_ids: Sequence[str] | None = None
    ) -> list[dict[str, Any]]:
        """Rows that were not accepted and wait for a change or for their next try; of one sync or some people only."""
        query = rejected.select().order_by(rejected.c.sync, rejected.c.last_at)
        if sync is not None:
            query = query.where(rejected.c.sync == sync)
        if profile_ids is not None:
            query = query.where(rejected.c.profile_id.in_(profile_ids))
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def replace_rejected(
        self,
        sync: str,
        gone: Sequence[tuple[str, str]],
        rows: Sequence[Mapping[str, Any]],
        *,
        settles: str | None = None,
        forgets_ids: bool = False,
    ) -> None:
        """Take rows off the list that have an outcome now, and put those on it that were not accepted.

        Args:
            sync: The sync's name.
            gone: Match hash and operation of every row that has an outcome.
            rows: The list's new rows.
            settles: A plan whose outcomes are in the store; noted in the same transaction, so that no try counts twice.
            forgets_ids: Whether ids in that plan's outcomes tell who people are; the store has them from now on.
        """
        taken_off = rejected.delete().where(
            rejected.c.sync == sync,
            rejected.c.match_hash == sa.bindparam("of_match"),
            rejected.c.operation == sa.bindparam("of_operation"),
        )
        with self.writing() as connection:
            if gone:
                keys = [{"of_match": match_hash, "of_operation": operation} for match_hash, operation in gone]
                connection.execute(taken_off, keys)
            if rows:
                connection.execute(rejected.insert(), [dict(row) for row in rows])
            if settles is not None:
                settled = plans.update().where(plans.c.plan_id == settles)
                connection.execute(settled.values(status="settled", settled_at=now()))
            if settles is not None and forgets_ids:
                _forget_ids(connection, settles)

    def retry_rejected(self, *, sync: str | None, code: str | None, unknown: bool) -> int:
        """Have rows tried again by the next run, also those that are held.

        Args:
            sync: Only this sync's; all when None.
            code: Only those with this code.
            unknown: Also rows that were sent without an answer and must not be repeated by themselves.

        Returns:
            How many.
        """
        chosen = [rejected.c.status != "unknown"] if not unknown else []
        chosen += [rejected.c.sync == sync] if sync is not None else []
        chosen += [rejected.c.code == code] if code is not None else []
        change = rejected.update().where(*chosen).values(next_try_at=now(), attempts=0, aged_out=None)
        with self.writing() as connection:
            return connection.execute(change).rowcount


def _forget_ids(connection: sa.Connection, plan_id: str) -> None:
    """Take ids out of the outcomes of a plan's batches."""
    known = batches.select().where(batches.c.plan_id == plan_id, batches.c.outcomes.is_not(None))
    for row in connection.execute(known).fetchall():
        outcomes = Outcomes.unpacked(row.outcomes)
        outcomes.external_ids = [None] * len(outcomes.numbers)
        changed = batches.update().where(batches.c.batch_id == row.batch_id)
        connection.execute(changed.values(outcomes=outcomes.packed()))
