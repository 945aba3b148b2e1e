"""Databases: what is read again and what is not, deleted rows, types, and what is said when something is missing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import ValidationError

from millstream.sources.check import check_source
from millstream.sources.dlt_source import SourcePull
from millstream.sources.ingest import IngestReport, ingest
from millstream.sources.pull import Window
from millstream.sources.sql import Sql, SqlSettings
from millstream.sources.stream_report import StreamReport
from millstream.state.errors import (
    AuthenticationError,
    ConfigurationError,
    MillstreamError,
    NotFoundError,
    PermissionDeniedError,
    UnreachableError,
)
from millstream.state.store import DuckDBStore
from tests.postgres import Server

PEOPLE = {"table": "people", "primary_key": ["id"]}
CHANGED = {**PEOPLE, "cursor": "changed_at"}


@dataclass
class Shop:
    """A database that is pulled into a store."""

    path: Path
    url: str
    reports: dict[str, StreamReport] = field(default_factory=dict)

    def run(self, *statements: str) -> None:
        engine = sa.create_engine(self.url, poolclass=sa.NullPool)
        with engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    def source(self, stream: Mapping[str, Any] = PEOPLE, **settings: Any) -> Sql:
        facts = {"url": self.url, "streams": {"people": stream}, **settings}
        return Sql(SqlSettings.model_validate(facts))

    def pull(self, stream: Mapping[str, Any] = PEOPLE, **settings: Any) -> IngestReport:
        options = settings.pop("options", {})
        pull = SourcePull(self.source(stream, **settings), **options)
        report = ingest(pull, DuckDBStore(self.path / "store.duckdb"), name="shop", pipelines=self.path / "dlt")
        self.reports = {one.stream: one for one in report.streams}
        return report

    def error(self, stream: Mapping[str, Any] = PEOPLE, **settings: Any) -> MillstreamError:
        [error] = self.pull(stream, **settings).errors
        return error

    def rows(self, columns: str = "id, name") -> list[tuple[Any, ...]]:
        with DuckDBStore(self.path / "store.duckdb").open() as connection:
            return connection.execute(f"SELECT {columns} FROM raw_shop.people ORDER BY id").fetchall()


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        connection.execute("VACUUM")
    shop = Shop(tmp_path, f"sqlite:///{tmp_path}/shop.db")
    shop.run(
        "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, changed_at DATETIME, gone BOOLEAN)",
        "INSERT INTO people VALUES (1, 'Ana', '2026-03-01 12:00:00', 0), (2, 'Bo', '2026-03-02 12:00:00', 1)",
    )
    return shop


# What is read


def test_only_what_changed_since_the_last_pull_is_read(shop: Shop) -> None:
    assert shop.pull(CHANGED).rows == 2
    shop.run(
        "UPDATE people SET name = 'Anna', changed_at = '2026-03-03 09:00:00' WHERE id = 1",
        "INSERT INTO people VALUES (3, 'Cy', '2026-03-03 10:00:00', 0)",
        "INSERT INTO people VALUES (4, 'late', '2026-03-02 11:58:00', 0)",
        "INSERT INTO people VALUES (5, 'too late', '2026-03-02 11:50:00', 0)",
    )
    report = shop.pull(CHANGED)
    assert (report.ok, report.rows) == (True, 4)
    assert report.streams[0].since == datetime(2026, 3, 2, 11, 55, tzinfo=UTC)
    assert shop.rows() == [(1, "Anna"), (2, "Bo"), (3, "Cy"), (4, "late")]


def test_a_number_that_counts_is_a_cursor_too(shop: Shop) -> None:
    numbered = {**PEOPLE, "cursor": "id", "lookback_count": 1}
    shop.pull(numbered)
    shop.run("INSERT INTO people VALUES (7, 'Gil', NULL, 0)")
    assert shop.pull(numbered).rows == 3
    assert shop.reports["people"].cursor == "7"
    assert shop.pull({**numbered, "lookback_count": 0}).rows == 1


def test_a_table_without_a_cursor_is_read_whole(shop: Shop) -> None:
    assert [shop.pull().rows, shop.pull().rows] == [2, 2]


def test_rows_without_a_cursor_are_read_each_time_and_warned_of(shop: Shop) -> None:
    shop.run("INSERT INTO people VALUES (3, 'Cy', NULL, 0)")
    shop.pull(CHANGED)
    shop.run("UPDATE people SET name = 'Cyr' WHERE id = 3")
    assert shop.pull(CHANGED).rows == 2
    assert shop.rows()[2] == (3, "Cyr")
    assert shop.reports["people"].warnings == ["1 rows have no changed_at: they are read each time."]


def test_a_row_from_the_future_does_not_take_the_place_there(shop: Shop) -> None:
    shop.run("INSERT INTO people VALUES (3, 'Cy', '2999-01-01 00:00:00', 0)")
    shop.pull(CHANGED)
    shop.run(f"INSERT INTO people VALUES (4, 'Dee', '{datetime.now(UTC):%Y-%m-%d %H:%M:%S}', 0)")
    shop.pull(CHANGED)
    assert (4, "Dee") in shop.rows()


def test_another_cursor_starts_anew(shop: Shop) -> None:
    shop.pull(CHANGED)
    assert shop.pull({**PEOPLE, "cursor": "id"}).rows == 2


def test_a_backfill_reads_its_days(shop: Shop) -> None:
    shop.pull(CHANGED)
    window = Window(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC))
    assert shop.pull(CHANGED, options={"window": window}).rows == 1
    assert shop.pull(CHANGED).rows == 1


def test_a_query_is_read_like_a_table(shop: Shop) -> None:
    query = 'SELECT id, upper(name) AS "fullName", changed_at FROM people WHERE id < 5;'
    stream = {"query": query, "primary_key": ["id"], "cursor": "changed_at", "columns": {"changed_at": "timestamp"}}
    assert shop.pull(stream).ok
    assert shop.rows("id, full_name, changed_at") == [
        (1, "ANA", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        (2, "BO", datetime(2026, 3, 2, 12, tzinfo=UTC)),
    ]
    assert shop.pull(stream).rows == 1


# Deleted rows


def test_a_flag_says_what_is_deleted(shop: Shop) -> None:
    shop.pull({**CHANGED, "deleted": "gone"})
    assert shop.rows("id, _deleted") == [(1, False), (2, True)]


def test_a_time_of_deletion_says_it_as_well(shop: Shop) -> None:
    shop.run(
        "ALTER TABLE people ADD COLUMN deleted_at DATETIME", "UPDATE people SET deleted_at = '2026-03-05 00:00:00'"
    )
    shop.run("INSERT INTO people (id) VALUES (3)")
    shop.pull({**PEOPLE, "deleted": "deleted_at"})
    assert shop.rows("id, _deleted") == [(1, True), (2, True), (3, False)]


def test_a_column_of_other_words_tells_of_no_deletion(shop: Shop) -> None:
    error = shop.error({**PEOPLE, "deleted": "name"})
    assert "2 of 2 values of 'name' are neither yes nor no" in str(error)
    assert "deleted: {column: name, values: [...]}" in str(error.remedy)
    assert "columns: {name: timestamp}" in str(error.remedy)


def test_a_time_of_deletion_may_be_kept_as_text(shop: Shop) -> None:
    shop.run("ALTER TABLE people ADD COLUMN deleted_at TEXT", "UPDATE people SET deleted_at = '2026-03-05 00:00:00'")
    shop.run("INSERT INTO people (id) VALUES (3)")
    shop.pull({**PEOPLE, "deleted": "deleted_at", "columns": {"deleted_at": "timestamp"}})
    assert shop.rows("id, _deleted") == [(1, True), (2, True), (3, False)]


def test_a_value_says_what_is_deleted(shop: Shop) -> None:
    shop.pull({**PEOPLE, "deleted": {"column": "name", "values": ["BO"]}})
    assert shop.rows("id, _deleted") == [(1, False), (2, True)]


def test_rows_that_are_gone_are_found_by_their_keys_and_may_come_back(shop: Shop) -> None:
    compared = {**CHANGED, "compare_keys": True}
    shop.pull(compared)
    shop.run("DELETE FROM people WHERE id = 1")
    shop.pull(compared)
    assert shop.rows("id, name, _deleted") == [(1, "Ana", True), (2, "Bo", False)]
    shop.run("INSERT INTO people VALUES (1, 'Ana', '2026-03-01 12:00:00', 0)")
    shop.pull(compared)
    assert shop.rows("id, _deleted") == [(1, False), (2, False)]


def test_keys_of_several_columns_are_compared(shop: Shop) -> None:
    shop.run("CREATE TABLE visits (shop TEXT, day DATE, id INTEGER)")
    shop.run("INSERT INTO visits VALUES ('a', '2026-01-01', 1), ('a', '2026-01-02', 2)")
    compared = {"table": "visits", "primary_key": ["shop", "day"], "compare_keys": True}
    shop.pull(compared)
    shop.run("DELETE FROM visits WHERE id = 2")
    shop.pull(compared)
    assert shop.rows("id, day, _deleted") == [(1, date(2026, 1, 1), False), (2, date(2026, 1, 2), True)]


def test_an_empty_table_is_not_believed(shop: Shop) -> None:
    compared = {**CHANGED, "compare_keys": True}
    shop.pull(compared)
    shop.run("DELETE FROM people")
    assert "The table is empty, and 2 rows of it are stored" in str(shop.error(compared))
    assert shop.rows("_deleted, id") == [(False, 1), (False, 2)]
    assert shop.pull(compared, options={"accept_empty": True}).ok
    assert shop.rows("_deleted, id") == [(True, 1), (True, 2)]


# Types


def test_types_are_the_databases_own(shop: Shop) -> None:
    shop.run(
        "CREATE TABLE things (id INTEGER PRIMARY KEY, price NUMERIC(10, 2), ratio FLOAT, met DATETIME, born DATE, "
        "data JSON, vip BOOLEAN, photo BLOB)",
        "INSERT INTO things VALUES (1, 12.5, 0.5, '2026-07-01 12:00:00', '1980-02-01', '{\"a\": [1]}', 1, x'00')",
        "INSERT INTO things (id) VALUES (2)",
    )
    stream = {"table": "things", "primary_key": ["id"], "constants": {"currency": "EUR"}}
    assert shop.pull(stream, timezone="Europe/Berlin").ok
    moment = datetime(2026, 7, 1, 10, tzinfo=UTC)
    assert shop.rows("id, price, ratio, met, born, data, vip, currency") == [
        (1, Decimal("12.50"), 0.5, moment, date(1980, 2, 1), '{"a":[1]}', True, "EUR"),
        (2, None, None, None, None, None, None, "EUR"),
    ]
    assert shop.reports["people"].warnings == ["columns that hold bytes are not stored: photo (leave_out)."]
    shop.pull({**stream, "leave_out": ["photo"]})
    assert shop.reports["people"].warnings == []


def test_a_column_takes_the_type_that_is_declared(shop: Shop) -> None:
    shop.run("CREATE TABLE things (id INTEGER PRIMARY KEY, total TEXT)", "INSERT INTO things VALUES (1, '12.5')")
    stream = {"table": "things", "primary_key": ["id"], "columns": {"total": "double", "id": "text"}}
    assert shop.pull(stream).ok
    assert shop.rows("id, total") == [("1", 12.5)]
    shop.run("INSERT INTO things VALUES (2, 'ana@box.example')")
    error = shop.error(stream)
    assert "1 of 2 values of 'total' are no double" in str(error)
    assert "ana@" not in str(error)


def test_a_value_that_is_not_of_its_columns_type_is_named(shop: Shop) -> None:
    shop.run("CREATE TABLE things (id INTEGER PRIMARY KEY, n INTEGER)", "INSERT INTO things VALUES (1, 'x')")
    assert "Column 'n' holds values of another type" in str(shop.error({"table": "things", "primary_key": ["id"]}))


def test_a_row_without_its_key_is_named(shop: Shop) -> None:
    assert "Rows without a value in 'name'" in str(_without_key(shop))


def _without_key(shop: Shop) -> MillstreamError:
    shop.run("INSERT INTO people VALUES (3, NULL, NULL, 0)")
    return shop.error({**PEOPLE, "primary_key": ["name"]})


# What is missing


def test_a_missing_file_is_named_and_not_made(shop: Shop, tmp_path: Path) -> None:
    error = shop.error(url=f"sqlite:///{tmp_path}/other.db")
    assert isinstance(error, NotFoundError)
    assert not (tmp_path / "other.db").exists()


def test_a_missing_table_is_named_with_those_that_are_there(shop: Shop) -> None:
    error = shop.error({**PEOPLE, "table": "peple"})
    assert str(error) == "shop.people: There is no table 'peple'. Allowed: people. What to do: did you mean 'people'?"


@pytest.mark.parametrize(
    "stream",
    [
        {**PEOPLE, "primary_key": ["nmae"]},
        {**PEOPLE, "cursor": "nmae"},
        {**PEOPLE, "deleted": "nmae"},
        {**PEOPLE, "people": {"identifiers": {"nmae": "email"}}},
    ],
)
def test_a_missing_column_is_named_with_those_that_are_there(shop: Shop, stream: dict[str, Any]) -> None:
    assert str(shop.error(stream)) == (
        "shop.people: There is no column 'nmae' in people. Allowed: id, name, changed_at, gone. "
        "What to do: did you mean 'name'?"
    )


def test_a_query_that_the_database_refuses_is_named(shop: Shop) -> None:
    error = shop.error({"query": "SELECT id FROM nowhere", "primary_key": ["id"]})
    assert "The database refuses the query" in str(error)
    assert "nowhere" in str(error)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nosuch://host/db", "There is no dialect 'nosuch'"),
        ("no url at all", "URL cannot be read"),
        ("mysql+pymysql://u@host/db", "driver 'pymysql' of 'mysql\\+pymysql' is not installed"),
    ],
)
def test_a_wrong_url_is_a_matter_of_settings(shop: Shop, url: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        shop.source(url=url)._database.check()


@pytest.mark.parametrize(
    ("said", "ours"),
    [
        ('FATAL:  password authentication failed for user "u"', AuthenticationError),
        ("(1045, \"Access denied for user 'u'@'h' (using password: YES)\")", AuthenticationError),
        ("could not translate host name", UnreachableError),
        ("permission denied for table people", PermissionDeniedError),
        ('FATAL:  database "shop" does not exist', NotFoundError),
    ],
)
def test_errors_of_databases_become_ours(shop: Shop, said: str, ours: type[Exception]) -> None:
    error = shop.source()._database._ours(sa.exc.OperationalError("SELECT 1", {}, Exception(said)))
    assert isinstance(error, ours)
    assert error.remedy


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"url": "postgresql://u:secret@h/db"}, "a password does not stand in `url`"),
        ({"url": None}, "either `url` or `secret_url`"),
        ({"secret_url": "sqlite:///x"}, "either `url` or `secret_url`"),
        ({"timezone": "Mars"}, "no time zone"),
        ({"streams": {"people": {"table": "a", "query": "b", "primary_key": ["id"]}}}, "either a `table` or a `query`"),
        ({"streams": {"people": {"table": "a"}}}, "primary_key"),
        ({"streams": {"people": {**PEOPLE, "leave_out": ["id"]}}}, "cannot be left out"),
    ],
)
def test_wrong_settings_are_refused_at_once(shop: Shop, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        shop.source(**settings)


def test_a_relative_file_starts_at_the_project_file(tmp_path: Path) -> None:
    given = {"url": "sqlite:///till.db", "streams": {"people": PEOPLE}}
    made = SqlSettings.model_validate(given, context={"root": tmp_path})
    assert made.url == f"sqlite:///{tmp_path}/till.db"


# PostgreSQL


@pytest.fixture
def postgres(tmp_path: Path, postgres_server: Server) -> Iterator[Shop]:
    with postgres_server.database() as url:
        shop = Shop(tmp_path, url.replace("postgresql://", "postgresql+psycopg2://"))
        shop.run(
            "CREATE SCHEMA till",
            "CREATE TABLE till.people (id uuid PRIMARY KEY, name text, changed_at timestamptz, local_at timestamp, "
            "data jsonb, tags text[], price numeric(12, 3), photo bytea, kind interval)",
            "INSERT INTO till.people VALUES ('00000000-0000-0000-0000-000000000001', 'Ana', '2026-03-01 12:00+02', "
            "'2026-07-01 12:00', '{\"a\": 1}', '{x,y}', 1.5, 'x', '1 day')",
            "INSERT INTO till.people (id, name, changed_at) "
            "VALUES ('00000000-0000-0000-0000-000000000002', 'Bo', '2026-03-02 12:00+00')",
        )
        yield shop


def test_postgres_types_and_cursors_come_over(postgres: Shop) -> None:
    stream = {**CHANGED, "table": "till.people", "compare_keys": True}
    assert postgres.pull(stream, timezone="Europe/Berlin").errors == []
    assert postgres.rows("name, changed_at, local_at, data, tags, price") == [
        ("Ana", datetime(2026, 3, 1, 10, tzinfo=UTC), datetime(2026, 7, 1, 10, tzinfo=UTC), '{"a":1}', '["x","y"]',
         Decimal("1.500")),
        ("Bo", datetime(2026, 3, 2, 12, tzinfo=UTC), None, None, None, None),
    ]  # fmt: skip
    postgres.run("DELETE FROM till.people WHERE name = 'Ana'")
    assert postgres.pull(stream, timezone="Europe/Berlin").rows == 2
    assert postgres.rows("name, _deleted") == [("Ana", True), ("Bo", False)]


def test_a_wrong_database_is_named(postgres: Shop) -> None:
    wrong = postgres.url.rpartition("/")[0] + "/nowhere"
    [result] = check_source(postgres.source({**PEOPLE, "table": "till.people"}, url=wrong), name="shop")
    assert "There is no such database" in result.detail


def test_a_wrong_password_is_named_and_not_shown(shop: Shop) -> None:
    refused = sa.exc.OperationalError("", {}, Exception('password authentication failed for user "reader" s3cret'))
    source = shop.source(password="s3cret")
    error = source._database._ours(refused)
    assert isinstance(error, AuthenticationError)
    assert "s3cret" not in str(error) + repr(source.settings)


def test_a_server_that_is_not_there_is_told_from_a_wrong_password(shop: Shop) -> None:
    [result] = check_source(shop.source(url="postgresql+psycopg2://u@127.0.0.1:9/db", password="p"), name="shop")
    assert (result.problem, result.ok) == ("network", False)
