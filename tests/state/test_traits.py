"""Computing traits: what is due, what is kept, what fails, and what people then show."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from millstream.state.audiences import Audience
from millstream.state.audiences.select import select_audiences
from millstream.state.audiences.tables import create_audience_tables
from millstream.state.errors import ConfigurationError
from millstream.state.store import write_arrow
from millstream.state.traits.cards import latest_cards
from millstream.state.traits.contract import Calibration, Context, ModelCard, Result, Trait, TraitSet
from millstream.state.traits.report import DescribeReport
from millstream.state.traits.rules import TraitRules
from tests.state.conftest import Customers
from tests.state.trait_world import DAY, NOW, TraitWorld, sql_set

ORDERS = "SELECT profile_id, CAST(count(*) AS DOUBLE) AS orders FROM purchases GROUP BY profile_id"


@pytest.fixture
def world(customers: Customers) -> TraitWorld:
    return TraitWorld(customers)


def orders(**changes: Any) -> TraitSet:
    """A set that counts orders."""
    return replace(sql_set(ORDERS, name="orders", inputs=["purchases"], orders="type: number"), **changes)


def computing(compute: Any, *, name: str = "own", **traits: Trait) -> TraitSet:
    """A set of a function."""
    return TraitSet(name=name, description="Own.", traits=traits, inputs=("profiles",), compute=compute)


def outcome(report: DescribeReport) -> dict[str, str]:
    """Status by set."""
    return {one.name: one.status for one in report.sets}


def message(report: DescribeReport) -> str:
    """Why the one set did not go well."""
    [one] = report.sets
    return one.message


def test_traits_of_a_set_stand_beside_what_records_say(world: TraitWorld) -> None:
    world.person("ana", city="Graz")
    world.person("ben")
    world.bought("ana")
    world.bought("ana")
    report = world.describe([orders()])
    assert report.ok
    assert (report.profiles, report.traits, outcome(report)) == (2, 1, {"orders": "computed"})
    assert world.values("city", "orders") == {"ana": ("Graz", 2.0), "ben": (None, None)}


def test_people_show_without_any_computed_trait(world: TraitWorld) -> None:
    world.person("ana", city="Graz")
    world.resolve()
    assert world.values("city") == {"ana": ("Graz",)}


def test_a_trait_named_like_a_profiles_column_is_prefixed(world: TraitWorld) -> None:
    world.person("ana", city="Graz")
    world.describe([sql_set("SELECT profile_id, 'Linz' AS city FROM profiles", inputs=["profiles"], city="type: text")])
    assert world.values("city", "computed_city") == {"ana": ("Graz", "Linz")}


def test_nothing_later_than_the_run_is_known(world: TraitWorld) -> None:
    world.person("ana")
    world.bought("ana")
    world.bought("ana", ago=-DAY)
    world.describe([orders()])
    assert world.values("orders") == {"ana": (1.0,)}


def test_settings_and_the_time_are_bound_values(world: TraitWorld) -> None:
    world.rules = TraitRules(active_days=7, timezone="Asia/Tokyo")
    world.person("ana")
    world.did("ana", "Signed In", ago=6 * DAY)
    select = """SELECT profile_id, max(happened_at) > $as_of - $active_days * INTERVAL '1' DAY AS is_active,
                       CAST(max(timezone($timezone, happened_at)) AS DATE) AS day FROM events GROUP BY profile_id"""
    world.describe([sql_set(select, is_active="type: boolean", day="type: date")])
    [(active, day)] = world.values("is_active", "day").values()
    assert active is True
    assert f"{day:%Y-%m-%d}" == "2026-06-09"


def test_every_type_is_stored_as_declared(world: TraitWorld) -> None:
    world.person("ana", source="app")
    world.did("ana", "Signed In", ago=DAY)
    select = """SELECT profile_id, count(*) AS a, '7' AS b, max(happened_at) AS c, min(CAST(happened_at AS DATE)) AS d
                FROM events GROUP BY profile_id -- a remark at the end"""
    world.describe([sql_set(select, a="type: text", b="type: number", c="type: timestamp", d="type: date")])
    [(a, b, c, d)] = world.values("a", "b", "c", "d").values()
    assert (a, b, c.astimezone(NOW.tzinfo), d) == ("1", 7.0, NOW - DAY, (NOW - DAY).date())


def test_profile_traits_are_there_in_the_type_asked_for_even_where_no_source_brings_them(world: TraitWorld) -> None:
    world.person("ana", birth_date="1990-05-06")
    world.person("ben", birth_date="unknown")
    select = "SELECT profile_id, birth_date AS born, shoe_size IS NULL AS barefoot FROM profiles"
    more = "profile_traits: {birth_date: date, shoe_size: number}"
    world.describe([sql_set(select, inputs=["profiles"], more=more, born="type: date", barefoot="type: boolean")])
    found = {name: (str(born), barefoot) for name, (born, barefoot) in world.values("born", "barefoot").items()}
    assert found == {"ana": ("1990-05-06", True), "ben": ("None", True)}


def test_a_source_may_bring_back_what_it_was_sent_of_a_computed_trait(world: TraitWorld) -> None:
    world.person("ana", orders=7, computed_orders=8)
    world.bought("ana")
    assert world.describe([orders()]).ok
    shown = world.values("orders", "computed_orders", "trait_computed_orders")
    assert shown == {"ana": (7.0, 1.0, 8.0)}


def test_a_trait_may_not_be_called_as_one_whose_name_a_source_bears(world: TraitWorld) -> None:
    clash = sql_set(
        "SELECT profile_id, 1 AS computed_orders FROM profiles", inputs=["profiles"], computed_orders="type: number"
    )
    with pytest.raises(ConfigurationError, match="computed_orders"):
        world.describe([clash])


def test_a_set_is_computed_when_due_when_changed_and_when_asked(world: TraitWorld) -> None:
    world.person("ana")
    world.bought("ana", ago=5 * DAY)
    daily = orders(every=DAY)

    def status(one: TraitSet = daily, *, full: bool = False) -> str:
        return outcome(world.describe([one], full=full))["orders"]

    assert status() == "computed"
    world.bought("ana", ago=4 * DAY)
    world.now += timedelta(hours=20)
    assert status() == "kept"
    assert world.values("orders") == {"ana": (1.0,)}
    assert status(full=True) == "computed"
    assert world.values("orders") == {"ana": (2.0,)}
    # A daily run does not begin at the very same second.
    world.now += timedelta(hours=23, minutes=55)
    assert status() == "computed"
    assert status(replace(daily, code="other")) == "computed"
    world.rules = TraitRules(lapsed_days=30)
    assert status(replace(daily, code="other")) == "computed"
    assert status(replace(daily, code="other")) == "kept"


def test_a_set_without_a_period_is_computed_in_each_run(world: TraitWorld) -> None:
    world.person("ana")
    assert [outcome(world.describe([orders()]))["orders"] for _ in range(2)] == ["computed", "computed"]


@pytest.mark.parametrize(
    ("select", "declared", "expected"),
    [
        ("SELECT profile_id, -1 AS x FROM profiles", "type: number, at_least: 0", "x is below 0 (2 of 2)"),
        ("SELECT profile_id, 2 AS x FROM profiles", "type: number, at_most: 1", "x is above 1 (2 of 2)"),
        ("SELECT profile_id, 'c' AS x FROM profiles", "type: text, allowed: [a, b]", "none of the allowed values"),
        ("SELECT profile_id, NULL AS x FROM profiles", "type: number, required: true", "x is empty"),
        ("SELECT profile_id, 1 AS x FROM profiles WHERE FALSE", "type: number, required: true", "people have no row"),
        ("SELECT profile_id, CAST('NaN' AS DOUBLE) AS x FROM profiles", "type: number", "no finite number"),
        ("SELECT 'nobody' AS profile_id, 1 AS x", "type: number", "rows of nobody"),
        ("SELECT CAST(NULL AS TEXT) AS profile_id, 1 AS x", "type: number", "rows of nobody"),
        ("SELECT a.profile_id, 1 AS x FROM profiles AS a, profiles AS b", "type: number", "more than one row"),
    ],
)
def test_values_that_are_not_as_declared_fail_the_set(
    world: TraitWorld, select: str, declared: str, expected: str
) -> None:
    world.person("ana")
    world.person("ben")
    report = world.describe([sql_set(select, inputs=["profiles"], x=declared)])
    assert not report.ok
    assert expected in message(report)
    assert world.values("x") == {"ana": (None,), "ben": (None,)}


def test_a_set_that_fails_keeps_its_earlier_values_and_stops_no_other(world: TraitWorld) -> None:
    world.person("ana")
    world.bought("ana")
    healthy = sql_set(
        "SELECT profile_id, 1 AS one FROM profiles", name="healthy", inputs=["profiles"], one="type: number"
    )
    world.describe([orders(), healthy])
    world.bought("ana")
    world.now += DAY
    select = "SELECT profile_id, CAST('a' || profile_id AS DOUBLE) AS orders FROM purchases"
    broken = sql_set(select, name="orders", inputs=["purchases"], orders="type: number")
    report = world.describe([broken, healthy])
    assert outcome(report) == {"orders": "failed", "healthy": "computed"}
    assert not report.ok
    assert world.values("orders", "one") == {"ana": (1.0, 1.0)}
    [(status, computed_at)] = world.rows("SELECT status, computed_at FROM customers.trait_sets WHERE name = 'orders'")
    assert (status, computed_at.astimezone(NOW.tzinfo)) == ("failed", NOW)
    # It is tried again in the next run, and well again then.
    assert world.describe([orders(every=30 * DAY), healthy]).ok
    assert world.values("orders") == {"ana": (2.0,)}


def test_what_went_wrong_names_no_value(world: TraitWorld) -> None:
    world.person("ana", nickname="Schnucki")
    select = "SELECT profile_id, CAST(nickname AS DOUBLE) AS x FROM profiles"
    report = world.describe([sql_set(select, inputs=["profiles"], x="type: number")])
    assert outcome(report) == {"tried": "failed"}
    assert "Schnucki" not in message(report)
    assert message(report)


@pytest.mark.parametrize(
    "expression",
    ["CAST(nickname AS DOUBLE)", "CAST(7777777 * length(nickname) AS SMALLINT)", "CAST(nickname AS DATE)"],
)
def test_no_kind_of_error_tells_a_value(world: TraitWorld, expression: str) -> None:
    world.person("ana", nickname="Schnucki 4711")
    select = f"SELECT profile_id, CAST({expression} AS TEXT) AS x FROM profiles"
    report = world.describe([sql_set(select, inputs=["profiles"], x="type: text")])
    assert outcome(report) == {"tried": "failed"}
    assert not any(value in message(report) for value in ("Schnucki", "4711", "101111101"))


def test_a_set_that_reads_a_file_that_is_not_there_fails_alone(world: TraitWorld) -> None:
    def reading(_: Context) -> Result:
        duckdb.sql("FROM read_csv('no_such_file.csv')").fetchall()
        raise AssertionError

    world.person("ana")
    report = world.describe([computing(reading, x=Trait(description="X.", type="number")), orders()])
    assert outcome(report) == {"own": "failed", "orders": "computed"}


def test_an_unknown_column_is_named(world: TraitWorld) -> None:
    world.person("ana")
    report = world.describe(
        [sql_set("SELECT profile_id, nicknam AS x FROM profiles", inputs=["profiles"], x="type: text")]
    )
    assert "nicknam" in message(report)


def test_nobody_shows_who_is_gone_since(world: TraitWorld) -> None:
    world.person("ana")
    world.person("ben")
    world.describe([sql_set("SELECT profile_id, 1 AS x FROM profiles", inputs=["profiles"], x="type: number")])
    world.customers.delete("app.users:ben")
    world.resolve()
    assert [len(world.rows(f"SELECT * FROM customers.{table}")) for table in ("people", "computed")] == [1, 2]
    world.describe([sql_set("SELECT profile_id, 1 AS x FROM profiles", inputs=["profiles"], x="type: number")])
    assert len(world.rows("SELECT * FROM customers.computed")) == 1


def test_new_columns_of_profiles_show_without_describing_again(world: TraitWorld) -> None:
    world.person("ana")
    world.bought("ana")
    world.describe([orders()])
    world.customers.trait("app.users:ana", "city", "Graz")
    world.resolve()
    assert world.values("city", "orders") == {"ana": ("Graz", 1.0)}


def test_a_set_that_is_no_more_takes_its_traits_along(world: TraitWorld) -> None:
    world.person("ana")
    gone = sql_set("SELECT profile_id, 1 AS x FROM profiles", name="gone", inputs=["profiles"], x="type: number")
    world.describe([orders(), gone])
    world.describe([orders()])
    tables = world.rows("SELECT table_name FROM information_schema.tables WHERE table_schema = 'traits'")
    assert tables == [("orders",)]
    assert world.rows("SELECT name FROM customers.trait_sets") == [("orders",)]
    columns = world.rows("SELECT column_name FROM information_schema.columns WHERE table_name = 'people'")
    assert ("x",) not in columns


def test_a_set_may_build_on_the_traits_of_another(world: TraitWorld) -> None:
    world.person("ana")
    world.bought("ana")
    often = sql_set(
        "SELECT profile_id, orders >= 1 AS buys FROM orders_traits", name="buyers", inputs=["orders_traits"],
        buys="type: boolean",
    )  # fmt: skip
    report = world.describe([often, orders()])
    assert list(outcome(report).items()) == [("orders", "computed"), ("buyers", "computed")]
    assert world.values("buys") == {"ana": (True,)}
    # Also where the other is not due, and so is read as it is stored.
    world.describe([often, orders(every=DAY)])
    assert outcome(world.describe([often, orders(every=DAY)])) == {"orders": "kept", "buyers": "computed"}
    assert world.values("buys") == {"ana": (True,)}


def test_a_set_that_builds_on_what_never_came_about_fails(world: TraitWorld) -> None:
    world.person("ana")
    first = sql_set("SELECT profile_id, nothing AS x FROM profiles", name="first", inputs=["profiles"], x="type: text")
    second = sql_set(
        "SELECT profile_id, x AS y FROM first_traits", name="second", inputs=["first_traits"], y="type: text"
    )
    report = world.describe([first, second])
    assert outcome(report) == {"first": "failed", "second": "failed"}
    assert "builds on first" in report.sets[1].message


def test_circles_are_refused(world: TraitWorld) -> None:
    one = sql_set("SELECT profile_id, y AS x FROM two_traits", name="one", inputs=["two_traits"], x="type: text")
    two = sql_set("SELECT profile_id, x AS y FROM one_traits", name="two", inputs=["one_traits"], y="type: text")
    with pytest.raises(ConfigurationError, match="in a circle"):
        world.describe([one, two])


def test_coverage_of_each_run_is_kept(world: TraitWorld) -> None:
    world.person("ana")
    world.person("ben")
    world.bought("ana")
    world.describe([orders()])
    world.bought("ben")
    world.now += DAY
    world.describe([orders()])
    rows = world.rows("SELECT run_id, trait, people, share FROM customers.trait_coverage ORDER BY as_of")
    assert rows == [("describe-1", "orders", 1, 0.5), ("describe-2", "orders", 2, 1.0)]
    found = world.rows("SELECT trait, trait_set, type, unit, description FROM customers.computed_traits")
    assert found == [("orders", "orders", "number", "", "One.")]


CARD = ModelCard(
    model="Guess", version="1", window=(NOW - 90 * DAY, NOW), horizon=30 * DAY, people=7, metric="mean absolute error",
    score=0.5, baseline="the mean", baseline_score=0.75, lower_is_better=True, used="model", sentence="A guess.",
    parameters={"a": 1.5}, calibration=(Calibration(0.25, 0.5, 7),),
)  # fmt: skip


def guess(context: Context) -> Result:
    """A function that gives everybody a number."""
    rows = context.connection.execute("SELECT profile_id FROM profiles").fetchall()
    made = pa.table({"profile_id": pa.array([one for (one,) in rows]), "guessed": pa.array([0.5] * len(rows))})
    together = pa.table({"name": pa.array(["a"]), "times": pa.array([3])})
    return Result(made, cards={"guessed": CARD}, tables={"guesses": together})


def test_a_projects_set_replaces_no_table_of_others(world: TraitWorld) -> None:
    def greedy(context: Context) -> Result:
        return replace(guess(context), tables={"memberships": pa.table({"name": pa.array(["a"])})})

    def modest(context: Context) -> Result:
        return replace(guess(context), tables={"own_levels": pa.table({"name": pa.array(["a"])})})

    world.person("ana")
    trait = Trait(description="A guess.", type="number")
    create_audience_tables(world.customers.connection)
    report = world.describe([replace(computing(greedy, guessed=trait), file="traits/own.py")])
    assert outcome(report) == {"own": "failed"}
    assert "should be called own_..." in report.sets[0].message
    assert world.rows("SELECT count(*) FROM customers.memberships") == [(0,)]
    assert world.describe([replace(computing(modest, guessed=trait), file="traits/own.py")]).ok
    assert world.rows("SELECT name FROM customers.own_levels") == [("a",)]


def test_a_card_with_a_number_that_is_none_fails_its_set_alone(world: TraitWorld) -> None:
    def wrong(context: Context) -> Result:
        return replace(guess(context), cards={"guessed": replace(CARD, score=float("nan"))})

    world.person("ana")
    trait = Trait(description="A guess.", type="number")
    report = world.describe([computing(wrong, guessed=trait), orders()])
    assert outcome(report) == {"own": "failed", "orders": "computed"}


@pytest.mark.parametrize(
    "value", ["O'Neill ana@box.example", 'a "b" ana@box.example', "ana@box.example\nana@box.example"]
)
@pytest.mark.parametrize("reading", ["CAST(mail AS DATE)", "regexp_matches('a', mail || '(')", "strptime(mail, '%Y')"])
def test_a_failed_set_tells_no_piece_of_a_value(world: TraitWorld, value: str, reading: str) -> None:
    world.person("ana", mail=value)
    select = f"SELECT profile_id, {reading} AS read FROM profiles"
    report = world.describe(
        [sql_set(select, inputs=["profiles"], more="profile_traits: {mail: text}", read="type: text")]
    )
    assert "example" not in str(report) + str(world.rows("SELECT * FROM customers.trait_sets"))


def test_a_trait_that_was_lost_by_a_failure_moves_nobody(world: TraitWorld) -> None:
    world.person("ana")
    world.bought("ana")
    buyers = {"buyers": Audience.model_validate({"rule": {"none": [{"trait": "orders", "equals": 0}]}})}
    connection = world.customers.connection
    assert world.describe([orders()]).ok
    assert select_audiences(connection, buyers, run_id="run-1", as_of=NOW)[0].size == 1

    broken = sql_set("SELECT profile_id, CAST('x' || profile_id AS DATE) AS orders FROM profiles", name="orders",
                     inputs=["profiles"], orders="type: date")  # fmt: skip
    assert not world.describe([broken]).ok
    [held] = select_audiences(connection, buyers, run_id="run-2", as_of=NOW)
    assert (held.size, held.entered, held.left) == (1, 0, 0)
    assert held.held is not None
    assert "trait set 'orders' failed" in held.held
    assert world.rows("SELECT count(*) FROM customers.memberships WHERE left_at IS NULL") == [(1,)]


def test_who_is_merged_or_gone_does_not_stay_in_an_audience_that_stands_still(world: TraitWorld) -> None:
    everybody = {"everybody": Audience.model_validate({"rule": {"trait": "tried", "is_set": True}})}
    connection, whole = world.customers.connection, "SELECT profile_id, 1 AS tried FROM profiles"
    for name in ("ana", "bob", "cleo", "dora"):
        world.customers.record(f"app.users:{name}", ("email", f"{name}@box.example"))
    assert world.describe([sql_set(whole, inputs=["profiles"], tried="type: number")]).ok
    assert select_audiences(connection, everybody, run_id="run-1", as_of=NOW)[0].size == 4

    world.customers.record("app.users:both", ("email", "ana@box.example"), ("email", "bob@box.example"))
    world.customers.delete("app.users:cleo")
    broken = "SELECT profile_id, CAST('x' || profile_id AS INTEGER) AS tried FROM profiles"
    assert not world.describe([sql_set(broken, inputs=["profiles"], tried="type: number")]).ok
    [held] = select_audiences(connection, everybody, run_id="run-2", as_of=NOW)
    assert (held.size, held.entered, held.left, held.held is not None) == (2, 0, 1, True)
    gone = world.rows("SELECT reason FROM customers.memberships WHERE left_run = 'run-2'")
    assert sorted(str(reason).split()[0] for (reason,) in gone) == ["merged", "profile"]
    assert select_audiences(connection, everybody, run_id="run-3", as_of=NOW)[0].size == 2


def test_a_function_computes_and_tells_of_its_model(world: TraitWorld) -> None:
    world.person("ana")
    report = world.describe([computing(guess, guessed=Trait(description="A guess.", type="number"))])
    assert report.ok
    assert world.values("guessed") == {"ana": (0.5,)}
    assert latest_cards(world.customers.connection) == {"guessed": CARD}
    assert world.rows("SELECT * FROM customers.guesses") == [("a", 3)]


def test_cards_are_those_of_the_values_that_are_there(world: TraitWorld) -> None:
    def unable(context: Context) -> Result:
        return Result(pa.table({"profile_id": pa.array([], pa.string())}), nothing_to_learn="Too few.")

    def broken(context: Context) -> Result:
        raise ValueError

    world.person("ana")
    one = computing(guess, guessed=Trait(description="A guess.", type="number"))
    for compute, cards in ((guess, 1), (broken, 1), (guess, 1), (unable, 0), (guess, 1)):
        world.now += DAY
        world.describe([replace(one, compute=compute)])
        assert len(latest_cards(world.customers.connection)) == cards
    world.describe([orders()])
    assert latest_cards(world.customers.connection) == {}


def test_a_function_that_finds_nothing_to_learn_says_so_and_looks_again(world: TraitWorld) -> None:
    looked: list[object] = []

    def nothing(context: Context) -> Result:
        looked.append(context.as_of)
        return Result(pa.table({"profile_id": pa.array([], pa.string())}), nothing_to_learn="Too few orders.")

    world.person("ana")
    one = replace(computing(nothing, x=Trait(description="X.", type="number")), every=DAY)
    report = world.describe([one])
    assert report.ok
    assert (outcome(report), message(report)) == ({"own": "nothing to learn"}, "Too few orders.")
    assert world.values("x") == {"ana": (None,)}
    assert outcome(world.describe([one])) == {"own": "nothing to learn"}
    assert len(looked) == 2


def test_a_function_that_breaks_is_told_by_its_line_without_values(world: TraitWorld) -> None:
    def broken(context: Context) -> Result:
        write_arrow(context.connection, "left_behind", pa.table({"a": pa.array([1])}))
        raise KeyError("ana@box.example")

    world.person("ana")
    one = computing(broken, x=Trait(description="X.", type="number"), name="test_traits")
    report = world.describe([one, orders()])
    failed = report.sets[0]
    assert failed.status == "failed"
    assert failed.message.startswith("KeyError in line ")
    assert "ana" not in failed.message
    assert outcome(report)["orders"] == "computed"
    # What a failing function has left behind is gone, so that it cannot hinder the next run.
    assert outcome(world.describe([one, orders()])) == {"test_traits": "failed", "orders": "computed"}


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"profile_id": ["x"], "other": [1.0]}, "other: the set declares no such trait"),
        ({"x": [1.0]}, "no column profile_id"),
        ({"profile_id": ["x"], "x": [1.0]}, "rows of nobody"),
    ],
)
def test_what_a_function_gives_is_held_against_what_it_declares(
    world: TraitWorld, columns: dict[str, list[Any]], expected: str
) -> None:
    world.person("ana")
    one = computing(lambda _: Result(pa.table(columns)), x=Trait(description="X.", type="number"))
    assert expected in message(world.describe([one]))


def test_a_missing_module_is_named_with_what_brings_it(world: TraitWorld) -> None:
    world.person("ana")
    one = replace(
        computing(guess, guessed=Trait(description="A guess.", type="number")), needs=("no_such_module", "predictions")
    )
    report = world.describe([one])
    assert report.ok
    assert outcome(report) == {"own": "unavailable"}
    assert "pip install 'millstream[predictions]'" in message(report)
    assert world.values("guessed") == {"ana": (None,)}


def test_a_fault_of_ours_changes_nothing(world: TraitWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    world.person("ana")
    world.bought("ana")
    world.describe([orders()])

    def breaks(*_: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr("millstream.state.traits.keeping._write_coverage", breaks)
    world.bought("ana")
    with pytest.raises(RuntimeError, match="a fault"):
        world.describe([orders()])
    monkeypatch.undo()
    assert world.values("orders") == {"ana": (1.0,)}
    assert world.describe([orders()]).ok
    assert world.values("orders") == {"ana": (2.0,)}


def test_nothing_is_left_over_in_the_connection(world: TraitWorld) -> None:
    world.person("ana")
    world.describe([orders(), computing(guess, guessed=Trait(description="A guess.", type="number"))])
    for name in ("events", "purchases", "profiles", "made_orders", "given_rows"):
        found = world.rows("SELECT table_schema FROM information_schema.tables WHERE table_name = ?", name)
        assert found == ([("customers",)] if name in ("events", "profiles") else []), name


def test_the_report_is_told_to_programs(world: TraitWorld) -> None:
    world.person("ana")
    told = world.describe([orders()]).as_json()
    assert (told["ok"], told["profiles"], told["traits"]) == (True, 1, 1)
    assert told["sets"][0]["computed_at"] == NOW.isoformat()


def test_what_is_no_finite_number_is_no_number(world: TraitWorld) -> None:
    spelled = ["NaN", "nan", "inf", "+inf", "-Infinity", " Infinity ", "1e999"]
    for number, text in enumerate(spelled):
        world.customers.trait(world.person(f"p{number}"), "score", text, "number")
    world.person("ana", score=7)
    world.resolve()
    assert {name for name, (score,) in world.values("score").items() if score is not None} == {"ana"}
    audiences = {
        "more": Audience.model_validate({"rule": {"trait": "score", "more_than": -1e300}}),
        "top": Audience.model_validate({"rule": {"trait": "score", "top_percent": 10}}),
        "without": Audience.model_validate({"rule": {"trait": "score", "is_set": False}}),
    }
    found = select_audiences(world.customers.connection, audiences, run_id="run", as_of=NOW)
    assert {one.name: one.size for one in found} == {"more": 1, "top": 1, "without": len(spelled)}


def test_what_is_divided_by_nothing_is_no_number(world: TraitWorld) -> None:
    world.person("ana", score=7)
    select = "SELECT profile_id, score / 0 AS a, 0.0 / (score - 7) AS b, 1 / 0 AS c FROM profiles"
    more, numbers = "profile_traits: {score: number}", dict.fromkeys("abc", "type: number")
    assert world.describe([sql_set(select, inputs=["profiles"], more=more, **numbers)]).ok
    assert world.values("a", "b", "c") == {"ana": (None, None, None)}
