"""Trait files that are wrong: they fail alone, with the values they had; and functions that take too long."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from millstream.state.errors import ConfigurationError
from millstream.state.traits.compute import describe
from millstream.state.traits.contract import Context, Result, Trait, TraitSet
from millstream.state.traits.registry import own_sets, shipped_sets
from millstream.state.traits.report import DescribeReport
from millstream.state.traits.rules import TraitRules
from millstream.state.traits.shipped_names import shipped_names
from millstream.state.traits.usable import known_traits, usable_sets
from tests.state.conftest import Customers
from tests.state.trait_world import NOW, TraitWorld

ONLY = TraitRules(without=tuple(name for name in shipped_names() if name != "purchases"))
WRONG = "/* description: Wrong. */ SELECT 1"


@pytest.fixture
def world(customers: Customers, tmp_path: Path) -> TraitWorld:
    world = TraitWorld(customers)
    world.person("ana", city="Graz")
    world.bought("ana")
    world.describe([])
    (tmp_path / "traits").mkdir()
    return world


def text(trait: str, value: str, *, reads: str = "profiles") -> str:
    return f"""/*
description: Of ours.
inputs: [{reads}]
traits:
  {trait}: {{type: number, description: One.}}
*/
SELECT profile_id, {value} AS {trait} FROM {reads}
"""


def write(folder: Path, **files: str) -> None:
    for name, content in files.items():
        (folder / "traits" / f"{name.replace('_py', '.py') if name.endswith('_py') else f'{name}.sql'}").write_text(
            content
        )


def describe_files(world: TraitWorld, folder: Path, rules: TraitRules = ONLY) -> DescribeReport:
    connection = world.customers.connection
    sets = usable_sets(rules, root=folder, known=known_traits(connection))
    return describe(connection, sets, rules, run_id="run", now=NOW, full=True)


def statuses(report: DescribeReport) -> dict[str, str]:
    return {one.name: one.status for one in report.sets}


def test_a_file_that_became_wrong_keeps_its_values_and_stops_no_other(world: TraitWorld, tmp_path: Path) -> None:
    write(tmp_path, one=text("a", "1"), two=text("b", "2"), on_one=text("c", "a + 2", reads="one_traits"))
    assert describe_files(world, tmp_path).ok
    write(tmp_path, one=WRONG, two=text("b", "3"))
    report = describe_files(world, tmp_path)

    assert statuses(report) == {"purchases": "computed", "one": "failed", "two": "computed", "on_one": "computed"}
    assert report.failed[0].message.startswith("traits/one.sql:1: ")
    assert world.values("a", "b", "c") == {"ana": (1.0, 3.0, 3.0)}
    write(tmp_path, one=text("a", "5"))
    assert describe_files(world, tmp_path).ok
    assert world.values("a", "b", "c") == {"ana": (5.0, 3.0, 7.0)}


def test_a_new_file_that_is_wrong_fails_with_what_builds_on_it(world: TraitWorld, tmp_path: Path) -> None:
    write(tmp_path, one=WRONG, two=text("b", "2"), on_one=text("c", "a + 2", reads="one_traits"))
    report = describe_files(world, tmp_path)
    assert statuses(report) == {"purchases": "computed", "one": "failed", "two": "computed", "on_one": "failed"}
    assert [one.message for one in report.failed][1] == "It builds on one, which has no values yet."


def test_in_place_of_a_shipped_set_a_wrong_file_keeps_the_values_of_that(world: TraitWorld, tmp_path: Path) -> None:
    assert describe_files(world, tmp_path).ok
    write(tmp_path, purchases=WRONG)
    assert statuses(describe_files(world, tmp_path)) == {"purchases": "failed"}
    assert world.values("orders") == {"ana": (1.0,)}


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"late": text("a", "2")}, r"traits/late.sql: the trait 'a' is computed by traits/one.sql"),
        ({"early": text("a", "2")}, r"traits/early.sql: the trait 'a' is computed by traits/one.sql"),
        ({"late": text("orders", "2")}, r"traits/late.sql: the trait 'orders' is computed by shipped/purchases.sql"),
        ({"late": text("x", "2", reads="nobody_traits")}, r"traits/late.sql: there is no trait set 'nobody'"),
        ({"late": text("x", "2"), "late_py": "TRAITS = None"}, r"traits/late.sql: the set 'late' stands in late.py"),
        ({"late_py": "raise SystemExit(3)"}, r"traits/late.py:1: the file cannot be imported: SystemExit: 3"),
        ({"late_py": "def TRAITS(rules):\n    return rules.nothing"}, r"traits/late.py:2: its TRAITS cannot be called"),
    ],
)
def test_what_does_not_fit_the_others_is_left_out_for_those_that_were_there_before(
    world: TraitWorld, tmp_path: Path, files: dict[str, str], told: str
) -> None:
    write(tmp_path, one=text("a", "1"))
    assert describe_files(world, tmp_path).ok
    write(tmp_path, **files)
    report = describe_files(world, tmp_path)
    [failed] = report.failed
    assert failed.message.startswith(told)
    assert world.values("a", "orders") == {"ana": (1.0, 1.0)}


def test_sets_that_build_on_each_other_in_a_circle_fail_where_they_do(world: TraitWorld, tmp_path: Path) -> None:
    write(tmp_path, one=text("a", "b", reads="two_traits"), two=text("b", "a", reads="one_traits"))
    report = describe_files(world, tmp_path)
    assert statuses(report) == {"purchases": "computed", "one": "failed", "two": "failed"}
    assert any("in a circle" in one.message for one in report.failed)


def test_what_is_wrong_with_the_section_is_an_error(world: TraitWorld, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no shipped trait set 'rfn'"):
        describe_files(world, tmp_path, TraitRules(without=("rfn",)))


def test_where_nothing_is_wrong_all_of_it_is_as_if_read_strictly(world: TraitWorld, tmp_path: Path) -> None:
    write(tmp_path, one=text("a", "1"), two=text("b", "2"))
    found = usable_sets(TraitRules(), root=tmp_path, known={})
    strict = [*shipped_sets(TraitRules()), *own_sets(TraitRules(), tmp_path)]
    assert sorted(one.name for one in found) == sorted(one.name for one in strict)


def function(compute: Callable[[Context], Result]) -> TraitSet:
    traits = {"x": Trait(description="X.", type="number")}
    file = "traits/own.py"
    return TraitSet(name="own", description="Own.", traits=traits, inputs=("profiles",), compute=compute, file=file)


def test_sql_that_a_function_executes_has_the_limit_of_time_of_all_sql(world: TraitWorld) -> None:
    def slow(context: Context) -> Result:
        counted = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 2000000000)"
        context.connection.execute(f"{counted} SELECT max(n) FROM c")
        raise AssertionError("it is stopped before this")

    connection = world.customers.connection
    report = describe(connection, [function(slow)], world.rules, run_id="run", now=NOW, sql_seconds=0.2)
    assert report.failed[0].message.startswith("traits/own.py: The SQL was stopped after 0.2 seconds")


def test_a_function_that_takes_long_is_named_while_it_does(world: TraitWorld, caplog: pytest.LogCaptureFixture) -> None:
    def slow(context: Context) -> Result:
        time.sleep(0.5)
        return Result(pa.table({"profile_id": pa.array([], pa.string()), "x": pa.array([], pa.float64())}))

    connection = world.customers.connection
    with caplog.at_level(logging.WARNING):
        report = describe(connection, [function(slow)], world.rules, run_id="run", now=NOW, sql_seconds=0.2)
    assert report.ok
    assert caplog.messages == ["traits/own.py has run for 0.2 seconds; the run and the store wait until it ends."]


def test_a_function_that_wants_to_end_the_process_fails_alone(world: TraitWorld) -> None:
    def leaving(context: Context) -> Result:
        raise SystemExit(0)

    connection = world.customers.connection
    report = describe(connection, [function(leaving)], world.rules, run_id="run", now=NOW)
    assert report.failed[0].message == "SystemExit."
