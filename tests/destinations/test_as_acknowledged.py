"""Who is exactly as acknowledged: a plan carries them without their fields, and nothing else is different."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from hashlib import md5
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from millstream.destinations.planning import PlanRequest, differences, make_plan
from millstream.state.store import Connection, write_parquet
from tests.destinations.bench import PEOPLE, MakeBench

REQUIRED = {"NAME": {"column": "name", "required": True}}


def test_of_two_rows_of_one_person_the_same_one_is_sent_in_every_run(a_bench: MakeBench) -> None:
    with a_bench() as bench:
        bench.want({PEOPLE[0]: "Ann", PEOPLE[1]: "Bob"})
        bench.execute(f"INSERT INTO crm.wanted VALUES ('{PEOPLE[0]}', 'Zoe', 'profile-{PEOPLE[0]}')")
        assert bench.run().accepted == 2
        for _ in range(2):
            plan = bench.planned()
            assert (plan.operations, plan.wanted, plan.unchanged) == (0, 2, 2)


def test_those_as_acknowledged_count_for_required_fields(a_bench: MakeBench) -> None:
    with a_bench(fields=REQUIRED) as bench:
        bench.want(dict.fromkeys(PEOPLE, "Ann"))
        bench.run()
        bench.want(dict.fromkeys(PEOPLE, "Ann") | dict.fromkeys(PEOPLE[:5], ""))
        plan = bench.planned()
        assert (plan.guards, plan.updates, plan.unchanged) == ([], 5, 7)


@pytest.mark.parametrize("space", [" ", "\u3000"])
def test_spaces_around_a_match_value_are_cut_off(on_duckdb: MakeBench, space: str) -> None:
    with on_duckdb() as bench:
        bench.want({f"{space}{PEOPLE[0]}{space}": "Ann", space: "Nobody"})
        plan = bench.planned()
        assert (plan.adds, plan.unmatched) == (1, 1)
        bench.want({PEOPLE[0].upper(): "Ann"})
        assert bench.planned().operations == 0


def test_who_changed_among_those_as_acknowledged_is_sent_and_who_is_gone_is_taken_out(a_bench: MakeBench) -> None:
    with a_bench() as bench:
        bench.want(dict.fromkeys(PEOPLE, "Ann"))
        bench.run()
        bench.want(dict.fromkeys(PEOPLE[1:], "Ann") | {PEOPLE[1]: "Bob"})
        plan = bench.planned()
        assert plan.counts == {"add": 0, "update": 1, "remove": 1}
        assert plan.unchanged == len(PEOPLE) - 2
        assert bench.memory.members == set(PEOPLE[1:])
        assert bench.ask("SELECT count(*) FROM delivery.acknowledged") == [(len(PEOPLE) - 1,)]


def test_a_plan_that_is_made_anew_leaves_nothing_of_the_first(
    on_duckdb: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[Path] = []

    def once_too_much(connection: Connection, query: str, path: Path) -> None:
        write_parquet(connection, query, path)
        tries.append(path)
        if len(tries) == 1:
            raise duckdb.OutOfMemoryException("could not allocate a block")

    monkeypatch.setattr(differences, "write_parquet", once_too_much)
    with on_duckdb() as bench:
        bench.want({"ana@box.example": "Ana"})
        assert bench.run().accepted == 1
        assert len(set(tries)) == 2
        assert list(tries[0].parent.iterdir()) == []


def test_a_run_with_nothing_to_do_writes_no_file(on_duckdb: MakeBench, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Path] = []
    with on_duckdb() as bench:
        bench.want(dict.fromkeys(PEOPLE, "Ann"))
        bench.run()
        monkeypatch.setattr(differences, "write_parquet", lambda _, query, path: written.append(path))
        plan = bench.planned()
    assert (plan.operations, plan.unchanged, written) == (0, len(PEOPLE), [])


def test_what_is_acknowledged_is_kept_as_plain_text(on_duckdb: MakeBench) -> None:
    with on_duckdb() as bench:
        bench.want({f"p{number}@box.example": "Ann" for number in range(2_000)})
        bench.run()
        kinds = bench.ask(
            """
            SELECT DISTINCT compression FROM pragma_storage_info('delivery.acknowledged')
            WHERE column_name = 'match_value' AND segment_type = 'VARCHAR'
            """
        )
    assert kinds == [("Uncompressed",)]


def test_a_plan_has_a_hash_of_each_field_whatever_it_is_called(a_bench: MakeBench, tmp_path: Path) -> None:
    columns = {"NAME": "name", "a.b": "name", 'say "so"': "email", "{n}": "number", "none": "nothing"}
    sql = "SELECT *, 7 AS number, CAST(NULL AS TEXT) AS nothing FROM crm.wanted"
    with a_bench(table=None, sql=sql, fields=columns) as bench:
        bench.want({"ann@box.example": "Änn", "bob@box.example": ""})
        with bench.store.rehearsal() as connection:
            request = PlanRequest(
                name="sync", sync=bench.delivery.sync, run_id="run", now=datetime.now(UTC), folder=tmp_path
            )
            path = make_plan(connection, request).path
    assert path is not None
    rows = pq.read_table(path).to_pylist()
    assert [row["number"] for row in rows] == [0, 1]
    for row in rows:
        fields = json.loads(row["fields"])
        assert fields.keys() == columns.keys()
        hashed = {name: value and md5(str(value).encode()).hexdigest()[:8] for name, value in fields.items()}
        hashed |= {name: md5(b"").hexdigest()[:8] for name, value in fields.items() if value == ""}
        assert json.loads(row["field_hashes"]) == hashed
