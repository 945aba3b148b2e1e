"""What must hold after every run, wherever it was stopped: judged by what the vendors got and what the journal says."""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

from millstream.state.ledger.journal import BatchEntry, Journal
from millstream.state.store.duckdb import DuckDBStore
from tests.chaos.runs import Ended
from tests.chaos.witness import Fields, Sent
from tests.chaos.world import World

ACCEPTED = {"accepted", "accepted_async"}


@dataclass
class PlanSeen:
    """A plan of a run that was judged.

    Attributes:
        sync: Its sync.
        path: Its file, until it is settled.
        rows: Match values by number.
        sent: What went to the vendors of it.
    """

    sync: str
    path: Path
    rows: dict[int, str]
    sent: dict[str, Fields]


@dataclass
class Judge:
    """Remembers what was acknowledged, and says what is wrong.

    Attributes:
        problems: All that was found.
        in_flight: Rows without an outcome at each death.
        uncertain: Rows of which a vendor's failure left nobody knowing what became of them.
        sent_twice: Rows that were sent again although the vendor had answered well.
    """

    world: World
    problems: list[str] = field(default_factory=list)
    in_flight: int = 0
    uncertain: int = 0
    sent_twice: int = 0
    _plans: dict[str, PlanSeen] = field(default_factory=dict)
    _known: set[str] = field(default_factory=set)
    _taken: dict[str, Fields] = field(default_factory=dict)
    _answered: dict[str, Fields] = field(default_factory=dict)

    def look(self, told: str, ended: Ended, *, killed: bool) -> None:
        """Judge a run that has ended.

        Args:
            told: Which run it was, for messages.
            ended: How it ended.
            killed: Whether nothing could be tidied up.
        """
        found = [*self._outputs(ended), *self._databases()]
        sent = self.world.witness.take()
        before = {plan_id: self._statuses(plan_id) for plan_id in list(self._plans)}
        for plan_id, (statuses, settled) in before.items():
            self._note(self._plans[plan_id], statuses)
            if settled:
                del self._plans[plan_id]
        found += self._repeated(sent)
        for plan_id in self._new_plans(sent):
            statuses, settled = self._statuses(plan_id)
            self.uncertain += sum(status in {"retry_later", "unknown"} for status in statuses.values())
            found += self._open_ends(plan_id, statuses, settled=settled, killed=killed)
            self._note(self._plans[plan_id], statuses)
            if settled:
                del self._plans[plan_id]
        self.problems += [f"{told}: {problem}" for problem in found]

    def _outputs(self, ended: Ended) -> list[str]:
        bad = [word for word in ("Traceback", "Unexpected", "never awaited") if word in ended.output]
        return [f"it said {word}: {ended.output[-2000:]}" for word in bad]

    def _databases(self) -> list[str]:
        if not self.world.journal.exists():
            return []
        with closing(sqlite3.connect(self.world.journal)) as connection:
            found = [f"journal: {said}" for (said,) in connection.execute("PRAGMA quick_check") if said != "ok"]
            found += [f"dangling: {row}" for row in connection.execute("PRAGMA foreign_key_check")]
        return found

    def _repeated(self, sent: Sequence[Sent]) -> list[str]:
        """Rows that were taken and came again, or were answered well and came again in the same run."""
        found = []
        answered: Counter[tuple[str, Fields]] = Counter(
            (row.key, row.fields) for row in sent if row.answered and not row.refused
        )
        for (key, fields), times in answered.items():
            # Mailchimp is first asked to make a person, then to change who is there.
            if times > (2 if "mailchimp" in key else 1):
                found.append(f"{key} was answered {times} times in one run")
            if self._taken.get(key) == fields:
                found.append(f"{key} was acknowledged, and sent again")
            elif self._answered.get(key) == fields:
                self.sent_twice += 1
        return found

    def _new_plans(self, sent: Sequence[Sent]) -> list[str]:
        rows: dict[str, dict[str, Fields]] = defaultdict(dict)
        for one in sent:
            rows[one.key.split(".")[1].partition("@")[0]][one.key] = one.fields
        self._answered.update({one.key: one.fields for one in sent if one.answered})
        new = []
        with closing(sqlite3.connect(self.world.journal)) as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'plans'").fetchone():
                return []  # it died while it made the journal
            plans = connection.execute("SELECT plan_id, sync, path FROM plans ORDER BY made_at").fetchall()
        for plan_id, sync, path in plans:
            if plan_id not in self._known:
                self._known.add(plan_id)
                self._plans[plan_id] = PlanSeen(sync, Path(path), {}, rows[sync])
                new.append(plan_id)
        return new

    def _statuses(self, plan_id: str) -> tuple[dict[str, str | None], bool]:
        """Last outcomes of the rows that were sent of a plan, by person, and whether the plan is settled."""
        plan = self._plans[plan_id]
        with closing(sqlite3.connect(self.world.journal)) as connection:
            (status,) = connection.execute("SELECT status FROM plans WHERE plan_id = ?", [plan_id]).fetchone()
        if status == "settled":
            with DuckDBStore(self.world.store).open() as store:
                query = "SELECT match_value, status FROM delivery.outcomes WHERE plan_id = ?"
                return dict(store.execute(query, [plan_id]).fetchall()), True
        numbers = pq.read_table(plan.path, columns=["number", "match_value"]).to_pydict()
        plan.rows = dict(zip(numbers["number"], numbers["match_value"], strict=True))
        statuses: dict[str, str | None] = {}
        for batch in _batches(self.world, plan_id):
            known: Mapping[int, str | None] = (
                dict.fromkeys(batch.numbers)
                if batch.outcomes is None
                else dict(zip(batch.outcomes.numbers, batch.outcomes.statuses, strict=True))
            )
            statuses.update({plan.rows[number]: said for number, said in known.items()})
        return statuses, False

    def _open_ends(self, plan_id: str, statuses: Mapping[str, str | None], *, settled: bool, killed: bool) -> list[str]:
        """Only a kill leaves rows without an outcome, and no more than were in flight."""
        if settled:
            return []
        batches = [batch for batch in _batches(self.world, plan_id) if batch.outcomes is None]
        waiting = [batch for batch in batches if batch.job_id]
        lost = [batch for batch in batches if not batch.job_id]
        self.in_flight += sum(len(batch.numbers) for batch in lost)
        if killed:
            return []
        if lost or not waiting:
            return [f"plan {plan_id} of {self._plans[plan_id].sync} is not settled, {len(lost)} batches are open"]
        return []

    def _note(self, plan: PlanSeen, statuses: Mapping[str, str | None]) -> None:
        for key in {*plan.sent, *statuses}:
            if key in plan.sent and statuses.get(key) in ACCEPTED:
                self._taken[key] = plan.sent[key]
            else:
                self._taken.pop(key, None)  # taken out, or nobody knows
                if statuses.get(key) in ACCEPTED:
                    self._answered.pop(key, None)


def _batches(world: World, plan_id: str) -> list[BatchEntry]:
    journal = Journal("sqlite:///.millstream/journal.sqlite", root=world.folder)
    try:
        return list(journal.batches_of(plan_id))
    finally:
        journal.close()
