"""What the dialect notes promise: a statement in DuckDB's SQL says the same on every engine."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest

from millstream.state.errors import QueryError
from millstream.state.store import Connection
from millstream.state.store.dialect import translate
from tests.engines import Engine

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def connection(engine: Engine) -> Iterator[Connection]:
    made = engine.connection()
    made.execute("CREATE SCHEMA shop; CREATE TABLE shop.people (id BIGINT PRIMARY KEY, name TEXT, facts JSON)")
    made.execute("INSERT INTO shop.people VALUES (1, 'Ana', '{\"a b\": 1.5, \"x\": null}'), (2, NULL, NULL)")
    yield made
    made.close()


@pytest.mark.parametrize(
    ("query", "values", "row"),
    [
        # Values
        ("SELECT ?, ?", ["50%", "a"], ("50%", "a")),
        ("SELECT strpos(?, 'b'), ? || '%'", ["abc", "x"], (2, "x%")),
        ("SELECT $b, $a, $b", {"a": 1, "b": "two"}, ("two", 1, "two")),
        ("SELECT 1 WHERE 'missing: x' LIKE 'missing:%' AND ? = 1", [1], (1,)),
        ("SELECT CAST(? AS TIMESTAMPTZ), CAST(? AS DATE)", [NOON, date(2026, 3, 1)], (NOON, date(2026, 3, 1))),
        ("SELECT array_contains(['a', 'b'], ?)", ["b"], (True,)),
        # Text that may not be what it should
        ("SELECT TRY_CAST('5' AS DOUBLE), TRY_CAST('-.5e2' AS DOUBLE), TRY_CAST('5,1' AS DOUBLE)", [], (5, -50, None)),
        ("SELECT TRY_CAST('' AS DOUBLE), TRY_CAST(NULL AS DOUBLE), TRY_CAST(' 7 ' AS DOUBLE)", [], (None, None, 7)),
        ("SELECT TRY_CAST('7' AS BIGINT), TRY_CAST('7.6' AS BIGINT), TRY_CAST('9e99' AS BIGINT)", [], (7, 8, None)),
        ("SELECT TRY_CAST('Yes' AS BOOLEAN), TRY_CAST('f' AS BOOLEAN)", [], (True, False)),
        ("SELECT TRY_CAST('2026-03-01' AS DATE), TRY_CAST('2026-02-30' AS DATE)", [], (date(2026, 3, 1), None)),
        ("SELECT TRY_CAST('2026-03-01T12:00:00Z' AS DATE), TRY_CAST('soon' AS DATE)", [], (date(2026, 3, 1), None)),
        ("SELECT TRY_CAST('2026-03-01T14:00:00+02:00' AS TIMESTAMPTZ)", [], (NOON,)),
        ("SELECT TRY_CAST('2026-03-01 12:00' AS TIMESTAMPTZ), TRY_CAST('now' AS TIMESTAMPTZ)", [], (NOON, None)),
        ("SELECT TRY_CAST('2026-03-01 25:00' AS TIMESTAMPTZ), TRY_CAST('x' AS TEXT)", [], (None, "x")),
        # Text
        ("SELECT sha256('é'), md5('é')", [], (
            "4a99557e4033c3539de2eb65472017cad5f9557f7a0625a09f1c3f6e2ba69c4c", "66ddcd97cfdeabb2f6fb8a999b4bc76f")),
        (r"SELECT regexp_replace(lower('É Ab-1'), '[^\p{L}\p{N}]', '', 'g')", [], ("éab1",)),
        ("SELECT regexp_replace('a:b#12', '#[0-9]+$', ''), regexp_matches('ab', '^a')", [], ("a:b", True)),
        ("SELECT count(*) FROM (SELECT unnest(string_split('a;b;', ';')))", [], (3,)),
        ("SELECT 'B' < 'a', 'a' < 'é', concat_ws(', ', 'a', NULL, 'b')", [], (True, True, "a, b")),
        # Documents
        ("SELECT json_extract_string(facts, '$.\"a b\"'), json_extract_string(facts, ?) FROM shop.people WHERE id = 1",
         ['$."x"'], ("1.5", None)),
        ("SELECT json_extract_string(json_object('it''s', 5, 'n', NULL), '$.\"it''s\"')", [], ("5",)),
        ("SELECT json_extract_string(to_json(struct_pack(\"A b\" := 'x')), '$.\"A b\"')", [], ("x",)),
        ("SELECT json_extract_string(facts, ['$.\"a b\"', '$.x', '$.y'])[1] FROM shop.people WHERE id = 1", [],
         ("1.5",)),
        # Numbers
        ("SELECT round(CAST(2.345 AS DOUBLE), 1), round(sum(id) / 7, 2), round(2.6) FROM shop.people", [],
         (2.3, 0.43, 3)),
        ("SELECT 5 / 2, 5 // 2, 7 % (id - 1), 7 // (id - 1) FROM shop.people WHERE id = 1", [], (2.5, 2, None, None)),
        ("SELECT sum(id), avg(id), max(id = 1), min(id = 1), count(*) FILTER (WHERE id > 1) FROM shop.people", [],
         (3, 1.5, True, False, 1)),
        # Dates
        ("SELECT make_date(year(DATE '2028-02-29') + 1, 2, 1) + CAST(day(DATE '2028-02-29') - 1 AS INTEGER)", [],
         (date(2029, 3, 1),)),
        ("SELECT floor((epoch($now) - epoch($now - INTERVAL 36 HOUR)) / 86400)", {"now": NOON}, (1,)),
        ("SELECT CAST($now AT TIME ZONE $zone AS DATE), extract(hour FROM $now AT TIME ZONE $zone)",
         {"now": NOON, "zone": "Pacific/Auckland"}, (date(2026, 3, 2), 1)),
        # Order
        ("SELECT first(name ORDER BY id), last(name ORDER BY id), last(id ORDER BY name, id DESC) FROM shop.people", [],
         ("Ana", None, 2)),
        ("SELECT first(name ORDER BY id DESC), first(id ORDER BY id) FILTER (WHERE id > 1) FROM shop.people", [],
         (None, 2)),
        ("SELECT last(id ORDER BY id) FILTER (WHERE id < 2), first(id ORDER BY name DESC) FROM shop.people", [],
         (1, 1)),
        ("SELECT name FROM shop.people ORDER BY name DESC LIMIT 1", [], ("Ana",)),
        ("SELECT * FROM (SELECT 2 AS n UNION ALL SELECT 1 AS n) AS both_of_them ORDER BY ALL LIMIT 1", [], (1,)),
        ("SELECT name, id FROM shop.people ORDER BY ALL LIMIT 1", [], ("Ana", 1)),
        ("SELECT id % 1, count(*) FROM shop.people GROUP BY ALL", [], (0, 2)),
        ("SELECT any_value(name), hour(TIMESTAMPTZ '2026-03-01 12:30:00+00') FROM shop.people", [], ("Ana", 12)),
    ],
)  # fmt: skip
def test_a_query_says_the_same(connection: Connection, query: str, values: Any, row: tuple[object, ...]) -> None:
    assert connection.execute(query, values or None).fetchone() == row


def test_a_temporary_table_takes_the_place_of_one(connection: Connection) -> None:
    connection.execute("CREATE OR REPLACE TEMP TABLE work AS SELECT 1 AS n")
    connection.execute("CREATE OR REPLACE TEMP TABLE work (n BIGINT, t TEXT)")
    connection.executemany("INSERT INTO work VALUES (?, ?)", [(1, "50%"), (2, None)])
    connection.execute("CREATE OR REPLACE TEMP TABLE work AS SELECT n + 1 AS n FROM work")
    assert connection.execute("SELECT n FROM work ORDER BY n").fetchall() == [(2,), (3,)]
    connection.execute("ALTER TABLE work RENAME TO done; DROP TABLE done")


def test_a_row_replaces_another_or_gives_way(connection: Connection) -> None:
    connection.execute("CREATE OR REPLACE TABLE shop.stock (id BIGINT PRIMARY KEY, n BIGINT)")
    insert = "INSERT INTO shop.stock SELECT 1, ? ON CONFLICT"
    connection.execute(f"{insert} DO NOTHING", [1])
    connection.execute(f"{insert} DO NOTHING", [2])
    assert connection.execute("SELECT n FROM shop.stock").fetchall() == [(1,)]
    connection.execute(f"{insert} (id) DO UPDATE SET n = excluded.n", [3])
    assert connection.execute("SELECT n FROM shop.stock").fetchall() == [(3,)]


def test_a_view_is_made_once_and_anew_when_it_differs(connection: Connection) -> None:
    for columns in ("id", "id", "name, id"):
        connection.execute(f"CREATE OR REPLACE VIEW shop.seen AS SELECT {columns} FROM shop.people")
    assert connection.execute("SELECT * FROM shop.seen WHERE id = 1").fetchone() == ("Ana", 1)


def test_names_that_postgresql_would_cut_short_are_refused() -> None:
    with pytest.raises(QueryError, match="64 bytes; PostgreSQL takes 63"):
        translate(f'SELECT 1 AS "{"x" * 64}"')


def test_what_cannot_be_said_is_refused() -> None:
    with pytest.raises(QueryError, match="cannot be read"):
        translate("SELECT FROM WHERE")
    with pytest.raises(QueryError, match="TRY_CAST to UUID"):
        translate("SELECT TRY_CAST(a AS UUID) FROM b")


def test_statements_are_translated_once() -> None:
    before = translate.cache_info().hits
    translate("SELECT 'only here'")
    translate("SELECT 'only here'")
    assert translate.cache_info().hits == before + 1
