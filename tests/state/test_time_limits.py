"""SQL of a project is stopped when it takes too long, and named."""

from __future__ import annotations

import pytest

from millstream.state.audiences import Audience, AudienceReport, select_audiences
from millstream.state.audiences.failing import Failing, FailingSqlError, without_failing
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


def select(world: TraitWorld, run: str, only: list[str] | None = None, **audiences: object) -> list[AudienceReport]:
    """As a run does it, in which SQL may take 0.2 seconds."""
    connection = world.customers.connection
    given = {name: Audience.model_validate(one) for name, one in audiences.items()}

    def work(failing: Failing) -> list[AudienceReport]:
        with kept_whole(connection):
            return select_audiences(
                connection, given, run_id=run, as_of=NOW, only=only, sql_seconds=0.2, failing=failing
            )

    return without_failing(work)


PEOPLE = "SELECT profile_id FROM customers.people"
ALL_OF_GRAZ = {"rule": {"trait": "city", "equals": "Graz"}}


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        (f"{PEOPLE} WHERE {ENDLESS} > 1", "The SQL was stopped after 0.2 seconds, which is all it may take. What to"),
        (f"{PEOPLE} WHERE gone = 'Graz'", "The SQL fails: "),
        ("SELECT profile_id FROM crm.gone", "The SQL fails: "),
        (f"{PEOPLE} WHERE CAST(city AS INTEGER) = 1", "The SQL fails: "),
    ],
    ids=["slow", "column gone", "table gone", "fails on a value"],
)
@pytest.mark.parametrize("only", [None, ["graz", "bad", "on_bad"]])
def test_an_audience_whose_sql_does_not_work_stands_still_alone(
    world: TraitWorld, sql: str, why: str, only: list[str] | None
) -> None:
    on_bad = {"rule": {"not_audience": "bad"}}
    select(world, "run-1", bad={"sql": PEOPLE}, graz={"rule": {"trait": "city", "equals": "Linz"}}, on_bad=on_bad)
    found = select(world, "run-2", only, bad={"sql": sql}, graz=ALL_OF_GRAZ, on_bad=on_bad)

    assert {one.name: (one.size, one.entered, one.left) for one in found} == {
        "bad": (1, 0, 0), "graz": (1, 1, 0), "on_bad": (0, 0, 0),
    }  # fmt: skip
    held = {one.name: one.held for one in found}
    assert (held["bad"] or "").startswith(why)
    assert "Graz" not in str(held["bad"])
    assert (held["graz"], held["on_bad"]) == (None, "it builds on 'bad', which stands still")
    assert not any(one.held for one in select(world, "run-3", bad={"sql": PEOPLE}, graz=ALL_OF_GRAZ))


def test_one_that_fails_whatever_it_is_told_is_an_error(world: TraitWorld) -> None:
    def work(failing: Failing) -> None:
        raise FailingSqlError("bad", "The SQL fails.")

    with pytest.raises(FailingSqlError, match=r"audiences\.bad: The SQL fails"):
        without_failing(work)


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
    with pytest.raises(ConfigurationError, match=r"audiences\.bad"):
        select_audiences(
            connection, {"bad": Audience.model_validate({"sql": "SELECT 1 AS one"})}, run_id="run", as_of=NOW
        )
