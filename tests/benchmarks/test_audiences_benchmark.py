"""The benchmark of audiences runs, at a tiny size, and both of its sides come to the same rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import audiences_floor
from benchmarks.audiences import DAY, FULL, OVERLAP, Plan, Size, main, measure, run_sides
from benchmarks.audiences_people import FIRST_DAY, make_people
from benchmarks.audiences_rules import audiences
from benchmarks.measuring import DifferentResultsError, Meter
from millstream.state.store import DuckDBStore


@pytest.fixture
def duckdb_store(tmp_path: Path) -> DuckDBStore:
    """An empty store in a file."""
    return DuckDBStore(tmp_path / "store.duckdb")


def test_both_sides_are_measured_and_the_memory_of_each_apart(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    comparisons = measure(Plan(Size(400, 4_000), repeat=2, memory=True))

    assert [(one.phase, len(one.ours), len(one.floor)) for one in comparisons] == [
        (FULL, 2, 2), (DAY, 2, 2), (OVERLAP, 2, 0),
    ]  # fmt: skip
    assert comparisons[1].ours[0].rows == 4_040
    for phase in [phase for one in comparisons for phase in (*one.ours, *one.floor)]:
        assert phase.wall > 0
        assert phase.peak_mb > 0

    monkeypatch.setattr("benchmarks.audiences.measure", lambda _: comparisons)
    main(["--people", "400", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["options"] == {"people": 400, "events": 8_000, "audiences": 50, "repeat": 1}
    assert [one["phase"] for one in found["results"]] == [FULL, DAY, OVERLAP]


def test_every_audience_has_members_and_every_sort_of_condition_is_there(duckdb_store: DuckDBStore) -> None:
    with duckdb_store.open() as connection:
        make_people(connection, people=3_000, events=60_000)
        rows = connection.execute(
            f"SELECT audience, count(*) FROM ({audiences_floor.query(list(audiences()))}) GROUP BY audience",
            {"now": FIRST_DAY},
        ).fetchall()
    assert {name for name, _ in rows} == set(audiences())


def test_sides_that_differ_in_one_row_are_not_compared(
    duckdb_store: DuckDBStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with duckdb_store.open() as connection:
        make_people(connection, people=200, events=2_000)
    wrong = {**audiences_floor.CONDITIONS, "vips": "vip OR profile_id = (SELECT min(profile_id) FROM customers.people)"}
    monkeypatch.setattr(audiences_floor, "CONDITIONS", wrong)
    with pytest.raises(DifferentResultsError, match="vips"):
        run_sides(duckdb_store, Size(200, 2_000), {"ours": Meter(), "floor": Meter()})
