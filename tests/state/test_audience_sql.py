"""Audiences that a project writes as SQL read tables of the store, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from millstream.state.audiences import Audience, checked_select
from millstream.state.errors import ConfigurationError
from tests.state.audience_world import AudienceWorld
from tests.state.conftest import Customers


@pytest.fixture
def world(customers: Customers) -> AudienceWorld:
    return AudienceWorld(customers.connection)


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM customers.profiles",
        "SELECT profile_id FROM x.a; SELECT profile_id FROM x.b",
        "SELECT profile_id FROM x.a; DROP TABLE x.a",
        "CREATE TABLE x AS SELECT profile_id FROM x.a",
        "WITH gone AS (DELETE FROM x.a RETURNING profile_id) SELECT profile_id FROM gone",
        "COPY (SELECT profile_id FROM x.a) TO 'x.csv'",
        "SELECT profile_id INTO x.b FROM x.a",
        "SELECT profile_id FROM x.a FOR UPDATE",
        "ATTACH 'x.duckdb'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "PRAGMA database_list",
        "SET threads = 1",
        "CALL pragma_version()",
        "EXPLAIN SELECT profile_id FROM x.a",
        "SELECT email FROM x.a",
        "SELECT profile_id FROM x.a WHERE email = ?",
        "SELECT profile_id FROM x.a WHERE email = $email",
        "SELEC profile_id",
        "",
    ],
)
def test_sql_that_is_not_one_reading_select_is_refused(sql: str) -> None:
    with pytest.raises(ConfigurationError, match=r"audiences\.a: The SQL"):
        checked_select(sql, where="audiences.a")


@pytest.mark.parametrize(
    "source",
    [
        "'people.csv'",
        '"people.csv"',
        "people.csv",
        "'s3://bucket/people.parquet'",
        "'https://example.com/people.json'",
        '"/etc/passwd"',
        '"../people"',
        '"folder/*"."people"',
        "people.parquet",
        "read_csv('people.csv')",
        "read_parquet(['people.parquet'])",
        "read_json_auto('people.json')",
        "READ_TEXT('/etc/passwd')",
        "read_blob('*')",
        "glob('*')",
        "sniff_csv('people.csv')",
        "parquet_metadata('people.parquet')",
        "query('SELECT 1 AS profile_id')",
        "query_table('people.csv')",
        "st_read('people.shp')",
        "some_new_reader('people')",
        "sqlite_scan('other.db', 'people')",
        "postgres_scan('', 'public', 'people')",
        "duckdb_settings()",
        "dblink('host=other', 'SELECT 1') AS t(profile_id text)",
        "pg_ls_dir('.') AS t(profile_id)",
        "information_schema.tables",
        "pg_catalog.pg_authid",
        "other.main.people",
        "people",
    ],
)
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT profile_id FROM {}",
        "SELECT profile_id FROM customers.people WHERE email IN (SELECT email FROM {})",
        "WITH others AS (SELECT * FROM {}) SELECT profile_id FROM others",
    ],
)
def test_what_is_no_table_of_the_store_is_not_read(sql: str, source: str) -> None:
    with pytest.raises(ConfigurationError, match=r"audiences\.a: The SQL (reads|calls|cannot)"):
        checked_select(sql.format(source), where="audiences.a")


@pytest.mark.parametrize(
    "sql",
    [
        "WITH a AS (SELECT * FROM a) SELECT profile_id FROM a",
        "WITH a AS (SELECT * FROM b), b AS (SELECT * FROM x.b) SELECT profile_id FROM a",
        "SELECT profile_id FROM (WITH a AS (SELECT * FROM x.a) SELECT * FROM a) AS inner_one, a",
        'WITH "a.csv" AS (SELECT * FROM x.a) SELECT profile_id FROM "a.csv"',
        "SELECT profile_id FROM (DESCRIBE x.a)",
        "SELECT profile_id FROM (SUMMARIZE 'a.csv')",
        "SELECT profile_id FROM (SHOW ALL TABLES)",
    ],
)
def test_a_name_is_only_one_of_its_own_where_it_was_told_before(sql: str) -> None:
    with pytest.raises(ConfigurationError, match=r"audiences\.a: The SQL"):
        checked_select(sql, where="audiences.a")


@pytest.mark.parametrize(
    "call",
    [
        "pg_read_file('/etc/passwd')",
        "pg_catalog.pg_read_file('/etc/passwd')",
        "pg_sleep(60)",
        "lo_import('/etc/passwd')",
        "query_to_xml('SELECT 1', true, true, '')",
        "current_setting('data_directory')",
        "set_config('x.y', '1', false)",
        "nextval('numbers')",
        "getenv('HOME')",
    ],
)
def test_functions_that_reach_beyond_the_store_are_not_called(call: str) -> None:
    with pytest.raises(ConfigurationError, match=r"calls \w+\(\), which reaches beyond"):
        checked_select(f"SELECT profile_id FROM customers.people WHERE email = {call}", where="audiences.a")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT profile_id FROM customers.people",
        "SELECT * FROM customers.people",
        "SELECT x.Profile_ID FROM raw_shop.orders AS x",
        "WITH b AS (SELECT id FROM raw_shop.orders) SELECT id AS profile_id FROM b -- done",
        "WITH b AS (SELECT id FROM x.a), c AS (SELECT id FROM b) SELECT id AS profile_id FROM (SELECT * FROM c) AS d",
        "SELECT profile_id FROM x.a UNION SELECT profile_id FROM x.b",
        "WITH b AS (SELECT id FROM x.a) SELECT id AS profile_id FROM b UNION ALL SELECT id FROM (SELECT * FROM B) AS c",
        "WITH RECURSIVE b AS (SELECT id FROM x.a UNION SELECT id FROM b) SELECT id AS profile_id FROM b",
        "SELECT profile_id FROM x.a, unnest([1, 2]) AS numbers(one)",
        "SELECT profile_id FROM x.a WHERE note = 'what? $5, read_csv(it)' AND lower(name) = 'a.csv'",
    ],
)
def test_sql_that_reads_the_store_is_accepted(sql: str) -> None:
    assert checked_select(sql, where="audiences.a")


def test_the_error_says_what_was_read_and_what_to_write() -> None:
    with pytest.raises(
        ConfigurationError, match=r"reads 'people', and does not say in which schema .* customers\.people"
    ):
        checked_select("SELECT profile_id FROM people", where="audiences.a")


def test_members_are_people_of_the_store_each_once(world: AudienceWorld) -> None:
    for name in ("ana", "bo", "cy"):
        world.person(name)
    sql = (
        "SELECT profile_id FROM customers.people WHERE profile_id <> 'cy' UNION ALL "
        "SELECT profile_id FROM customers.people WHERE profile_id < 'b' UNION ALL SELECT 'nobody' UNION ALL SELECT NULL"
    )
    found = world.members_of(
        {
            "own": Audience(sql=sql),
            "rest": Audience.model_validate({"rule": {"not_audience": "own"}}),
            "same": Audience.model_validate({"rule": {"audience": "own"}}),
        }
    )
    assert found == {"own": {"ana", "bo"}, "rest": {"cy"}, "same": {"ana", "bo"}}


def test_a_file_beside_the_store_is_not_read(
    world: AudienceWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "people.csv").write_text("profile_id\nana\n")
    monkeypatch.chdir(tmp_path)
    world.person("ana")
    with pytest.raises(ConfigurationError, match="no table of the store"):
        world.members_of({"a": Audience(sql="SELECT profile_id FROM people.csv")})
