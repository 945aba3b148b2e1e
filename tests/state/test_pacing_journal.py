"""Budgets in a real journal: SQLite and PostgreSQL, several who open it, one who is gone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydantic import BaseModel, SecretStr

from millstream.state.errors import QuotaExhaustedError, UnavailableError
from millstream.state.http import Budget, RateLimit
from millstream.state.http.budget import Place, Wait
from millstream.state.http.limit_headers import Said
from millstream.state.ledger.journal import Journal
from millstream.state.ledger.tables import budget_slices, budgets
from tests.postgres import Server

LIMIT = RateLimit(requests=40, seconds=30.0)


class Settings(BaseModel):
    base_url: str = "https://api.shop.example"
    token: SecretStr = SecretStr("pat-secret")


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "sqlite":
        yield "sqlite:///journal.sqlite"
        return
    server: Server = request.getfixturevalue("postgres_server")
    with server.database() as made:
        yield made


@pytest.fixture
def journals(url: str, tmp_path: Path) -> Iterator[list[Journal]]:
    """Two who have the same journal open, as two processes would."""
    made = [Journal(url, root=tmp_path) for _ in range(2)]
    yield made
    for journal in made:
        journal.close()


def spend(budget: Budget) -> int:
    """Make requests until there is no place left; gives how many."""
    made, said = 0, Said()
    for _ in range(200):
        answer = budget.take()
        if isinstance(answer, Wait):
            break
        budget.heard(answer, said, throttled=False)
        budget.answered(answer)
        made += 1
    return made


def test_two_journals_give_out_what_there_is_and_no_more(journals: list[Journal]) -> None:
    held = [journal.budgets.of("shop", Settings(), LIMIT) for journal in journals]
    with ThreadPoolExecutor(2) as threads:
        made = list(threads.map(spend, held))
    assert sum(made) == 40
    assert spend(held[0]) + spend(held[1]) == 0
    assert all(40 - count >= 0 for count in made)


def test_one_credential_has_one_budget_and_no_secret_is_kept(journals: list[Journal]) -> None:
    first = journals[0].budgets.of("shop", Settings(), LIMIT)
    assert first is journals[0].budgets.of("shop", Settings(), LIMIT)
    assert spend(first) == 40
    with journals[1].engine.connect() as connection:
        (row,) = connection.execute(budgets.select())
    assert "secret" not in repr(row)


def test_a_connectors_own_number_of_requests_a_day_is_counted_from_run_to_run(journals: list[Journal]) -> None:
    limit = replace(LIMIT, daily=30, daily_remaining="X-Day")
    one, other = (journal.budgets.of("shop", Settings(), limit) for journal in journals)
    free = journals[1].budgets.of("shop", Settings(), LIMIT)
    for _ in range(20):
        place = one.take()
        assert isinstance(place, Place)
        one.heard(place, Said(daily_remaining=5000), throttled=False)
        one.answered(place)
    assert one.daily_left == 10
    journals[0].close()
    with pytest.raises(QuotaExhaustedError, match="It renews in"):
        spend(other)
    assert spend(free) > 0, "what is declared for one does not bind the other"


def test_a_pause_reaches_the_other_journal(journals: list[Journal]) -> None:
    one, other = (journal.budgets.of("shop", Settings(), LIMIT) for journal in journals)
    assert isinstance(one.take(), Place)
    one.pause(60.0)
    answer = other.take()
    assert isinstance(answer, Wait)
    assert answer.paused
    assert 55 < answer.seconds <= 60


def test_what_a_closed_journal_held_is_free_when_its_window_is_over(journals: list[Journal]) -> None:
    one, other = (journal.budgets.of("shop", Settings(), LIMIT) for journal in journals)
    for _ in range(5):
        place = one.take()
        assert isinstance(place, Place)
        one.answered(place)
    journals[0].close()
    assert spend(other) == 35
    with journals[1].engine.connect() as connection:
        assert len(connection.execute(budget_slices.select()).all()) == 1


def test_what_a_process_that_is_gone_held_comes_back(journals: list[Journal]) -> None:
    one, other = (journal.budgets.of("shop", Settings(), LIMIT) for journal in journals)
    spend(one)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    dead = one.holder.replace(f"/{os.getpid()}@", f"/{gone.pid}@")
    with journals[0].engine.begin() as connection:
        connection.execute(budget_slices.update().values(holder=dead))
    assert spend(other) == 0, "the vendor still counts what the dead one may have sent"
    with journals[1].engine.connect() as connection:
        (row,) = connection.execute(budgets.select())
        assert [its.holder for its in connection.execute(budget_slices.select())] == [other.holder]
    assert sum(places for _, places in row.cooling) + other._window.capacity == 40


def test_a_journal_that_does_not_answer_may_be_asked_again(tmp_path: Path) -> None:
    with closing(Journal("sqlite:///journal.sqlite", root=tmp_path)) as journal:
        budget = journal.budgets.of("shop", Settings(), LIMIT)
        with journal.engine.begin() as connection:
            connection.execute(sa.text("ALTER TABLE budget_slices RENAME TO elsewhere"))
        with pytest.raises(UnavailableError, match="journal"):
            budget.take()
        with journal.engine.begin() as connection:
            connection.execute(sa.text("ALTER TABLE elsewhere RENAME TO budget_slices"))
        assert isinstance(budget.take(), Place)
