"""Delivery: whatever is refused and wherever a run dies, the destination ends as it should."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from millstream.destinations.sync import Guards, Sync
from millstream.state.errors import ConfigurationError, GuardError
from tests.destinations.bench import PEOPLE, MakeBench
from tests.destinations.memory import MemoryDestination

states = st.dictionaries(st.sampled_from(PEOPLE), st.sampled_from(["Ann", "Bob", "Cy"]), max_size=12)
kills = st.none() | st.tuples(st.integers(1, 8), st.booleans())


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    history=st.lists(st.tuples(states, kills), min_size=1, max_size=4),
    bad=st.sets(st.sampled_from(PEOPLE)),
    whole=st.booleans(),
)
def test_the_destination_ends_as_desired_wherever_runs_die_and_whatever_is_refused(
    a_bench: MakeBench,
    history: list[tuple[dict[str, str], tuple[int, bool] | None]],
    bad: set[str],
    whole: bool,
) -> None:
    with a_bench() as bench:
        bench.memory.bad, bench.memory.whole_batch = bad, whole
        wanted: dict[str, str] = {}
        for wanted, kill in history:
            bench.want(wanted)
            if kill:
                bench.killed(kill[0], after_work=kill[1])
            else:
                bench.run()
        bench.run()
        good = {email: name for email, name in wanted.items() if email not in bad}
        assert bench.memory.members == set(good)
        assert {email: bench.memory.people[email]["NAME"] for email in good} == good
        listed = bench.journal.rejected_rows("sync")
        assert {row["profile_id"] for row in listed if row["operation"] == "add"} >= {
            f"profile-{email}" for email in wanted if email in bad
        }


def test_a_run_over_nothing_new_makes_no_call(a_bench: MakeBench) -> None:
    with a_bench() as bench:
        bench.want(dict.fromkeys(PEOPLE, "Ann"))
        assert bench.run().accepted == len(PEOPLE)
        calls = bench.memory.calls
        report = bench.run()
        assert (report.status, report.planned.unchanged, bench.memory.calls) == ("completed", len(PEOPLE), calls)


def test_a_refused_row_is_listed_and_tried_again_when_it_changes(a_bench: MakeBench) -> None:
    with a_bench() as bench:
        bench.memory.bad = {PEOPLE[0]}
        bench.want({PEOPLE[0]: "Ann", PEOPLE[1]: "Bob"})
        report = bench.run()
        assert (report.status, report.accepted, report.rejected, report.codes) == ("partial", 1, 1, {"bad": 1})
        (row,) = bench.journal.rejected_rows("sync")
        assert (row["code"], row["fault"], row["attempts"]) == ("bad", "data", 1)
        assert PEOPLE[0] not in str(row["match_hash"])
        assert bench.run().planned.waiting == 1
        bench.memory.bad = set()
        bench.want({PEOPLE[0]: "Anna", PEOPLE[1]: "Bob"})
        assert bench.run().accepted == 1
        assert bench.journal.rejected_rows("sync") == []


def test_someone_whose_address_changed_is_taken_out_by_the_old_one(a_bench: MakeBench) -> None:
    with a_bench() as bench:
        bench.want({"old@box.example": "Ann"})
        bench.run()
        bench.want({"new@box.example": "Ann"})
        bench.run()
        assert bench.memory.members == {"new@box.example"}


def test_too_many_removals_stop_the_sync_before_its_first_request(a_bench: MakeBench) -> None:
    guards = Guards(largest_removal_share=0.5, removals_always_allowed=2)
    with a_bench(guards=guards) as bench:
        bench.want(dict.fromkeys(PEOPLE, "Ann"))
        bench.run()
        calls = bench.memory.calls
        bench.want({PEOPLE[0]: "Ann"})
        report = bench.run()
        assert report.status == "stopped"
        assert isinstance(report.error, GuardError)
        assert "11 of 12" in str(report.error)
        assert bench.memory.calls == calls
        assert bench.run(override_guards=True).accepted == 11
        assert bench.memory.members == {PEOPLE[0]}


def test_an_empty_source_takes_nobody_out(a_bench: MakeBench) -> None:
    with a_bench(guards=Guards()) as bench:
        bench.want({PEOPLE[0]: "Ann"})
        bench.run()
        bench.want({})
        assert "empty" in str(bench.run().error)
        assert bench.memory.members == {PEOPLE[0]}


def test_consent_fails_closed(a_bench: MakeBench) -> None:
    with a_bench(consent={"channel": "email"}) as bench:
        bench.want({PEOPLE[0]: "Ann", PEOPLE[1]: "Bob", PEOPLE[2]: "Cy"})
        with bench.store.open() as connection:
            connection.execute(
                "CREATE SCHEMA customers; CREATE TABLE customers.profile_consents"
                " (profile_id TEXT, channel TEXT, topic TEXT, status TEXT)"
            )
            connection.executemany(
                "INSERT INTO customers.profile_consents VALUES (?, 'email', 'marketing', ?)",
                [(f"profile-{PEOPLE[0]}", "granted"), (f"profile-{PEOPLE[1]}", "denied")],
            )
        report = bench.run()
        assert (report.accepted, report.suppressed, bench.memory.members) == (1, 2, {PEOPLE[0]})
        with bench.store.open() as connection:
            reasons = dict(connection.execute("SELECT profile_id, reason FROM delivery.suppressed").fetchall())
        assert reasons == {
            f"profile-{PEOPLE[1]}": "consent: denied",
            f"profile-{PEOPLE[2]}": "consent: no consent record",
        }


def test_someone_who_withdraws_consent_is_taken_out(a_bench: MakeBench) -> None:
    with a_bench(consent={"channel": "email"}) as bench:
        bench.want({PEOPLE[0]: "Ann", PEOPLE[1]: "Bob"})
        with bench.store.open() as connection:
            connection.execute(
                "CREATE SCHEMA customers; CREATE TABLE customers.profile_consents AS"
                " SELECT profile_id, 'email' AS channel, 'marketing' AS topic, 'granted' AS status FROM crm.wanted"
            )
        bench.run()
        with bench.store.open() as connection:
            connection.execute(
                "UPDATE customers.profile_consents SET status = 'denied' WHERE profile_id = ?", [f"profile-{PEOPLE[1]}"]
            )
        bench.run()
        assert bench.memory.members == {PEOPLE[0]}


def test_a_sync_does_not_run_twice_at_once(a_bench: MakeBench) -> None:
    with a_bench() as bench:
        bench.want({PEOPLE[0]: "Ann"})
        with bench.journal.lease("sync sync", "another-run"):
            assert bench.run().status == "skipped"
        assert bench.memory.calls == 0
        assert bench.run().accepted == 1


def test_update_never_creates_and_add_never_takes_out(a_bench: MakeBench) -> None:
    with a_bench(mode="update", into=None) as bench:
        bench.memory.people = {PEOPLE[0]: {}}
        bench.want({PEOPLE[0]: "Ann", PEOPLE[1]: "Bob"})
        report = bench.run()
        assert (report.accepted, report.rejected) == (1, 1)
        assert bench.memory.people == {PEOPLE[0]: {"NAME": "Ann"}}
    with a_bench(mode="add") as bench:
        bench.want({PEOPLE[0]: "Ann"})
        bench.run()
        bench.want({PEOPLE[1]: "Bob"})
        bench.run()
        assert bench.memory.members == {PEOPLE[0], PEOPLE[1]}


def test_remove_takes_out_once(a_bench: MakeBench) -> None:
    with a_bench(mode="remove") as bench:
        bench.memory.members = {PEOPLE[0], PEOPLE[1]}
        bench.want({PEOPLE[0]: "Ann"})
        assert bench.run().accepted == 1
        assert bench.memory.members == {PEOPLE[1]}
        assert bench.run().planned.operations == 0


def test_a_row_that_does_not_fit_its_field_is_not_sent(a_bench: MakeBench) -> None:
    with a_bench() as bench:
        bench.want({PEOPLE[0]: "A" * 201, PEOPLE[1]: "Bob"})
        report = bench.run()
        assert (report.accepted, report.codes) == (1, {"too_long": 1})
        assert bench.memory.members == {PEOPLE[1]}


def test_a_plan_sends_nothing_and_leaves_nothing(a_bench: MakeBench) -> None:
    with a_bench() as bench:
        bench.want({PEOPLE[0]: "Ann"})
        report = bench.delivery.plan("run").plan
        assert (report.adds, bench.memory.calls, list(bench.delivery.plans.glob("*"))) == (1, 0, [])
        assert bench.journal.unsettled_plans("sync") == []


def test_a_column_that_is_not_there_is_named_with_those_that_are(a_bench: MakeBench) -> None:
    with a_bench(fields={"NAME": "nmae"}) as bench:
        bench.want({PEOPLE[0]: "Ann"})
        with pytest.raises(ConfigurationError, match=r"'nmae'.*email, name, profile_id"):
            bench.run()


def test_who_was_written_and_not_enrolled_when_a_run_died_is_only_enrolled(a_bench: MakeBench) -> None:
    with a_bench() as bench:
        bench.want(dict.fromkeys(PEOPLE, "Ann"))
        bench.killed(2, after_work=False)  # the first batch's fields are there, its memberships are not
        assert (len(bench.memory.sent), bench.memory.members) == (4, set())
        bench.run()
        assert bench.memory.members == set(PEOPLE)
        again = [match_value for match_value, fields in bench.memory.sent[4:] if fields]
        assert sorted(again) == sorted(set(PEOPLE) - {match_value for match_value, _ in bench.memory.sent[:4]})


class Attentive(MemoryDestination):
    """Looks at what the sync fills before it makes the audience, as some vendors' audiences depend on that."""

    told: ClassVar[list[tuple[str, ...] | None]] = []

    def ensure_audience(self, audience: str) -> str:
        self.told.append(self.plan.fields if self.plan else None)
        return super().ensure_audience(audience)


