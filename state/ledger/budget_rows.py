"""Budgets in the journal's database: read as they are, changed under the row's lock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import fields

import sqlalchemy as sa

from millstream.state.errors import UnavailableError
from millstream.state.ledger.shares import Slice, State
from millstream.state.ledger.tables import budget_slices, budgets

_SERVERS_TIME = sa.text("SELECT extract(epoch FROM clock_timestamp())")
_FACTS = [one.name for one in fields(State) if one.name != "slices"]
_OF_SLICES = [one.name for one in fields(Slice)]


class BudgetRows:
    """The rows of budgets and slices.

    Args:
        engine: The journal's.
        writing: Begins a transaction that writes.
        wall: Seconds since 1970; None: the server's, where the database is one, else this machine's.
    """

    def __init__(
        self,
        engine: sa.Engine,
        writing: Callable[[], AbstractContextManager[sa.Connection]],
        *,
        wall: Callable[[], float] | None = None,
    ) -> None:
        self._engine = engine
        self._writing = writing
        self._wall = wall or (None if engine.dialect.name == "postgresql" else time.time)

    def read(self, budget: str) -> tuple[State | None, float]:
        """A budget as it is now, and the time."""
        with _as_unavailable(), self._engine.connect() as connection:
            return self._state(connection, budget), self._now(connection)

    @contextmanager
    def changing(self, budget: str, first: State) -> Iterator[tuple[State, float]]:
        """A budget that nobody else changes meanwhile, and the time; what is changed in it is kept at the end.

        Args:
            budget: Its key.
            first: What it is if there is none yet.
        """
        self._make(budget, first)
        with _as_unavailable(), self._writing() as connection:
            # A write first: it takes the lock, so that what is read after it stays true.
            connection.execute(budgets.update().where(budgets.c.budget == budget).values(budget=budget))
            state = self._state(connection, budget)
            assert state is not None
            before = {name: _values(its) for name, its in state.slices.items()}
            yield state, self._now(connection)
            self._keep(connection, budget, state, before)

    def _make(self, budget: str, first: State) -> None:
        here = sa.select(budgets.c.budget).where(budgets.c.budget == budget)
        with _as_unavailable(), self._engine.connect() as connection:
            if connection.execute(here).first() is not None:
                return
        try:
            with _as_unavailable(), self._writing() as connection:
                connection.execute(budgets.insert().values(budget=budget, **_facts(first)))
        except sa.exc.IntegrityError:
            return  # another process was quicker

    def _state(self, connection: sa.Connection, budget: str) -> State | None:
        row = connection.execute(budgets.select().where(budgets.c.budget == budget)).mappings().one_or_none()
        if row is None:
            return None
        state = State(**{name: row[name] for name in _FACTS})
        state.cooling = [(moment, places) for moment, places in state.cooling]
        for its in connection.execute(budget_slices.select().where(budget_slices.c.budget == budget)).mappings():
            state.slices[its["holder"]] = Slice(**{name: its[name] for name in _OF_SLICES})
        return state

    def _keep(self, connection: sa.Connection, budget: str, state: State, before: dict[str, dict[str, object]]) -> None:
        connection.execute(budgets.update().where(budgets.c.budget == budget).values(**_facts(state)))
        for holder in before.keys() - state.slices.keys():
            connection.execute(
                budget_slices.delete().where(budget_slices.c.budget == budget, budget_slices.c.holder == holder)
            )
        for holder, its in state.slices.items():
            values = _values(its)
            if holder not in before:
                connection.execute(budget_slices.insert().values(budget=budget, holder=holder, **values))
            elif values != before[holder]:
                connection.execute(
                    budget_slices.update()
                    .where(budget_slices.c.budget == budget, budget_slices.c.holder == holder)
                    .values(**values)
                )

    def _now(self, connection: sa.Connection) -> float:
        return self._wall() if self._wall else float(connection.execute(_SERVERS_TIME).scalar_one())


def _facts(state: State) -> dict[str, object]:
    return {name: getattr(state, name) for name in _FACTS} | {"cooling": [list(one) for one in state.cooling]}


def _values(its: Slice) -> dict[str, object]:
    return {name: getattr(its, name) for name in _OF_SLICES}


@contextmanager
def _as_unavailable() -> Iterator[None]:
    """A journal that does not answer now may do so when asked again."""
    try:
        yield
    except sa.exc.OperationalError as error:
        raise UnavailableError(
            f"The journal's database does not answer ({type(error.orig).__name__}).",
            where="journal",
            remedy="check that its server runs and its disk has room.",
        ) from error
