"""The benchmarks run, at a tiny size. How long they take is nobody's promise here."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from benchmarks.__main__ import main, measure
from benchmarks.identity_people import make_store
from benchmarks.measuring import Comparison, DifferentResultsError, Meter, Side, compare
from benchmarks.report import Options, header, show

pytestmark = pytest.mark.slow

PHASES = {
    "ingest": {("ingest", "contacts"): True, ("ingest", "all streams"): False},
    "identity": {
        (rules, phase): True
        for rules in ("identity", "identity, shipped rules")
        for phase in ("full", "0.1 % new rows")
    },
    "delivery": {("delivery", phase): True for phase in ("everybody new", "1 % changed, 1 % gone", "nothing changed")},
}
"""What each measures, and whether beside a floor."""

SMALL = Options(people=60, identifiers=1000, repeat=1)


def counting(result: int) -> Side:
    """A side with one phase that comes to this result."""

    def run(folder: Path, meter: Meter) -> None:
        with meter.phase("to a million") as phase:
            phase.rows = sum(1 for _ in range(1_000_000))
            phase.result = result

    return run


@pytest.fixture(scope="module", params=PHASES)
def measured(request: pytest.FixtureRequest) -> tuple[str, list[Comparison]]:
    """A benchmark, and what it measured."""
    return request.param, measure(SMALL, [request.param])


def test_each_benchmark_measures_its_phases_beside_the_floor(measured: tuple[str, list[Comparison]]) -> None:
    benchmark, comparisons = measured

    assert {(one.benchmark, one.phase): bool(one.floor) for one in comparisons} == PHASES[benchmark]
    for one in comparisons:
        assert len(one.ours) == 1
        assert all(phase.rows > 0 and phase.wall > 0 for phase in [*one.ours, *one.floor])


def test_json_has_the_machine_the_versions_and_the_ratios(
    measured: tuple[str, list[Comparison]], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    benchmark, comparisons = measured
    asked: list[tuple[Options, list[str]]] = []

    def measure(options: Options, wanted: list[str]) -> list[Comparison]:
        asked.append((options, wanted))
        return comparisons

    monkeypatch.setattr("benchmarks.__main__.measure", measure)
    main([benchmark, "--people", "30", "--repeat", "1", "--json"])

    # Once with next to nothing before, so that imports are not counted.
    assert asked == [(SMALL, [benchmark]), (Options(30, 300, 0, 1), [benchmark])]
    printed = json.loads(capsys.readouterr().out)
    assert printed["machine"]["cores"]
    assert {"python", "duckdb", "dlt"} <= set(printed["versions"])
    assert printed["options"] == {"people": 30, "identifiers": 300, "latency_ms": 0, "repeat": 1, "alone": False}
    assert [(one["benchmark"], one["phase"]) for one in printed["results"]] == list(PHASES[benchmark])
    for ratio in ("wall_ratio", "cpu_ratio", "memory_ratio"):
        assert all(one[ratio] > 0 for one in printed["results"] if one["floor"])


def test_the_table_names_each_phase_and_its_rows(capsys: pytest.CaptureFixture[str]) -> None:
    show(header(Options()), compare("counting", counting(1), counting(1), repeat=3))

    printed = capsys.readouterr().out
    assert "to a million" in printed
    assert "1,000,000" in printed
    assert "versions: python" in printed


def test_the_one_that_goes_first_changes() -> None:
    order: list[str] = []

    def side(name: str) -> Side:
        def run(folder: Path, meter: Meter) -> None:
            order.append(name)
            counting(1)(folder, meter)

        return run

    (compared,) = compare("counting", side("ours"), side("floor"), repeat=3)

    assert order == ["ours", "floor", "floor", "ours", "ours", "floor"]
    assert (len(compared.ours), len(compared.floor)) == (3, 3)


def test_sides_that_come_to_different_results_are_not_compared() -> None:
    with pytest.raises(DifferentResultsError, match="to a million"):
        compare("counting", counting(1), counting(2), repeat=1)


def test_made_up_people_have_long_chains_hot_values_and_many_sizes(tmp_path: Path) -> None:
    make_store(tmp_path / "store.duckdb", 200_000)

    with duckdb.connect(str(tmp_path / "store.duckdb")) as connection:

        def numbers(query: str) -> list[int]:
            return [number for (number,) in connection.execute(query).fetchall()]

        (rows,) = numbers("SELECT count(*) FROM customers.identifiers")
        hot = numbers("SELECT count(*) FROM customers.identifiers GROUP BY kind, value HAVING count(*) > 1000 LIMIT 9")
        sizes = numbers("SELECT count(*) FROM customers.identifiers WHERE kind = 'user_id' GROUP BY value")
        chain = numbers("SELECT count(DISTINCT record_id) FROM customers.identifiers WHERE value LIKE 'chain-%'")
    assert rows == pytest.approx(200_000, rel=0.02)
    assert hot
    assert min(sizes) == 1
    assert max(sizes) > 50
    assert chain > [1000]


def test_a_wrong_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["ingset"])
    assert "ingest, identity, delivery" in capsys.readouterr().err
