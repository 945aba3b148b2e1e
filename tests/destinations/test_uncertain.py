"""Rows of which nobody knows what became of them: never taken for untouched, never sent again where that does harm."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import ClassVar

import pytest
import requests
import responses

from millstream.destinations.contract import DeliveryRow, Outcome
from millstream.state.errors import (
    AuthenticationError,
    FatalError,
    MillstreamError,
    QuotaExhaustedError,
    RefusedError,
    UnavailableError,
    UnknownOutcomeError,
)
from tests.destinations.bench import PEOPLE, Bench, MakeBench
from tests.destinations.memory import Killed, Memory, MemoryDestination
from tests.destinations.memory_kinds import Keeping

ANN = dict.fromkeys(PEOPLE[:3], "Ann")


Problem = Callable[[], BaseException]


class Faltering(MemoryDestination):
    """Puts people into the audience, and then fails."""

    problem: ClassVar[list[Problem]] = []

    def add_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        outcomes = super().add_members(audience_id, rows, match_key=match_key)
        for problem in self.problem:
            raise problem()
        return outcomes


class FalteringAtOnce(Faltering):
    """As above, with its first request."""

    audience_only = True

    def add_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        known = [replace(row, external_id=f"x-{row.match_value}") for row in rows]
        return super().add_members(audience_id, known, match_key=match_key)


class FalteringOnce(Faltering):
    """As above, and nothing may be sent again."""

    idempotent = frozenset()


class OneByOne(FalteringOnce):
    """Takes one member at a time."""

    def add_members(self, audience_id: str, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        if len(rows) > 1:
            raise RefusedError("One of the rows is bad.", status=400)
        return super().add_members(audience_id, rows, match_key=match_key)


def falter(bench: Bench, connector: type[Faltering], *problem: Problem) -> None:
    """Have the vendor fail after its work, or no more."""
    bench.connector = connector
    Faltering.problem[:] = problem


@pytest.fixture(autouse=True)
def _well_again() -> Iterator[None]:
    yield
    Faltering.problem.clear()


def lost() -> MillstreamError:
    return UnknownOutcomeError("No answer.")


def unavailable() -> MillstreamError:
    return UnavailableError("Not now.")


def locked_out() -> MillstreamError:
    return AuthenticationError("The token expired.")


def used_up_after_a_try() -> MillstreamError:
    error = QuotaExhaustedError("No more today.")
    error.after_a_try = True
    return error


def answered_oddly() -> MillstreamError:
    return FatalError("One outcome too few.")


@pytest.mark.parametrize("problem", [lost, unavailable])
def test_what_may_not_be_repeated_is_listed_and_left_alone(a_bench: MakeBench, problem: Problem) -> None:
    with a_bench() as bench:
        falter(bench, FalteringOnce, problem)
        bench.want(ANN)
        assert bench.run().unknown == 3
        falter(bench, FalteringOnce)
        report = bench.run()
        assert report.planned is not None
        assert (report.planned.waiting, len(bench.memory.sent)) == (3, 3)
        assert {row["status"] for row in bench.journal.rejected_rows("sync")} == {"unknown"}
        # They may be in: so they are taken out when they leave, after which nothing is in doubt any more.
        bench.want({})
        assert bench.run().accepted == 3
        assert bench.memory.members == set()
        assert bench.journal.rejected_rows("sync") == []
        bench.want(ANN)
        assert bench.run().accepted == 3
        assert bench.memory.members == set(ANN)


@pytest.mark.parametrize("problem", [used_up_after_a_try, answered_oddly])
def test_a_single_request_that_may_have_been_carried_out_is_not_forgotten(a_bench: MakeBench, problem: Problem) -> None:
    with a_bench(fields={}) as bench:
        falter(bench, FalteringAtOnce, problem)
        bench.want(ANN)
        assert bench.run().status == "stopped"
        assert (bench.memory.members, bench.memory.calls) == (set(ANN), 1)
        falter(bench, FalteringAtOnce)
        bench.want({})
        bench.run()
        assert bench.memory.members == set()


@pytest.mark.parametrize("connector", [Faltering, FalteringOnce])
def test_who_was_put_in_before_the_run_was_locked_out_is_taken_out_later(
    a_bench: MakeBench, connector: type[Faltering]
) -> None:
    with a_bench() as bench:
        falter(bench, connector, locked_out)
        bench.want(ANN)
        assert bench.run().status == "stopped"
        assert bench.memory.members == set(ANN)
        falter(bench, connector)
        bench.want({})
        bench.run()
        assert bench.memory.members == set()


def test_a_later_step_that_is_refused_whole_is_halved_alone(a_bench: MakeBench) -> None:
    with a_bench() as bench:
        bench.connector = OneByOne
        bench.want(ANN)
        assert bench.run().accepted == 3
        assert (bench.memory.members, len(bench.memory.sent)) == (set(ANN), 3)


def test_a_write_without_an_answer_is_not_repeated_where_that_does_harm() -> None:
    with responses.RequestsMock() as vendor:
        vendor.post("http://127.0.0.1:9/people", body=requests.ConnectionError("reset"))
        with pytest.raises(UnknownOutcomeError):
            FalteringOnce(Memory()).http.post("/people", {})
        assert len(vendor.calls) == 1


class FalteringKeeping(Faltering, Keeping):
    """Knows people by names that they were put in with, and gives no ids."""


class FalteringKeepingOnce(FalteringKeeping):
    """As above, and nothing may be sent again."""

    idempotent = frozenset()


def killed() -> BaseException:
    return Killed()


@pytest.mark.parametrize("problem", [lost, unavailable, killed])
@pytest.mark.parametrize("connector", [FalteringKeeping, FalteringKeepingOnce])
def test_by_what_somebody_may_have_been_put_in_they_are_taken_out(
    on_duckdb: MakeBench, connector: type[Faltering], problem: Problem
) -> None:
    """The names of a row whose answer never came are not those that the person has when they leave."""
    with on_duckdb() as bench:
        ana = PEOPLE[0]
        falter(bench, connector)
        bench.want({ana: "Kim"})
        bench.run()
        falter(bench, connector, problem)
        bench.want({ana: "Kay"})
        with suppress(Killed):
            bench.run()
        assert bench.memory.members == {ana, "Kim", "Kay"}
        falter(bench, connector)
        bench.want({ana: "Kit"})
        bench.run()
        bench.want({})
        bench.run()
        assert bench.memory.members == set()
        assert bench.ask("SELECT count(*) FROM delivery.acknowledged") == [(0,)]
