"""Views that others built on ours, and rights that they have on them, outlive the runs that make ours anew."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from millstream.state.errors import MillstreamError, QueryError
from millstream.state.profiles import SurvivorshipRules, build_profiles
from millstream.state.traits.contract import TraitSet
from tests.engines import Engine
from tests.state.conftest import Customers, open_customers
from tests.state.trait_world import NOW, TraitWorld, sql_set

ORDERS = sql_set(
    "SELECT profile_id, CAST(count(*) AS DOUBLE) AS orders, 'x' AS spare FROM purchases GROUP BY profile_id",
    name="orders",
    inputs=["purchases"],
    orders="type: number",
    spare="type: text",
)


def bought_once(customers: Customers) -> TraitWorld:
    """Ana, who bought once; and views over the view of people, over that view, and over the tables below."""
    world = TraitWorld(customers)
    world.person("ana", city="Graz")
    world.bought("ana")
    world.describe([ORDERS])
    sql(world, "CREATE SCHEMA bi")
    sql(world, "CREATE VIEW bi.cities AS SELECT profile_id, city, orders FROM customers.people")
    sql(world, "CREATE VIEW bi.of_cities AS SELECT city, count(*) AS people FROM bi.cities GROUP BY city")
    sql(world, "CREATE VIEW bi.counted AS SELECT profile_id, orders FROM traits.orders")
    sql(world, "CREATE VIEW bi.together AS SELECT profile_id, orders FROM customers.computed")
    sql(world, "CREATE VIEW bi.said AS SELECT profile_id, city FROM customers.profiles")
    return world


def sql(world: TraitWorld, text: str) -> Any:
    """What somebody does to the store with a tool of their own."""
    return world.customers.connection.execute(text)


@pytest.fixture
def bi(customers: Customers) -> TraitWorld:
    return bought_once(customers)


@pytest.fixture
def bi_on_postgres(postgres_engine: Engine) -> Iterator[TraitWorld]:
    """Where the engine itself knows what a view is made of, and rights."""
    customers = open_customers(postgres_engine)
    yield bought_once(customers)
    customers.connection.close()


def seen(world: TraitWorld) -> dict[str, Any]:
    """What the views show."""
    views = {
        "cities": "SELECT city, orders FROM bi.cities ORDER BY city",
        "of_cities": "SELECT city, people FROM bi.of_cities ORDER BY city",
        "counted": "SELECT orders FROM bi.counted ORDER BY orders",
        "together": "SELECT orders FROM bi.together ORDER BY orders",
        "said": "SELECT city FROM bi.said ORDER BY city",
    }
    return {name: world.rows(query) for name, query in views.items()}


AFTER = {
    "cities": [("Graz", 2.0), ("Linz", 1.0)],
    "of_cities": [("Graz", 1), ("Linz", 1)],
    "counted": [(1.0,), (2.0,)],
    "together": [(1.0,), (2.0,)],
    "said": [("Graz",), ("Linz",)],
}


def more_happens(world: TraitWorld) -> None:
    world.person("ben", city="Linz")
    world.bought("ben")
    world.bought("ana")


def full(world: TraitWorld) -> None:
    """Describe everybody anew."""
    world.customers.resolve()
    build_profiles(world.customers.connection, SurvivorshipRules(), now=NOW, full=True)


def test_they_show_what_the_next_runs_find(bi: TraitWorld) -> None:
    more_happens(bi)
    bi.describe([ORDERS], full=True)
    full(bi)
    bi.describe([ORDERS], full=True)
    assert seen(bi) == AFTER


def test_they_stay_while_people_get_columns(bi: TraitWorld) -> None:
    more_happens(bi)
    bi.person("cat", age=7)
    full(bi)
    more = sql_set("SELECT profile_id, 1 AS a_number FROM profiles", inputs=["profiles"], a_number="type: number")
    bi.describe([more, ORDERS])
    [*there, cat] = seen(bi)["cities"]
    assert there == AFTER["cities"]
    assert cat == (None, None)
    assert bi.values("city", "age", "orders", "a_number")["cat"] == (None, 7.0, None, 1.0)


def without_spare() -> TraitSet:
    return sql_set(
        "SELECT profile_id, CAST(count(*) AS DOUBLE) AS orders FROM purchases GROUP BY profile_id",
        name="orders",
        inputs=["purchases"],
        orders="type: number",
    )


def test_they_stay_while_columns_go_that_they_do_not_show(bi: TraitWorld) -> None:
    record = bi.person("cat", age=7)
    full(bi)
    bi.customers.erase(record)
    sql(bi, "DELETE FROM customers.traits WHERE name = 'age'")
    full(bi)
    more_happens(bi)
    bi.describe([without_spare()])
    assert seen(bi) == AFTER
    assert not {"age", "spare"} & {name for (name,) in columns_of_people(bi)}


def columns_of_people(world: TraitWorld) -> list[tuple[Any, ...]]:
    return world.rows(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'customers' AND table_name = 'people'"
    )


def test_a_view_over_a_column_that_goes_is_named_and_nothing_is_lost(bi_on_postgres: TraitWorld) -> None:
    bi = bi_on_postgres
    sql(bi, "CREATE VIEW bi.spares AS SELECT spare FROM customers.people")
    with pytest.raises(MillstreamError, match=r"bi\.spares.*spare.*What to do: drop or change the view"):
        bi.describe([without_spare()])
    assert bi.rows("SELECT spare FROM bi.spares") == [("x",)]
    assert seen(bi)["cities"] == [("Graz", 1.0)]


def test_what_cannot_be_put_back_is_named(bi_on_postgres: TraitWorld) -> None:
    bi = bi_on_postgres
    connection: Any = bi.customers.connection
    connection._raw.cursor().execute("CREATE MATERIALIZED VIEW bi.kept AS SELECT profile_id FROM bi.cities")
    bi.describe([ORDERS], full=True)
    with pytest.raises(QueryError, match=r"materialized view bi\.kept depends on.*What to do: drop or change"):
        bi.describe([without_spare()])


def test_owners_rights_and_comments_stay(bi_on_postgres: TraitWorld) -> None:
    bi = bi_on_postgres
    connection: Any = bi.customers.connection
    raw = connection._raw.cursor()
    raw.execute("CREATE ROLE an_analyst")
    try:
        raw.execute("COMMENT ON VIEW bi.cities IS 'it''s where people live'")
        raw.execute("ALTER VIEW bi.of_cities OWNER TO an_analyst")
        raw.execute("ALTER VIEW bi.cities SET (security_barrier = true)")
        ours = ("customers.people", "customers.profiles", "customers.computed", "traits.orders", "bi.cities")
        for name in ours:
            raw.execute(f"GRANT SELECT ON {name} TO an_analyst")
        full(bi)
        bi.describe([without_spare()])
        for name in (*ours, "bi.of_cities"):
            raw.execute("SELECT has_table_privilege('an_analyst', %s, 'SELECT')", [name])
            assert raw.fetchone() == (True,), name
        raw.execute(
            "SELECT pg_get_userbyid(relowner), obj_description(CAST('bi.cities' AS regclass), 'pg_class'), "
            "(SELECT reloptions FROM pg_class WHERE oid = CAST('bi.cities' AS regclass)) "
            "FROM pg_class WHERE oid = CAST('bi.of_cities' AS regclass)"
        )
        assert raw.fetchone() == ("an_analyst", "it's where people live", ["security_barrier=true"])
    finally:
        raw.execute("DROP OWNED BY an_analyst")
        raw.execute("DROP ROLE an_analyst")


def test_rights_on_columns_stay_and_what_was_taken_away_does_not_come_back(bi_on_postgres: TraitWorld) -> None:
    bi = bi_on_postgres
    connection: Any = bi.customers.connection
    raw = connection._raw.cursor()
    raw.execute("CREATE ROLE a_guest")
    try:
        raw.execute("GRANT SELECT (profile_id, spare) ON customers.people TO a_guest")
        raw.execute("GRANT SELECT (city) ON bi.cities TO a_guest")
        raw.execute("COMMENT ON COLUMN bi.cities.city IS 'a town''s name'")
        for schema in ("customers", "bi"):
            raw.execute(f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO a_guest, PUBLIC")
        bi.describe([without_spare()])
        for view, column, may in (
            ("customers.people", "profile_id", True),
            ("customers.people", "city", False),
            ("bi.cities", "city", True),
            ("bi.cities", "orders", False),
        ):
            raw.execute("SELECT has_column_privilege('a_guest', %s, %s, 'SELECT')", [view, column])
            assert raw.fetchone() == (may,), (view, column)
        raw.execute("SELECT col_description(CAST('bi.cities' AS regclass), 2)")
        assert raw.fetchone() == ("a town's name",)
    finally:
        for schema in ("customers", "bi"):
            raw.execute(f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} REVOKE SELECT ON TABLES FROM a_guest, PUBLIC")
        raw.execute("DROP OWNED BY a_guest")
        raw.execute("DROP ROLE a_guest")
