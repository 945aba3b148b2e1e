"""A run that slept for too long: another one took over its sync, and whatever it wakes up to do comes too late.

It notices by itself only at its next sign of life, so that the journal must not let it go on before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

import pytest

from millstream.destinations.contract import DeliveryRow, Outcome
from millstream.destinations.sync_report import SyncReport
from tests.destinations.bench import PEOPLE, Bench, MakeBench
from tests.destinations.memory import MemoryDestination

_DELIVERY = import_module("millstream.destinations.delivery")

SEVERAL = dict.fromkeys(PEOPLE, "as planned")
NEWER = dict.fromkeys(PEOPLE[:-1], "newer")


def _take_over(bench: Bench) -> SyncReport:
    """Another process's run, after the lease ran out; people have changed meanwhile."""
    with bench.journal.writing() as connection:
        connection.exec_driver_sql("UPDATE leases SET expires = 0, holder = 'elsewhere/1/asleep'")
    bench.want(NEWER)
    return replace(bench.delivery).activate("another-run")


def _once(work: Callable[[], Any]) -> Callable[[], None]:
    """Does it the first time."""
    done: list[bool] = []

    def once() -> None:
        if not done:
            done.append(True)
            work()

    return once


def _check_overtaken(report: SyncReport, others: list[SyncReport]) -> None:
    """The other run did it all, and this one says so."""
    assert [other.ok for other in others] == [True]
    assert report.error is not None
    assert "took over" in report.error.what


def _values(bench: Bench) -> dict[str, object]:
    return {person: fields["NAME"] for person, fields in bench.memory.people.items()}


def test_who_wakes_up_in_a_request_begins_no_other(a_bench: MakeBench) -> None:
    with a_bench() as bench:
        bench.want(SEVERAL)
        others: list[SyncReport] = []
        bench.memory.before_upsert = _once(lambda: others.append(_take_over(bench)))
        report = bench.run()
        _check_overtaken(report, others)
        late = [person for person, fields in bench.memory.sent if fields["NAME"] == "as planned"]
        assert len(late) == bench.connector.batch_size, "what was in flight, and nothing more"
        assert bench.memory.members == set(NEWER)
        assert {value for person, value in _values(bench).items() if person not in late} == {"newer"}


def test_a_plan_that_is_not_begun_is_not_sent_any_more(a_bench: MakeBench, monkeypatch: pytest.MonkeyPatch) -> None:
    with a_bench() as bench:
        bench.want(SEVERAL)
        fields = _DELIVERY.ensure_fields
        others: list[SyncReport] = []
        late = _once(lambda: others.append(_take_over(bench)))

        def ensure(*facts: Any) -> None:
            late()
            fields(*facts)

        monkeypatch.setattr(_DELIVERY, "ensure_fields", ensure)
        report = bench.run()
        _check_overtaken(report, others)
        assert _values(bench) == NEWER


def test_who_wakes_up_before_settling_leaves_it_to_the_other(
    a_bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it would keep is what the other one has kept already, and what came of newer values since."""
    with a_bench() as bench:
        bench.want(SEVERAL)
        settle = _DELIVERY.settle
        others: list[SyncReport] = []
        late = _once(lambda: others.append(_take_over(bench)))

        def settle_late(*facts: Any, **options: Any) -> Any:
            late()
            return settle(*facts, **options)

        monkeypatch.setattr(_DELIVERY, "settle", settle_late)
        report = bench.run()
        _check_overtaken(report, others)
        kept = bench.ask("SELECT count(*), count(DISTINCT payload_hash) FROM delivery.acknowledged")
        assert kept == [(len(NEWER), 1)]
        assert bench.ask("SELECT count(DISTINCT plan_id) FROM delivery.acknowledged") == [(1,)]
        bench.memory.calls = 0
        assert bench.run().ok
        assert bench.memory.calls == 0, "all is known as it is"
        assert _values(bench).items() >= NEWER.items()


def test_who_wakes_up_between_two_tries_makes_no_other(a_bench: MakeBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it would send again is older than what the other one has sent."""

    class Unsure(MemoryDestination):
        """Waits as the engine's HTTP does before it tries a request once more."""

        def upsert(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
            self.memory.before_upsert()
            self.wait(0.0)
            return super().upsert(rows, match_key=match_key)

    monkeypatch.setattr(Bench, "connector", Unsure)
    with a_bench() as bench:
        bench.want(SEVERAL)
        others: list[SyncReport] = []
        bench.memory.before_upsert = _once(lambda: others.append(_take_over(bench)))
        report = bench.run()
        _check_overtaken(report, others)
        assert _values(bench) == NEWER
        assert bench.memory.members == set(NEWER)