def test_what_is_sent_is_known_before_the_audience_is_made(a_bench: MakeBench) -> None:
    with a_bench() as bench:
        bench.connector = Attentive
        bench.want({"ana@box.example": "Ana"})
        bench.run()
    assert Attentive.told.pop() == ("NAME",)


def test_spaces_around_the_name_of_an_audience_do_not_count() -> None:
    """Vendors cut them off: the audience would be looked for by one name and be there under another."""
    facts = {"destination": "memory", "table": "crm.wanted", "consent": "not_needed"}
    assert Sync.model_validate({**facts, "into": " VIP \n"}).audience_name == "VIP"
    with pytest.raises(ValidationError):
        Sync.model_validate({**facts, "into": "  "})


def test_the_rows_of_a_plan_are_numbered_in_order_however_many_they_are(on_duckdb: MakeBench, tmp_path: Path) -> None:
    """A batch goes by the same name when it is planned again, and a saved plan by the same hash."""
    with on_duckdb() as bench:
        numbers = "SELECT 'p' || n || '@box.example' AS email, 'Ann' AS name, CAST(NULL AS TEXT) AS profile_id"
        source = "generate_series(1, 300000) AS series(n)"
        bench.execute("CREATE SCHEMA IF NOT EXISTS crm", f"CREATE TABLE crm.wanted AS {numbers} FROM {source}")
        bench.killed(1, after_work=False)
        [path] = tmp_path.rglob("*.parquet")
    plan = pq.read_table(path, columns=["number", "match_value"])
    assert plan["number"].to_pylist() == list(range(300_000))
    assert plan["match_value"].to_pylist() == sorted(f"p{n}@box.example" for n in range(1, 300_001))


def test_a_store_whose_acknowledgements_had_a_key_loses_it_and_nothing_else(on_duckdb: MakeBench) -> None:
    with on_duckdb() as bench:
        bench.want({PEOPLE[0]: "Ann", PEOPLE[1]: "Bob"})
        bench.run()
        bench.execute("ALTER TABLE delivery.acknowledged ADD PRIMARY KEY (sync, match_value)")
        bench.want({PEOPLE[1]: "Bobby", PEOPLE[2]: "Cy"})
        plan = bench.planned()
        assert (plan.adds, plan.updates, plan.removes) == (1, 1, 1)
        known = bench.ask("SELECT match_value FROM delivery.acknowledged ORDER BY match_value")
        assert known == [(PEOPLE[1],), (PEOPLE[2],)]
        keys = "SELECT count(*) FROM duckdb_constraints() WHERE constraint_type = 'PRIMARY KEY'"
        assert bench.ask(f"{keys} AND table_name = 'acknowledged'") == [(0,)]
