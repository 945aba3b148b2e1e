"""Reconciling: what the destination holds, read back, against what it acknowledged."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from millstream.destinations.contract import Member
from millstream.destinations.reconciling import DriftReport, reconcile
from millstream.destinations.sync import Guards
from millstream.state.errors import UnreachableError
from tests.destinations.bench import PEOPLE, Bench, MakeBench
from tests.destinations.memory import MemoryDestination

ANN, BOB, CY = PEOPLE[:3]
WANTED = {ANN: "Ann", BOB: "Bob", CY: "Cy"}
STRANGER = "stranger@box.example"


def look(bench: Bench, *, repair: bool = False, beside: tuple[str, ...] = ()) -> DriftReport:
    return reconcile(bench.delivery, "look", repair=repair, beside=beside)


@pytest.fixture
def bench(on_duckdb: MakeBench) -> Iterator[Bench]:
    """One as it comes."""
    with on_duckdb() as made:
        yield made


def drift(bench: Bench) -> list[tuple[str, str, bool]]:
    query = "SELECT match_value, kind, repaired_at IS NOT NULL FROM delivery.drift ORDER BY match_value"
    return [(str(who), str(kind), bool(repaired)) for who, kind, repaired in bench.ask(query)]


def test_who_is_missing_and_who_is_there_although_taken_out_is_said_and_put_right(a_bench: MakeBench) -> None:
    with a_bench() as bench:
        bench.memory.members = {STRANGER}
        bench.want(WANTED)
        bench.run()
        bench.want({ANN: "Ann", BOB: "Bob"})
        bench.run()
        report = look(bench)
        assert (report.status, report.acknowledged, report.found, report.strangers) == ("in_step", 2, 3, 1)
        # Somebody works by hand at the vendor: Bob is taken out, Cy is put back in.
        bench.memory.members = {ANN, CY, STRANGER}
        report = look(bench)
        assert (report.status, report.ok) == ("drifted", False)
        assert (report.missing, report.extra, report.strangers, report.repaired) == (1, 1, 1, 0)
        assert drift(bench) == [(BOB, "missing", False), (CY, "extra", False)]
        assert bench.planned().operations == 0, "looking changes nothing"
        report = look(bench, repair=True)
        assert (report.status, report.ok, report.repaired) == ("repaired", True, 2)
        assert drift(bench) == [(BOB, "missing", True), (CY, "extra", True)]
        assert bench.memory.members == {ANN, CY, STRANGER}, "the next activation puts it right"
        report_of_run = bench.run()
        assert (report_of_run.accepted, bench.memory.members) == (2, {ANN, BOB, STRANGER})
        assert (look(bench).status, drift(bench)) == ("in_step", [])
        kept = bench.ask("SELECT status FROM delivery.reconciliations ORDER BY looked_at")
        assert [status for (status,) in kept] == ["in_step", "drifted", "repaired", "in_step"]


def test_somebody_renamed_or_merged_there_is_not_missing(bench: Bench) -> None:
    class Renaming(MemoryDestination):
        def read_members(self, audience_id: str) -> Iterator[Member]:
            yield Member(("new@box.example",), f"x-{ANN}")
            yield Member(("also@box.example", BOB.upper()), "x-merged")

    bench.connector = Renaming
    bench.want({ANN: "Ann", BOB: "Bob"})
    bench.run()
    report = look(bench)
    assert (report.status, report.found, report.strangers) == ("in_step", 2, 0)


def test_a_list_that_was_emptied_is_filled_again(bench: Bench) -> None:
    bench.want(WANTED)
    bench.run()
    bench.memory.members, bench.memory.people = set(), {}
    assert look(bench, repair=True).missing == 3
    bench.run()
    assert bench.memory.members == set(WANTED)
    assert {who: fields["NAME"] for who, fields in bench.memory.people.items()} == WANTED


def test_repairing_stands_under_the_guards(on_duckdb: MakeBench) -> None:
    with on_duckdb(guards=Guards(largest_removal_share=0.2, removals_always_allowed=1)) as bench:
        bench.want(dict.fromkeys(PEOPLE, "Ann"))
        bench.run()
        bench.want({ANN: "Ann", BOB: "Bob"})
        bench.run(override_guards=True)
        bench.memory.members = set(PEOPLE)
        assert look(bench, repair=True).extra == len(PEOPLE) - 2
        assert bench.run().status == "stopped"
        assert bench.memory.members == set(PEOPLE)


def test_members_of_another_sync_into_the_same_audience_are_left_alone(a_bench: MakeBench) -> None:
    with a_bench() as bench:
        bench.want(WANTED)
        bench.run()
        bench.want({ANN: "Ann"})
        bench.run()
        bench.memory.members = {ANN, BOB, CY}
        bench.execute(
            "INSERT INTO delivery.acknowledged (sync, match_value, payload_hash, present, acknowledged_at, plan_id)"
            f" VALUES ('other', '{BOB}', '', TRUE, now(), 'plan')"
        )
        report = look(bench, repair=True, beside=("other",))
        assert (report.extra, report.of_other_syncs, report.strangers) == (1, 1, 0)
        bench.run()
        assert bench.memory.members == {ANN, BOB}


def test_people_who_were_deleted_and_are_there_again_are_not_deleted_again(on_duckdb: MakeBench) -> None:
    with on_duckdb(on_leave="archive") as bench:
        bench.want({ANN: "Ann", BOB: "Bob"})
        bench.run()
        bench.want({ANN: "Ann"})
        bench.run()
        bench.memory.members.add(BOB)
        report = look(bench, repair=True)
        assert (report.status, report.extra, report.repaired) == ("drifted", 1, 0)
        assert report.why is not None
        assert bench.planned().removes == 0


def test_rows_sent_without_an_answer_are_known_afterwards(a_bench: MakeBench) -> None:
    class Once(MemoryDestination):
        idempotent = frozenset()

    with a_bench() as bench:
        bench.connector = Once
        bench.want({ANN: "Ann", BOB: "Bob"})
        bench.killed(1, after_work=True)
        bench.run()
        assert {row["status"] for row in bench.journal.rejected_rows("sync")} == {"unknown"}
        bench.memory.members = {ANN}
        report = look(bench, repair=True)
        assert (report.uncertain, report.repaired, report.status) == (2, 2, "repaired")
        assert bench.journal.rejected_rows("sync") == []
        plan = bench.planned()
        assert (plan.adds, plan.updates) == (1, 1)
        assert bench.memory.members == {ANN, BOB}


def test_who_is_refused_after_an_answer_was_lost_is_known_not_to_be_there(a_bench: MakeBench) -> None:
    with a_bench() as bench:
        bench.want({ANN: "Ann", BOB: "Bob"})
        bench.killed(1, after_work=True)
        bench.memory.members, bench.memory.bad = set(), {BOB}
        bench.run()
        assert look(bench).uncertain == 1
        assert look(bench, repair=True).repaired == 1
        bench.run()
        assert (look(bench).status, bench.memory.members) == ("in_step", {ANN})


def test_who_comes_to_be_there_after_all_is_taken_out_again(a_bench: MakeBench) -> None:
    with a_bench() as bench:
        bench.want({ANN: "Ann", BOB: "Bob"})
        bench.killed(1, after_work=True)
        bench.memory.members = set()
        assert look(bench, repair=True).repaired == 2
        bench.memory.members = {ANN, BOB}
        bench.want({ANN: "Ann"})
        bench.run()
        assert bench.memory.members == {ANN}


def test_mode_remove_is_reconciled_the_other_way_round(on_duckdb: MakeBench) -> None:
    with on_duckdb(mode="remove") as bench:
        bench.memory.members = {ANN, BOB}
        bench.want({ANN: "Ann"})
        bench.run()
        assert look(bench).status == "in_step"
        bench.memory.members.add(ANN)
        assert look(bench, repair=True).extra == 1
        bench.run()
        assert bench.memory.members == {BOB}


def test_a_sync_without_an_audience_has_no_members(on_duckdb: MakeBench) -> None:
    with on_duckdb(mode="upsert", into=None) as bench:
        bench.want({ANN: "Ann"})
        report = look(bench)
        assert (report.status, report.ok) == ("unsupported", True)


def test_an_error_of_the_vendor_is_reported_and_judges_nobody(bench: Bench) -> None:
    class Away(MemoryDestination):
        def read_back(self, audience_id: str) -> Iterator[str]:
            yield ANN
            raise UnreachableError("No answer.")

    bench.connector = Away
    bench.want(WANTED)
    bench.run()
    report = look(bench, repair=True)
    assert (report.status, str(report.error), report.missing) == ("stopped", "No answer.", 0)
    assert bench.planned().operations == 0


@pytest.mark.parametrize("repair", [False, True])
def test_while_another_run_is_at_the_sync_nothing_is_done(bench: Bench, repair: bool) -> None:
    bench.want(WANTED)
    bench.run()
    bench.memory.members = set()
    with bench.journal.lease("sync sync", "another-run"):
        assert look(bench, repair=repair).status == "skipped"
    assert bench.planned().operations == 0
