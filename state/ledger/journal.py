"""The journal: runs, plans, batches and their outcomes, rejected rows and leases, each committed as it happens."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from millstream.state.errors import ConfigurationError, UnreachableError
from millstream.state.ledger.holders import is_gone, this_process
from millstream.state.ledger.outcomes import Outcomes, packed, unpacked
from millstream.state.ledger.tables import batches, leases, plans, rejected, runs

if TYPE_CHECKING:
    from millstream.state.ledger.budgets import JournalBudgets

HEAD = "0004"
"""The newest migration; kept here so that opening an up-to-date journal does not import alembic."""


# Made once: they run twice a batch.
_START = batches.insert()
_FINISH = (
    batches.update()
    .where(batches.c.batch_id == sa.bindparam("of_batch"))
    .values(finished_at=sa.bindparam("finished_at"), outcomes=sa.bindparam("outcomes"))
)


_OPEN_JOBS = sa.and_(batches.c.label.is_not(None), batches.c.outcomes.is_(None))


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


class Journal:
    """The transactional database of a project.

    Args:
        url: SQLAlchemy URL; a relative SQLite path starts at ``root``.
        root: Folder of the project.
    """

    def __init__(self, url: str, *, root: Path) -> None:
        self.engine = _engine(url, root)
        self._writing = threading.Lock()
        self._budgets: JournalBudgets | None = None
        self._migrate()

    def close(self) -> None:
        """Give back the connections, and what this process holds of vendors' budgets."""
        if self._budgets:
            self._budgets.close()
        self.engine.dispose()

    @property
    def budgets(self) -> JournalBudgets:
        """What vendors allow, shared by all who use this journal."""
        from millstream.state.ledger.budgets import JournalBudgets

        with self._writing:
            if self._budgets is None:
                self._budgets = JournalBudgets(self.engine, self.writing)
            return self._budgets

    def _migrate(self) -> None:
        with self._connected() as connection:
            if sa.inspect(connection).has_table("alembic_version"):
                version = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
                if version == HEAD:
                    return
        from millstream.state.ledger.migrations import upgrade

        upgrade(self.engine)

    @contextmanager
    def _connected(self) -> Iterator[sa.Connection]:
        """The first connection, which shows whether there is a database at all."""
        try:
            connection = self.engine.connect()
        except sa.exc.OperationalError as error:
            said = (str(error.orig).strip().splitlines() or ["no answer"])[0]
            raise UnreachableError(
                f"The journal's database {self.engine.url.render_as_string(hide_password=True)} cannot be used: {said}",
                where="journal",
                remedy="check the URL, user and password, and that the server runs.",
            ) from error
        with connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that writes. Threads take turns here: SQLite would let them poll for its lock, asleep."""
        with self._writing, self.engine.begin() as connection:
            yield connection

    # -- runs ------------------------------------------------------------------------------------------------

    def start_run(self, run_id: str, kind: str) -> None:
        """Note that a run began, and which runs before it were killed without a word."""
        self._note_killed()
        with self.writing() as connection:
            connection.execute(
                runs.insert().values(
                    run_id=run_id,
                    kind=kind,
                    started_at=now(),
                    status="running",
                    holder=this_process(run_id),
                    summary={},
                )
            )

    def _note_killed(self) -> None:
        running = sa.select(runs.c.run_id, runs.c.holder).where(runs.c.status == "running")
        with self.engine.connect() as connection:
            gone = [run_id for run_id, holder in connection.execute(running) if holder and is_gone(holder)]
        if gone:
            with self.writing() as connection:
                connection.execute(
                    runs.update().where(runs.c.run_id.in_(gone)).values(status="killed", finished_at=now())
                )

    def finish_run(self, run_id: str, *, ok: bool, summary: Mapping[str, Any]) -> None:
        """Note how a run ended."""
        with self.writing() as connection:
            connection.execute(
                runs.update()
                .where(runs.c.run_id == run_id)
                .values(finished_at=now(), status="completed" if ok else "failed", summary=dict(summary))
            )

    def last_runs(self, limit: int = 10) -> list[dict[str, Any]]:
        """The latest runs, newest first."""
        query = runs.select().order_by(runs.c.started_at.desc()).limit(limit)
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    # -- plans and batches -----------------------------------------------------------------------------------

    def add_plan(self, plan_id: str, *, sync: str, run_id: str, path: Path, counts: Mapping[str, int]) -> None:
        """Keep a plan before anything of it is sent."""
        with self.writing() as connection:
            connection.execute(
                plans.insert().values(
                    plan_id=plan_id,
                    sync=sync,
                    run_id=run_id,
                    made_at=now(),
                    path=str(path),
                    status="planned",
                    counts=dict(counts),
                )
            )

    def plan_sending(self, plan_id: str, audience_id: str | None) -> None:
        """Note that sending begins, and into which audience."""
        self._set_plan(plan_id, status="sending", audience_id=audience_id)

    def plan_settled(self, plan_id: str) -> None:
        """Note that the outcomes of a plan are in the store."""
        self._set_plan(plan_id, status="settled", settled_at=now())

    def _set_plan(self, plan_id: str, **values: object) -> None:
        with self.writing() as connection:
            connection.execute(plans.update().where(plans.c.plan_id == plan_id).values(**values))

    def unsettled_plans(self, sync: str) -> list[PlanEntry]:
        """Plans of a sync whose outcomes are not in the store yet, oldest first."""
        query = plans.select().where(plans.c.sync == sync, plans.c.status != "settled").order_by(plans.c.made_at)
        with self.engine.connect() as connection:
            return [
                PlanEntry(row.plan_id, row.sync, Path(row.path), row.status, row.audience_id, row.made_at)
                for row in connection.execute(query)
            ]

    def start_batch(self, plan_id: str, operation: str, numbers: Sequence[int], *, label: str | None = None) -> int:
        """Keep the intent to send these rows; committed before the request."""
        values = {
            "plan_id": plan_id,
            "operation": operation,
            "rows": packed(list(numbers)),
            "started_at": now(),
            "label": label,
        }
        with self.writing() as connection:
            result = connection.execute(_START, values)
            key = result.inserted_primary_key
            assert key is not None
            return int(key[0])

    def job_submitted(self, batch_id: int, job_id: str) -> None:
        """Keep the vendor's id of a batch that goes as a job; committed before it is asked after."""
        with self.writing() as connection:
            connection.execute(batches.update().where(batches.c.batch_id == batch_id).values(job_id=job_id))

    def finish_batch(self, batch_id: int, outcomes: Outcomes) -> None:
        """Keep what became of a batch's rows; committed after the answer."""
        values = {"of_batch": batch_id, "finished_at": now(), "outcomes": outcomes.packed()}
        with self.writing() as connection:
            connection.execute(_FINISH, values)

    def batches_of(self, plan_id: str) -> Iterator[BatchEntry]:
        """The batches of a plan in the order in which they were started."""
        return self._batches(plan_id, sa.true())

    def _batches(self, plan_id: str, which: sa.ColumnElement[bool]) -> Iterator[BatchEntry]:
        query = batches.select().where(batches.c.plan_id == plan_id, which).order_by(batches.c.batch_id)
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

    # -- rejected rows ---------------------------------------------------------------------------------------

    def rejected_rows(self, sync: str | None = None) -> list[dict[str, Any]]:
        """Rows that were not accepted and wait for a change or for their next try."""
        query = rejected.select().order_by(rejected.c.sync, rejected.c.last_at)
        if sync is not None:
            query = query.where(rejected.c.sync == sync)
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def replace_rejected(self, sync: str, gone: Sequence[tuple[str, str]], rows: Sequence[Mapping[str, Any]]) -> None:
        """Take rows off the list that have an outcome now, and put those on it that were not accepted.

        Args:
            sync: The sync's name.
            gone: Match hash and operation of every row that has an outcome.
            rows: The list's new rows.
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

    # -- leases ----------------------------------------------------------------------------------------------

    @contextmanager
    def lease(self, name: str, run_id: str, *, seconds: float = 900.0) -> Iterator[bool]:
        """Hold a name across processes; gives False when somebody else holds it.

        A holder whose process is gone from this machine loses it at once, any other one ``seconds`` after its last
        sign of life.
        """
        holder = this_process(run_id)
        taken = self._take_lease(name, holder, seconds)
        try:
            yield taken
        finally:
            if taken:
                with self.writing() as connection:
                    connection.execute(leases.delete().where(leases.c.name == name, leases.c.holder == holder))

    def renew_lease(self, name: str, *, seconds: float = 900.0) -> None:
        """Push the end of a lease that is held further away."""
        with self.writing() as connection:
            connection.execute(leases.update().where(leases.c.name == name).values(expires=time.time() + seconds))

    def _take_lease(self, name: str, holder: str, seconds: float) -> bool:
        mine = leases.insert().values(name=name, holder=holder, expires=time.time() + seconds)
        try:
            with self.writing() as connection:
                held = connection.execute(leases.select().where(leases.c.name == name)).one_or_none()
                if held is not None and (held.expires < time.time() or is_gone(held.holder)):
                    connection.execute(leases.delete().where(leases.c.name == name, leases.c.holder == held.holder))
                connection.execute(mine)
        except sa.exc.IntegrityError:
            return False
        return True


def now() -> datetime:
    """The current time, in UTC."""
    return datetime.now(UTC)


def _engine(url: str, root: Path) -> sa.Engine:
    try:
        parsed = sa.make_url(url.replace("postgres://", "postgresql://", 1))
    except sa.exc.ArgumentError as error:
        raise ConfigurationError(
            "The journal's URL cannot be read.",
            where="journal",
            allowed=["sqlite:///path/to/file.sqlite", "postgresql://user:password@host:5432/database"],
        ) from error
    if parsed.get_backend_name() != "sqlite":
        return _server_engine(parsed)
    path = root / (parsed.database or "journal.sqlite")
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(parsed.set(database=str(path)), connect_args={"timeout": 60})
    sa.event.listen(engine, "connect", _use_wal)
    return engine


def _server_engine(url: sa.URL) -> sa.Engine:
    try:
        return sa.create_engine(url, pool_pre_ping=True)
    except (ModuleNotFoundError, sa.exc.NoSuchModuleError) as error:
        raise ConfigurationError(
            f"The driver for the journal's {url.drivername} is not installed.",
            where="journal",
            remedy="pip install 'millstream[postgres]'",
        ) from error


def _use_wal(connection: Any, _: object) -> None:
    """Readers and one writer side by side; a commit survives a killed process and a crashed machine."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
