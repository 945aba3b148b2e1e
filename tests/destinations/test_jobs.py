"""Async jobs: submitted once, wherever the run dies, and asked after until they end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from millstream.destinations.contract import JobProgress
from millstream.destinations.sending import jobs
from millstream.destinations.stopping import STOP
from millstream.state.errors import RefusedError
from tests.destinations.bench import PEOPLE, Bench, MakeBench
from tests.destinations.memory import MemoryWithJobs


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "FIRST_WAIT", 0.001)


@pytest.fixture
def bench(a_bench: MakeBench) -> Iterator[Bench]:
    with a_bench() as bench:
        bench.connector = MemoryWithJobs
        bench.want(dict.fromkeys(PEOPLE, "Ann"))
        yield bench


def test_rows_go_as_jobs_and_each_gets_its_outcome(bench: Bench) -> None:
    bench.memory.bad, bench.memory.polls_to_end = {PEOPLE[0]}, 3
    report = bench.run()
    assert (report.accepted, report.rejected, len(bench.memory.jobs)) == (11, 1, 2)
    assert bench.memory.members == set(PEOPLE[1:])
    assert bench.ask("SELECT count(*) FROM delivery.batches WHERE job_id IS NOT NULL") == [(2,)]


@pytest.mark.parametrize("call", range(1, 7))
@pytest.mark.parametrize("after_work", [False, True])
def test_no_job_is_submitted_twice_wherever_a_run_dies(bench: Bench, call: int, after_work: bool) -> None:
    bench.killed(call, after_work=after_work)
    bench.run()
    bench.run()
    assert bench.memory.members == set(PEOPLE)
    assert sorted(match_value for match_value, _ in bench.memory.sent) == sorted(PEOPLE)


def test_a_job_that_does_not_end_is_left_to_the_next_run(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "PATIENCE", 0.0)
    bench.memory.polls_to_end = 5
    assert bench.run().status == "waiting"
    waiting = bench.run()
    assert (waiting.status, waiting.ok, waiting.planned) == ("waiting", True, None)
    bench.memory.polls_to_end = 0
    monkeypatch.setattr(jobs, "PATIENCE", 60.0)
    bench.run()
    bench.run()
    assert bench.memory.members == set(PEOPLE)
    assert len(bench.memory.sent) == len(PEOPLE)


def test_nobody_who_has_to_be_taken_out_waits_for_a_job(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.run()
    monkeypatch.setattr(jobs, "PATIENCE", 0.0)
    bench.memory.polls_to_end = 10_000
    bench.want({"new@box.example": "New", **dict.fromkeys(PEOPLE[1:], "Ann")})
    assert bench.run().status == "waiting"
    assert PEOPLE[0] not in bench.memory.members


def test_a_job_of_before_a_field_was_unmapped_is_still_asked_after(on_duckdb: MakeBench) -> None:
    with on_duckdb(fields={"NAME": "name", "WHO": "profile_id"}) as bench:
        bench.connector = MemoryWithJobs
        bench.want({PEOPLE[0]: "Ann"})
        bench.killed(2, after_work=False)
        bench.delivery.sync = bench.delivery.sync.model_copy(update={"fields": {"NAME": "name"}})
        assert bench.run().recovered == 1


def test_a_job_is_not_asked_after_at_another_destination(bench: Bench) -> None:
    bench.killed(2, after_work=False)
    there = bench.delivery.sync
    bench.delivery.sync = there.model_copy(update={"destination": "elsewhere"})
    polls = dict(bench.memory.jobs)
    for _ in range(2):
        report = bench.run()
        assert report.status == "stopped"
        assert "may still be running at memory" in str(report.error)
        assert "point it back to memory" in report.error.remedy
    assert bench.memory.jobs == polls
    bench.delivery.sync = there
    bench.run()
    bench.run()
    assert bench.memory.members == set(PEOPLE)
    assert len(bench.memory.sent) == len(PEOPLE)


def test_a_job_of_a_destination_that_was_renamed_is_asked_after_when_told_so(bench: Bench) -> None:
    bench.killed(2, after_work=False)
    bench.delivery.sync = bench.delivery.sync.model_copy(update={"destination": "renamed"})
    assert bench.run(override_guards=True).recovered > 0
    assert len(bench.memory.sent) == len(PEOPLE)


class Forgetful(MemoryWithJobs):
    """Knows only the jobs that it has not forgotten."""

    def poll_job(self, job_id: str) -> JobProgress:
        if job_id not in self.memory.jobs:
            raise RefusedError("There is no such job.", status=404)
        return super().poll_job(job_id)


def test_who_was_put_in_by_a_job_that_the_vendor_forgot_is_taken_out_later(bench: Bench) -> None:
    bench.connector = Forgetful
    bench.killed(2, after_work=False)
    assert bench.memory.members
    bench.memory.jobs.clear()
    bench.want({})
    bench.run()
    assert bench.memory.members == set()


def test_being_asked_to_stop_ends_the_wait(bench: Bench) -> None:
    bench.memory.polls_to_end = 10_000
    bench.memory.before_upsert = STOP.set
    try:
        report = bench.run()
    finally:
        STOP.clear()
    assert (report.status, bench.journal.unsettled_plans("sync") == []) == ("stopped", False)
    bench.memory.polls_to_end, bench.memory.before_upsert = 0, lambda: None
    bench.run()
    bench.run()
    assert bench.memory.members == set(PEOPLE)


def test_being_asked_to_stop_leaves_the_rest_for_the_next_run(a_bench: MakeBench) -> None:
    with a_bench() as bench:
        bench.want(dict.fromkeys(PEOPLE, "Ann"))
        bench.memory.before_upsert = STOP.set
        try:
            report = bench.run()
        finally:
            STOP.clear()
        assert (report.status, report.accepted) == ("stopped", 4)
        assert "asked to stop" in str(report.error)
        bench.memory.before_upsert = lambda: None
        assert bench.run().accepted == 8
        assert len(bench.memory.sent) == len(PEOPLE)
