"""The budgets of a journal: one for each credential and limit, of its window and of its day."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import replace

import sqlalchemy as sa
from pydantic import BaseModel

from millstream.state.errors import UnavailableError
from millstream.state.http.budget import credential_key
from millstream.state.http.pacing import RateLimit
from millstream.state.ledger.budget_rows import BudgetRows
from millstream.state.ledger.budgets import SharedBudget
from millstream.state.ledger.capped_budget import CappedBudget

BY_DAY = RateLimit(requests=100_000, seconds=5.0)
"""Of a budget that only counts days."""


class JournalBudgets:
    """The budgets of a journal.

    Args:
        engine: The journal's.
        writing: Begins a transaction that writes.
    """

    def __init__(self, engine: sa.Engine, writing: Callable[[], AbstractContextManager[sa.Connection]]) -> None:
        self._rows = BudgetRows(engine, writing)
        self._lock = threading.Lock()
        self._known: dict[tuple[str, RateLimit], SharedBudget | CappedBudget] = {}

    def of(self, system: str, settings: BaseModel, limit: RateLimit) -> SharedBudget | CappedBudget:
        """The budget of the credential in a connector's settings."""
        key = credential_key(system, settings)
        with self._lock:
            known = self._known.get((key, limit))
            if known is None:
                known = self._known[key, limit] = self._made(key, limit)
            return known

    def _made(self, key: str, limit: RateLimit) -> SharedBudget | CappedBudget:
        vendors = SharedBudget(self._rows, key, replace(limit, daily=None))
        if limit.daily is None:
            return vendors
        a_day = replace(BY_DAY, daily=limit.daily)
        return CappedBudget(vendors, SharedBudget(self._rows, f"{key}/{limit.daily}", a_day))

    def close(self) -> None:
        """Give back what this process holds."""
        with self._lock:
            for budget in self._known.values():
                # What cannot be given back runs out by itself.
                with suppress(UnavailableError):
                    budget.release()
            self._known.clear()
