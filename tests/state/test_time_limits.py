"""SQL of a project is stopped when it takes too long, and named."""

from __future__ import annotations

import pytest

from millstream.state.audiences import Audience, select_audiences
from millstream.state.errors import ConfigurationError, QueryError, TimeLimitError
from millstream.state.measurement.measure import measure
from millstream.state.measurement.rules import MeasurementRules
from millstream.state.store import kept_whole, query_errors, time_limit
from millstream.state.traits.compute import describe
from tests.state.conftest import Customers
from tests.state.trait_world import NOW, TraitWorld, sql_set

ENDLESS = """(
    WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < 2000000000)
    SELECT max(n) FROM counted
)"""


@pytest.fixture
def world(customers: Customers) -> TraitWorld:
    world = TraitWorld(customers)
    world.person("ana", city="Graz")
    world.bought("ana")
    world.describe([])
    return world


def test_what_takes_too_long_is_stopped_and_told_with_the_limit(world: TraitWorld) -> None:
    connection = world.customers.connection
    told = r"audiences\.a: The SQL was stopped after 0.2 seconds.*What to do: .*`sql_seconds`"
    limit = time_limit(connection, 0.2, where="audiences.a")
    with pytest.raises(TimeLimitError, match=told), kept_whole(connection), limit:
        connection.execute(f"SELECT {ENDLESS}")
    assert world.rows("SELECT city FROM customers.people") == [("Graz",)]


def test_what_follows_has_no_limit_and_other_errors_stay_what_they_are(world: TraitWorld) -> None:
    connection = world.customers.connection
    with kept_whole(connection):
        with time_limit(connection, 0.3, where="here"):
            connection.execute("SELECT 1")
        connection.execute(
            """SELECT max(n) FROM (
                WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < 1000000)
                SELECT n FROM counted) AS numbers"""
        )
    limit = time_limit(connection, 5, where="here")
    with pytest.raises(QueryError, match="nothing"), query_errors(), kept_whole(connection), limit:
        connection.execute("SELECT * FROM nothing")


def test_a_trait_set_fails_alone(world: TraitWorld) -> None:
    slow = sql_set(
        f"SELECT profile_id, {ENDLESS} AS endless FROM profiles",
        name="slow",
        inputs=["profiles"],
        endless="type: number",
    )
    quick = sql_set("SELECT profile_id, 1 AS one FROM profiles", name="quick", inputs=["profiles"], one="type: number")
    connection = world.customers.connection
    report = describe(connection, [slow, quick], world.rules, run_id="run", now=NOW, sql_seconds=0.2)
    assert [(one.name, one.status) for one in report.sets] == [("slow", "failed"), ("quick", "computed")]
    assert report.failed[0].message.startswith("traits/slow.sql: The SQL was stopped after 0.2 seconds")


@pytest.mark.parametrize("only", [None, ["slow", "graz"]])
def test_an_audience_is_named_and_nobody_moves(world: TraitWorld, only: list[str] | None) -> None:
    connection = world.customers.connection
    audiences = {
        "graz": Audience.model_validate({"rule": {"trait": "city", "equals": "Graz"}}),
        "slow": Audience.model_validate({"sql": f"SELECT profile_id FROM customers.people WHERE {ENDLESS} > 1"}),
    }
    with pytest.raises(TimeLimitError, match=r"audiences\.slow: The SQL was stopped"), kept_whole(connection):
        select_audiences(connection, audiences, run_id="run", as_of=NOW, only=only, sql_seconds=0.2)
    with kept_whole(connection):
        found = select_audiences(connection, audiences, run_id="run", as_of=NOW, only=["graz"], sql_seconds=0.2)
    assert [(one.name, one.size) for one in found] == [("graz", 1)]


def test_a_figure_is_named(world: TraitWorld) -> None:
    connection = world.customers.connection
    endless = f"SELECT CAST('2026-06-01' AS DATE) AS day, {ENDLESS} AS value"
    rules = MeasurementRules.model_validate({"figures": {"slow": {"sql": endless}}})
    told = r"measurement\.figures\.slow: The SQL was stopped"
    with pytest.raises(TimeLimitError, match=told), kept_whole(connection):
        measure(connection, rules, world.rules, [], as_of=NOW, sql_seconds=0.2)


def test_audiences_of_sql_give_each_person_once_beside_rules_that_build_on_them(world: TraitWorld) -> None:
    connection = world.customers.connection
    several = "SELECT profile_id FROM customers.people UNION ALL SELECT profile_id FROM customers.people"
    audiences = {
        "all": Audience.model_validate({"sql": several}),
        "others": Audience.model_validate({"rule": {"not_audience": "all"}}),
    }
    found = select_audiences(connection, audiences, run_id="run", as_of=NOW)
    assert [(one.name, one.size) for one in found] == [("all", 1), ("others", 0)]
    strange = {"bad": Audience.model_validate({"sql": "SELECT profile_id FROM crm.nothing"})}
    with pytest.raises(QueryError, match=r"audiences\.bad: The SQL fails: .*nothing"), kept_whole(connection):
        select_audiences(connection, strange, run_id="run", as_of=NOW)
    with pytest.raises(ConfigurationError, match=r"audiences\.bad"):
        select_audiences(
            connection, {"bad": Audience.model_validate({"sql": "SELECT 1 AS one"})}, run_id="run", as_of=NOW
        )
