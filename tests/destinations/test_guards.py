"""Guards that stop a sync before its first request, and the audit of its runs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import ClassVar

from millstream.destinations.sync import Guards
from millstream.state.ledger.journal import now
from tests.destinations.bench import OPEN, PEOPLE, MakeBench
from tests.destinations.memory import MemoryDestination

HUNDRED = {f"p{number}@box.example": "Ann" for number in range(100)}


def test_a_size_that_jumps_stops_the_sync(a_bench: MakeBench) -> None:
    with a_bench() as bench:
        bench.want(HUNDRED)
        for _ in range(3):
            bench.run()
        bench.want({f"q{number}@box.example": "Ann" for number in range(250)})
        report = bench.run()
        assert "250 people, and 100 were usual" in str(report.error)
        assert bench.memory.members == set(HUNDRED)
        assert bench.run(override_guards=True).status == "completed"
        bench.want({f"q{number}@box.example": "Ann" for number in range(251)})
        assert bench.run().accepted == 1, "it was let through last time"
        bench.want({f"q{number}@box.example": "Ann" for number in range(600)})
        assert "600 people" in str(bench.run().error)


def test_one_person_is_told_as_one(on_duckdb: MakeBench) -> None:
    with on_duckdb(guards=Guards(largest_removal_share=0.1, removals_always_allowed=0)) as bench:
        bench.want({PEOPLE[0]: "Ann"})
        bench.run()
        bench.want({})
        assert bench.planned().guards == ["The source is empty, and 1 person would be taken out."]
        bench.want({PEOPLE[1]: "Ann"})
        (said,) = bench.planned().guards
        assert said.startswith("1 of 1 person would be taken out;")


def test_a_required_field_that_most_lack_stops_the_sync(a_bench: MakeBench) -> None:
    with a_bench(fields={"NAME": {"column": "name", "required": True}}) as bench:
        bench.want(dict.fromkeys(PEOPLE, "") | {PEOPLE[0]: "Ann"})
        assert "NAME is required and has no value for 11 of 12 people" in str(bench.run().error)
        bench.want(dict.fromkeys(PEOPLE, "Ann") | {PEOPLE[0]: ""})
        report = bench.run()
        assert (report.accepted, report.codes) == (11, {"required_field_missing": 1})


def test_a_column_that_changed_its_type_stops_the_sync(a_bench: MakeBench) -> None:
    with a_bench() as bench:
        bench.want({PEOPLE[0]: "Ann"})
        bench.run()
        bench.execute(
            "CREATE TABLE crm.numbered AS SELECT email, 7 AS name, profile_id FROM crm.wanted",
            "DROP TABLE crm.wanted",
            "ALTER TABLE crm.numbered RENAME TO wanted",
        )
        assert "name was TEXT and is INTEGER" in str(bench.run().error)
        assert bench.run(override_guards=True).status == "completed"
        assert bench.run().status == "completed"


def test_guards_that_are_open_let_everything_through(a_bench: MakeBench) -> None:
    guards = OPEN.model_copy(update={"largest_size_change": None, "schema_changes": "allow"})
    assert isinstance(guards, Guards)
    with a_bench(guards=guards) as bench:
        bench.want(HUNDRED)
        for _ in range(3):
            bench.run()
        bench.want({**HUNDRED, **{f"q{number}@box.example": "Ann" for number in range(200)}})
        assert bench.run().status == "completed"


def test_every_run_and_batch_is_in_the_audit(a_bench: MakeBench) -> None:
    with a_bench() as bench:
        bench.want(dict.fromkeys(PEOPLE, "Ann"))
        bench.memory.bad = {PEOPLE[0]}
        bench.run()
        bench.run()
        rows = bench.ask("SELECT status, adds, accepted, rejected FROM delivery.runs ORDER BY started_at")
        assert rows == [("partial", 12, 11, 1), ("completed", 0, 0, 0)]
        ((batches, sent, accepted),) = bench.ask("SELECT count(*), sum(rows), sum(accepted) FROM delivery.batches")
        assert (batches, sent, accepted) == (3 + 4, 12 + 11, 11)  # fields, and then membership of those taken


def test_the_audit_grows_old(a_bench: MakeBench) -> None:
    with a_bench(rules={"keep_days": 30}) as bench:
        bench.want({PEOPLE[0]: "Ann"})
        bench.run()
        long_ago = now() - timedelta(days=31)
        bench.execute(
            *(
                f"UPDATE delivery.{table} SET {column} = '{long_ago.isoformat()}'"
                for table, column in (("runs", "finished_at"), ("batches", "started_at"), ("outcomes", "settled_at"))
            )
        )
        bench.want({PEOPLE[0]: "Ann", PEOPLE[1]: "Bob"})
        bench.run()
        for table, rows in (("runs", 1), ("batches", 2), ("outcomes", 1)):
            assert bench.ask(f"SELECT count(*) FROM delivery.{table}") == [(rows,)]
        assert bench.ask("SELECT count(*) FROM delivery.acknowledged") == [(2,)]


def test_another_audience_than_last_time_stops_the_sync(a_bench: MakeBench) -> None:
    """It is empty, or another's: only changes would go into it, and whoever was acknowledged would be missing."""
    with a_bench() as bench:
        bench.connector = Renamed
        Renamed.numbers = iter("1122")
        bench.want({"ana@box.example": "Ana"})
        assert bench.run().status == "completed"
        bench.want({"ana@box.example": "Ana", "ben@box.example": "Ben"})
        assert bench.run().status == "completed"
        bench.want({"ana@box.example": "Ana", "ben@box.example": "Ben", "cy@box.example": "Cy"})
        report = bench.run()
        assert (report.status, report.accepted) == ("stopped", 0)
        assert "another one than last time: audience 2, and it was audience 1" in str(report.error)
        assert report.planned is not None
        assert list(report.planned.tripped) == ["audience"]
        assert bench.memory.members == {"ana@box.example", "ben@box.example"}
        assert bench.run(override_guards=True).accepted == 1


