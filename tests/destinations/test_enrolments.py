"""People who can become members only some time after the vendor took their fields."""

from __future__ import annotations

import time

from millstream.destinations.contract import DeliveryRow, Outcome, accepted, rejected
from millstream.destinations.sending.enrolments import Enrolments
from millstream.destinations.stopping import STOP
from tests.destinations.bench import PEOPLE, MakeBench
from tests.destinations.memory import MemoryDestination


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def rows(*numbers: int) -> list[DeliveryRow]:
    return [DeliveryRow(number=number, match_value=f"p{number}@box.example", fields={}) for number in numbers]


def numbers(batches: list[list[DeliveryRow]]) -> list[list[int]]:
    return [[row.number for row in batch] for batch in batches]


def taken(count: int) -> list[Outcome]:
    return [accepted() for _ in range(count)]


def test_who_was_put_off_later_is_ready_later() -> None:
    clock = Clock()
    enrolments = Enrolments(2, 10.0, clock)
    enrolments.put_off(rows(1, 2, 3), taken(3))
    clock.now = 4.0
    enrolments.put_off(rows(4), taken(1))
    assert enrolments.seconds_left() == 10.0
    assert enrolments.batches(rest=True) == []
    clock.now = 10.0
    assert numbers(enrolments.batches(rest=False)) == [[1, 2]]
    clock.now = 14.0
    assert enrolments.seconds_left() == 0.0
    assert numbers(enrolments.batches(rest=True)) == [[3, 4]]


def test_without_a_delay_everybody_is_ready_at_once() -> None:
    enrolments = Enrolments(2, clock=Clock())
    enrolments.put_off(rows(1, 2, 3), [accepted(), rejected("bad", "A bad row."), accepted()])
    assert enrolments.seconds_left() == 0.0
    assert numbers(enrolments.batches(rest=False)) == [[1, 3]]


class Slow(MemoryDestination):
    """Needs some time until new people can be members; takes fields and members in batches of one size."""

    enrolment_delay = 0.25
    membership_batch_size = MemoryDestination.batch_size


def test_members_are_added_when_their_time_has_come(a_bench: MakeBench) -> None:
    with a_bench() as bench:
        bench.connector = Slow
        bench.want(dict.fromkeys(PEOPLE, "Ann"))
        began = time.monotonic()
        report = bench.run()
        assert time.monotonic() - began >= Slow.enrolment_delay
        assert (report.status, bench.memory.members) == ("completed", set(PEOPLE))


class Slower(Slow):
    enrolment_delay = 600.0


def test_who_is_not_ready_when_a_run_is_asked_to_stop_is_left_to_the_next(a_bench: MakeBench) -> None:
    with a_bench() as bench:
        bench.connector = Slower
        bench.want(dict.fromkeys(PEOPLE, "Ann"))
        # Asked while the last of three batches of fields is in flight: what is in flight ends.
        bench.memory.before_upsert = lambda: STOP.set() if bench.memory.calls == 2 else None
        try:
            report = bench.run()
        finally:
            STOP.clear()
        assert report.error is not None
        assert (len(bench.memory.people), bench.memory.members) == (len(PEOPLE), set())
        bench.connector = Slow
        bench.run()
        assert bench.memory.members == set(PEOPLE)
