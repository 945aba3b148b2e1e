"""The journal: runs, plans, batches and their outcomes, rejected rows and leases, each committed as it happens."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from millstream.state.ledger.database import HEAD, now
from millstream.state.ledger.deliveries import BatchEntry, Deliveries, PlanEntry
from millstream.state.ledger.heartbeat import heartbeat
from millstream.state.ledger.holders import is_alive, is_gone, this_process
from millstream.state.ledger.tables import leases, runs

__all__ = ["HEAD", "LEASE", "BatchEntry", "Journal", "PlanEntry", "now"]

LEASE = 900.0
"""Seconds without a sign of life after which a holder on another machine counts as dead."""
_LIFE = "run "


class Journal(Deliveries):
    """All that the journal keeps: see also ``Deliveries`` and ``Database``."""

    def start_run(self, run_id: str, kind: str, *, about: Sequence[str] | None = None) -> None:
        """Note that a run began, and which runs before it were killed without a word.

        Args:
            run_id: Its id.
            kind: The flow.
            about: The sources or syncs it is for; all when left out.
        """
        self.note_killed()
        with self.writing() as connection:
            connection.execute(
                runs.insert().values(
                    run_id=run_id,
                    kind=kind,
                    started_at=now(),
                    status="running",
                    holder=this_process(run_id),
                    summary={},
                    about=None if about is None else list(about),
                )
            )

    def note_killed(self) -> None:
        """Note which runs were killed without a word, and when they last gave a sign of life.

        Their process is gone from this machine, or they were silent for too long; see ``signs_of_life``. Silence says
        nothing of a process that is seen to run here: the machine was asleep, and the run goes on.
        """
        running = (
            sa.select(runs.c.run_id, runs.c.holder, leases.c.expires)
            .outerjoin(leases, leases.c.name == sa.literal(_LIFE) + runs.c.run_id)
            .where(runs.c.status == "running")
        )
        with self.engine.connect() as connection:
            found = connection.execute(running).all()
        for run_id, holder, expires in found:
            silent = expires is not None and expires < time.time() and not (holder and is_alive(holder))
            if silent or (holder and is_gone(holder)):
                last = now() if expires is None else datetime.fromtimestamp(expires - LEASE, UTC)
                with self.writing() as connection:
                    killed = runs.update().where(runs.c.run_id == run_id, runs.c.status == "running")
                    connection.execute(killed.values(status="killed", finished_at=last))
                    connection.execute(leases.delete().where(leases.c.name == f"{_LIFE}{run_id}"))

    @contextmanager
    def signs_of_life(self, run_id: str) -> Iterator[None]:
        """Keep telling that a run is alive, until the block ends: who looks may be on another machine."""
        with self.lease(f"{_LIFE}{run_id}", run_id):
            yield

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

    @contextmanager
    def lease(
        self, name: str, run_id: str, *, seconds: float | None = None, lost: threading.Event | None = None
    ) -> Iterator[bool]:
        """Hold a name across processes; gives False when somebody else holds it.

        A holder whose process is gone from this machine loses it at once, any other one ``seconds`` after its last
        sign of life, which a thread gives.

        Args:
            name: What is held.
            run_id: Who asks.
            seconds: Time after which a holder on another machine counts as dead; a quarter of an hour when left out.
            lost: Set when the name is not held any more: whoever has it now goes on with the work.
        """
        holder, seconds = this_process(run_id), seconds or LEASE
        if not self._take_lease(name, holder, seconds):
            yield False
            return
        mine = (leases.c.name == name) & (leases.c.holder == holder)

        def renew() -> bool:
            with self.writing() as connection:
                renewed = leases.update().where(mine).values(expires=time.time() + seconds)
                return connection.execute(renewed).rowcount > 0

        try:
            with heartbeat(renew, seconds=seconds, lost=lost or threading.Event()):
                yield True
        finally:
            with self.writing() as connection:
                connection.execute(leases.delete().where(mine))

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