def test_another_destination_than_last_time_stops_the_sync(a_bench: MakeBench) -> None:
    """The ids that were acknowledged are other people's there."""
    with a_bench() as bench:
        bench.want({"ana@box.example": "Ana"})
        assert bench.run().status == "completed"
        calls = bench.memory.calls
        bench.delivery.sync = bench.delivery.sync.model_copy(update={"destination": "elsewhere"})
        bench.want({"ana@box.example": "Anna"})
        report = bench.run()
        assert (report.status, bench.memory.calls) == ("stopped", calls)
        assert "what was acknowledged is of memory" in str(report.error)
        assert bench.planned(override_guards=True).tripped == {"destination": report.planned.tripped["destination"]}
        assert bench.run().status == "completed"


def test_another_match_stops_the_sync(a_bench: MakeBench) -> None:
    """By another key or column nobody is known: whoever is there would be sent anew, and be taken out as another."""
    with a_bench() as bench:
        bench.want({"ana@box.example": "Ana", "ben@box.example": "Ben"})
        assert bench.run().status == "completed"
        calls = bench.memory.calls
        for match in ({"phone": "name"}, {"email": "name"}):
            bench.delivery.sync = bench.delivery.sync.model_copy(update={"match": match})
            report = bench.run()
            assert (report.status, bench.memory.calls) == ("stopped", calls)
            assert report.planned is not None
            assert list(report.planned.tripped) == ["match"]
        known = "by email (column name) now, and who is known to be there (2 people) by email (column email)"
        assert known in str(report.error)
        assert "2 people would be sent anew, and 2 people taken out" in str(report.error)
        assert bench.run(override_guards=True).status == "completed"
        assert bench.memory.members == {"ana", "ben"}
        assert bench.run().status == "completed"


def test_another_column_with_the_same_values_is_the_same_match(a_bench: MakeBench) -> None:
    with a_bench() as bench:
        bench.want({"ana@box.example": "Ana"})
        bench.run()
        bench.execute("ALTER TABLE crm.wanted RENAME COLUMN email TO address")
        bench.delivery.sync = bench.delivery.sync.model_copy(update={"match": {"email": "address"}})
        assert bench.planned().tripped == {}


def test_a_store_of_before_learns_what_is_matched_by(a_bench: MakeBench) -> None:
    with a_bench() as bench:
        bench.want({"ana@box.example": "Ana"})
        bench.run()
        bench.execute("ALTER TABLE delivery.syncs DROP COLUMN matched_by")
        assert bench.run().status == "completed"
        assert bench.ask("SELECT matched_by FROM delivery.syncs") == [('{"email":"email"}',)]


