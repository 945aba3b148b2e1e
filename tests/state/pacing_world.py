"""A made-up world for budgets: a vendor that counts, processes that call it, and a clock that nobody waits for."""

from __future__ import annotations

import heapq
import random
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import sqlalchemy as sa

from millstream.state.errors import QuotaExhaustedError
from millstream.state.http.budget import Wait
from millstream.state.http.limit_headers import Said
from millstream.state.http.pacing import RateLimit
from millstream.state.ledger.budget_rows import BudgetRows
from millstream.state.ledger.budgets import SharedBudget
from millstream.state.ledger.tables import metadata

AT_FIRST = 1_000_000.0
"""Seconds since 1970 when a world begins."""


@dataclass
class Vendor:
    """Counts what arrives, and says what is left.

    Attributes:
        allowed: Requests in each window.
        seconds: Its length.
        begins: Where windows that do not slide begin; None: they slide.
        strangers: Requests of others that count as well.
        day: Requests left today.
    """

    allowed: int
    seconds: float
    begins: float | None = None
    day: int | None = None
    strangers: list[float] = field(default_factory=list)
    accepted: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)

    def remaining(self, now: float) -> int:
        """Requests left in the window of a moment."""
        start = now - self.seconds
        if self.begins is not None:
            start = now - (now - self.begins) % self.seconds - 1e-9
        counted = [*self.accepted, *self.strangers]
        return self.allowed - sum(start < moment <= now for moment in counted)

    def resets_in(self, now: float) -> float:
        """Seconds until there is room again."""
        if self.begins is not None:
            return self.seconds - (now - self.begins) % self.seconds
        counted = [moment for moment in (*self.accepted, *self.strangers) if now - self.seconds < moment <= now]
        return min(counted, default=now - self.seconds) + self.seconds - now

    def receive(self, now: float) -> bool:
        """Take a request, or refuse it."""
        taken = self.remaining(now) > 0 and self.day != 0
        (self.accepted if taken else self.refused).append(now)
        if taken and self.day is not None:
            self.day -= 1
        return taken

    def most_in_a_window(self) -> int:
        """The largest number that a sliding window ever held."""
        return max(
            (
                bisect_left(self.accepted, moment + self.seconds - 1e-6) - number
                for number, moment in enumerate(self.accepted)
            ),
            default=0,
        )

    def share_used(self) -> float:
        """How much of the allowed rate was used."""
        windows = (len(self.accepted) - 1) // self.allowed
        assert windows > 1, f"only {len(self.accepted)} requests"
        return windows * self.seconds / (self.accepted[windows * self.allowed] - self.accepted[0])


class World:
    """Processes with budgets in one journal, all driven by one clock.

    Args:
        engine: The journal's.
        vendor: Whom they call.
        seed: Of the times that requests take.
        longest: Longest time that a request takes.
    """

    def __init__(self, engine: sa.Engine, vendor: Vendor, *, seed: int = 1, longest: float = 0.02) -> None:
        self.now = 0.0
        self.clock_set_back = 0.0  # seconds by which the journal's clock is behind what it was
        self.vendor = vendor
        self.engine = engine
        self.visits = 0
        self.ended: list[QuotaExhaustedError] = []
        self._chance = random.Random(seed)
        self._longest = longest
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._killed: set[int] = set()

    def at(self, moment: float, what: Callable[[], None]) -> None:
        """Do something at a time."""
        heapq.heappush(self._events, (moment, len(self._events) + self._chance.getrandbits(40), what))

    def run(self, until: float) -> None:
        """Let time pass."""
        while self._events and self._events[0][0] <= until:
            self.now, _, what = heapq.heappop(self._events)
            what()
        self.now = until

    def budget(self, limit: RateLimit, key: str = "vendor/1") -> SharedBudget:
        """One process's hold on a budget."""
        return SharedBudget(BudgetRows(self.engine, self._writing, wall=self._wall), key, limit, clock=lambda: self.now)

    def caller(
        self,
        limit: RateLimit,
        *,
        threads: int = 1,
        start: float = 0.0,
        stop: float = float("inf"),
        killed: float = float("inf"),
        pause: float = 0.0,
        headers: bool = True,
    ) -> SharedBudget:
        """A process that calls as quickly as it may.

        Args:
            limit: What its connector declares.
            threads: Requests that it makes at once.
            start: When it begins.
            stop: When it ends and gives back what it holds.
            killed: When it is gone without a word.
            pause: Longest time that a thread does something else after a request.
            headers: Whether it reads the vendor's counters.
        """
        budget = self.budget(limit)
        number = id(budget)

        def ask() -> None:
            if number in self._killed or self.now >= stop:
                return
            try:
                answer = budget.take()
            except QuotaExhaustedError as error:
                self.ended.append(error)
                return
            if isinstance(answer, Wait):
                self.at(self.now + answer.seconds, ask)
                return
            way, back = self._chance.random() * self._longest / 2, self._chance.random() * self._longest / 2

            def arrive() -> None:
                taken = self.vendor.receive(self.now)
                said = Said(
                    remaining=max(0, self.vendor.remaining(self.now)),
                    resets_in=self.vendor.resets_in(self.now),
                    daily_remaining=self.vendor.day,
                    daily_resets_in=None if self.vendor.day is None else 3600.0,
                )
                self.at(self.now + back, lambda: get_answer(said if headers else Said(), taken))

            def get_answer(said: Said, taken: bool) -> None:
                if number in self._killed:
                    return
                budget.heard(answer, said, throttled=not taken)
                budget.answered(answer)
                if not taken:
                    budget.pause(1.0)
                self.at(self.now + self._chance.random() * pause, ask)

            self.at(self.now + way, arrive)

        for _ in range(threads):
            self.at(start, ask)
        if killed < float("inf"):
            self.at(killed, lambda: self._killed.add(number))
        if stop < float("inf"):
            self.at(stop + self._longest, budget.release)
        return budget

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        self.visits += 1
        with self.engine.begin() as connection:
            yield connection

    def _wall(self) -> float:
        return AT_FIRST + self.now - self.clock_set_back


def journal_in_memory() -> sa.Engine:
    """A journal that one process's threads can share."""
    engine = sa.create_engine("sqlite://", poolclass=sa.pool.StaticPool, connect_args={"check_same_thread": False})
    metadata.create_all(engine)
    return engine