class Renamed(MemoryDestination):
    """The vendor finds another audience by the same name."""

    numbers: ClassVar[Iterator[str]] = iter(())

    def ensure_audience(self, audience: str) -> str:
        return f"audience {next(self.numbers)}"


def test_what_a_killed_run_sent_is_not_taken_for_another_destinations(a_bench: MakeBench) -> None:
    with a_bench(mode="upsert", into=None) as bench:
        bench.want(dict.fromkeys(PEOPLE, "Ann"))
        bench.killed(3, after_work=True)
        bench.delivery.sync = bench.delivery.sync.model_copy(update={"destination": "elsewhere"})
        calls = bench.memory.calls
        for _ in range(2):
            report = bench.run()
            assert report.planned is not None
            assert (report.status, bench.memory.calls) == ("stopped", calls)
            assert "goes to elsewhere, and what was acknowledged is of memory" in report.planned.tripped["destination"]
        assert bench.run(override_guards=True).status == "completed"


def test_a_store_of_before_learns_where_a_sync_goes(a_bench: MakeBench) -> None:
    with a_bench() as bench:
        bench.want(dict.fromkeys(PEOPLE, "Ann"))
        bench.run()
        bench.execute("ALTER TABLE delivery.syncs DROP COLUMN destination")
        bench.delivery.sync = bench.delivery.sync.model_copy(update={"destination": "elsewhere"})
        assert "destination" in bench.planned().tripped
        bench.delivery.sync = bench.delivery.sync.model_copy(update={"destination": "memory"})
        assert bench.planned().operations == 0
        assert bench.ask("SELECT destination FROM delivery.syncs") == [("memory",)]


def test_another_destination_stops_the_sync_also_where_nothing_changed(a_bench: MakeBench) -> None:
    with a_bench(mode="upsert", into=None) as bench:
        bench.want(dict.fromkeys(PEOPLE, "Ann"))
        bench.run()
        bench.delivery.sync = bench.delivery.sync.model_copy(update={"destination": "elsewhere"})
        for _ in range(2):
            report = bench.run()
            assert report.status == "stopped"
            assert "what was acknowledged is of memory" in str(report.error)
        for override in (True, False):
            assert bench.run(override_guards=override).status == "completed"


def test_an_audience_of_another_name_stops_the_sync_where_nothing_changed(a_bench: MakeBench) -> None:
    with a_bench() as bench:
        bench.want(dict.fromkeys(PEOPLE, "Ann"))
        bench.run()
        before = bench.delivery.sync
        bench.delivery.sync = before.model_copy(update={"into": "Others"})
        for _ in range(2):
            report = bench.run()
            assert (report.status, report.requests) == ("stopped", 0)
            assert "into 'Others', and whoever was acknowledged was put into 'Everyone'" in str(report.error)
        bench.delivery.sync = before
        assert bench.run().status == "completed"
        bench.delivery.sync = before.model_copy(update={"into": "Others"})
        for override in (True, False):
            assert bench.run(override_guards=override).status == "completed"


def test_a_sync_that_gets_an_audience_does_not_go_on_as_if_all_were_in(a_bench: MakeBench) -> None:
    with a_bench(mode="upsert", into=None) as bench:
        bench.want({PEOPLE[0]: "Ann"})
        bench.run()
        bench.delivery.sync = bench.delivery.sync.model_copy(update={"into": "VIP"})
        bench.want({PEOPLE[0]: "Ann", PEOPLE[1]: "Bob"})
        report = bench.run()
        assert (report.status, report.accepted) == ("stopped", 0)
        assert "was put into no audience" in str(report.error)


def test_a_store_of_before_learns_which_audience_it_is(a_bench: MakeBench) -> None:
    with a_bench() as bench:
        bench.want({PEOPLE[0]: "Ann"})
        bench.run()
        bench.execute("ALTER TABLE delivery.syncs DROP COLUMN audience")
        assert bench.run().status == "completed"
        assert bench.ask("SELECT audience FROM delivery.syncs") == [('"Everyone"',)]
