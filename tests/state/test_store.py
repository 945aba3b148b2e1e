"""The store has one writer at a time, and waits instead of failing."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path

import psycopg2
import pyarrow as pa
import pytest
from filelock import FileLock

from millstream.state.checks import run_check
from millstream.state.errors import (
    AuthenticationError,
    ConfigurationError,
    MillstreamError,
    QueryError,
    StoreLockedError,
    UnreachableError,
)
from millstream.state.store import (
    DuckDBStore,
    PostgresStore,
    Store,
    column_types,
    drop_temporary_tables,
    load_parquet,
    query_columns,
    query_errors,
    read_arrow,
    read_batches,
    write_arrow,
    write_parquet,
)
from millstream.state.store.postgres import WRITERS
from tests.engines import Engine
from tests.postgres import Server

ROOT = Path(__file__).parents[2]
START = datetime(2026, 1, 1, 12, tzinfo=UTC)

HOLD = """
import sys, time, duckdb
connection = duckdb.connect(sys.argv[1])
print("held", flush=True)
time.sleep(float(sys.argv[2]))
"""


def test_a_program_from_outside_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "store.duckdb"
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(path), "1"], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    other.stdout.readline()
    with DuckDBStore(path).open() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    other.stdout.close()
    assert other.wait() == 0


def test_patience_ends_with_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "store.duckdb"
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(path), "30"], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    other.stdout.readline()
    store = DuckDBStore(path, patience=0.5)
    with pytest.raises(StoreLockedError, match=r"store\.duckdb is being written to"), store.open():
        pass
    other.kill()
    other.wait()
    other.stdout.close()


def test_who_waits_is_told_for_whom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("millstream.state.store.duckdb.SILENCE", 0.2)
    path = tmp_path / "store.duckdb"
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(path), "2"], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    other.stdout.readline()
    with DuckDBStore(path).open():
        pass
    other.stdout.close()
    other.wait()
    told = f"Waiting for the store store.duckdb, which process {other.pid} has open; for 10 minutes at most."
    assert [record.getMessage() for record in caplog.records] == [told]


def test_who_waits_for_a_run_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("millstream.state.store.duckdb.SILENCE", 0.1)
    path = tmp_path / "store.duckdb"
    with FileLock(f"{path}.lock", thread_local=False) as run:
        threading.Timer(0.5, run.release).start()
        with DuckDBStore(path).open():
            pass
    assert [record.getMessage() for record in caplog.records] == [
        "Waiting for the store store.duckdb, which another process has open; for 10 minutes at most."
    ]


def test_a_file_of_another_kind_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "store.duckdb").write_text("something else")
    store = DuckDBStore(tmp_path / "store.duckdb")
    told = r"store\.duckdb is there, and is no DuckDB database\. What to do"
    with pytest.raises(ConfigurationError, match=told), store.open():
        pass


# On each engine


@pytest.fixture
def store(engine: Engine, tmp_path: Path) -> Iterator[Store]:
    with engine.store(tmp_path) as made:
        yield made


def url_of(store: Store) -> str:
    return store.url if isinstance(store, PostgresStore) else f"duckdb:///{store.path}"


def add_one(store: Store) -> None:
    """Read and write in two steps: two that did it at once would lose one."""
    with store.transaction() as connection:
        (row,) = connection.execute("SELECT n FROM shop.counter").fetchall()
        connection.execute("UPDATE shop.counter SET n = ?", [row[0] + 1])


ADD_TEN = """
import sys
from pathlib import Path
from millstream.state.store import Store
from tests.state.test_store import add_one
store = Store.from_url(sys.argv[1], root=Path())
for _ in range(10):
    add_one(store)
"""


def test_threads_and_processes_queue_and_lose_nothing(store: Store) -> None:
    with store.open() as connection:
        connection.execute("CREATE SCHEMA shop; CREATE TABLE shop.counter AS SELECT 0 AS n")
    others = [subprocess.Popen([sys.executable, "-c", ADD_TEN, url_of(store)], cwd=ROOT) for _ in range(2)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(add_one, [store] * 20))
    assert [other.wait() for other in others] == [0, 0]
    with store.open() as connection:
        assert connection.execute("SELECT n FROM shop.counter").fetchone() == (40,)


def test_a_failed_transaction_leaves_nothing(store: Store) -> None:
    def fail() -> None:
        with store.transaction() as connection, query_errors():
            connection.execute("CREATE SCHEMA shop; CREATE TABLE shop.kept (n INTEGER)")
            connection.execute("SELECT * FROM nowhere")

    with pytest.raises(QueryError, match="nowhere"):
        fail()
    with store.open() as connection:
        assert column_types(connection, "shop", "kept") == {}


def test_a_rehearsal_leaves_nothing(store: Store) -> None:
    with store.rehearsal() as connection:
        connection.execute("CREATE SCHEMA shop; CREATE TABLE shop.kept (n INTEGER)")
        assert column_types(connection, "shop", "kept") == {"n": "INTEGER"}
    with store.open() as connection:
        assert column_types(connection, "shop", "kept") == {}


def test_columns_are_told_by_the_types_they_were_declared_with(store: Store) -> None:
    declared = {
        "a b": "TEXT", "many": "TEXT[]", "part": "DOUBLE", "whole": "BIGINT", "flag": "BOOLEAN", "day": "DATE",
        "at": "TIMESTAMPTZ", "said": "JSON",
    }  # fmt: skip
    columns = ", ".join(f'"{name}" {kind}' for name, kind in declared.items())
    with store.open() as connection:
        connection.execute(f"CREATE SCHEMA shop; CREATE TABLE shop.kept ({columns})")
        connection.execute("CREATE VIEW shop.seen AS SELECT * FROM shop.kept")
        assert column_types(connection, "shop", "kept") == declared
        assert column_types(connection, "shop", "seen") == declared
        assert column_types(connection, "shop", "nowhere") == {}
        assert column_types(connection, "nowhere", "kept") == {}


def test_asking_for_a_table_that_is_not_there_ends_no_transaction(store: Store) -> None:
    with store.transaction() as connection:
        connection.execute("CREATE SCHEMA shop; CREATE TABLE shop.kept (n INTEGER); INSERT INTO shop.kept VALUES (1)")
        assert column_types(connection, "shop", "nowhere") == {}
        connection.execute("INSERT INTO shop.kept VALUES (2)")
    with store.open() as connection:
        assert connection.execute("SELECT count(*) FROM shop.kept").fetchone() == (2,)


def test_one_thread_may_hold_it_twice(store: Store) -> None:
    entered = threading.Event()

    def hold() -> None:
        with store.exclusive(), store.exclusive(), store.open() as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
            entered.set()

    thread = threading.Thread(target=hold)
    thread.start()
    thread.join(timeout=30)
    assert entered.is_set()


def test_arrow_goes_in_and_out_as_it_is(store: Store, tmp_path: Path) -> None:
    moment = pa.timestamp("us", tz="UTC")
    data = pa.table(
        {
            "text": ['a, "b"\n\\', None, "", "é€"],
            "whole": [1, None, -3, 2**62],
            "part": [0.1, None, float("inf"), -2.5],
            "flag": [True, None, False, True],
            "day": pa.array([date(2026, 1, 31), None, date(1900, 1, 1), date(1, 1, 1)], pa.date32()),
            "at": pa.array([START, None, START.replace(microsecond=125_000), START.replace(year=1900)], moment),
            "many": [["a", 'b"\\ ,{}'], None, [], [None, ""]],
        }
    )
    with store.open() as connection:
        write_arrow(connection, "given", data)
        back = read_arrow(connection, "SELECT * FROM given")
        assert back.cast(data.schema).equals(data)
        assert list(query_columns(connection, "SELECT * FROM given").values()) == [
            "TEXT", "BIGINT", "DOUBLE", "BOOLEAN", "DATE", "TIMESTAMPTZ", "TEXT[]",
        ]  # fmt: skip
        write_arrow(connection, "given", data.slice(0, 1))
        assert connection.execute("SELECT count(*) FROM given").fetchone() == (1,)
        write_parquet(connection, "SELECT * FROM given", tmp_path / "given.parquet")
        load_parquet(connection, "again", tmp_path / "given.parquet")
        assert read_arrow(connection, "SELECT * FROM again").cast(data.schema).equals(data.slice(0, 1))


@pytest.mark.parametrize("inside", [True, False])
def test_many_rows_come_in_batches(store: Store, inside: bool) -> None:
    with store.transaction() if inside else store.open() as connection:
        write_arrow(connection, "numbers", pa.table({"n": range(1_000)}))
        query = "SELECT n FROM numbers WHERE n >= ? ORDER BY n"
        batches = list(read_batches(connection, query, [10], rows=300))
        assert max(batch.num_rows for batch in batches) <= 1_000
        assert [n for batch in batches for n in batch["n"].to_pylist()] == list(range(10, 1_000))
        assert sum(batch.num_rows for batch in read_batches(connection, query, [5_000])) == 0


def test_working_tables_are_dropped_by_their_prefix(store: Store) -> None:
    with store.open() as connection:
        connection.execute("CREATE TEMP TABLE work_a AS SELECT 1 AS n; CREATE TEMP TABLE other AS SELECT 2 AS n")
        drop_temporary_tables(connection, "work_")
        assert connection.execute("SELECT n FROM other").fetchone() == (2,)
        with pytest.raises(QueryError), query_errors():
            connection.execute("SELECT n FROM work_a")


def test_another_kind_of_url_names_what_is_allowed(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"duckdb:///path.*postgresql://") as raised:
        Store.from_url("snowflake://user:secret@account", root=tmp_path)
    assert "secret" not in str(raised.value)
    store = Store.from_url("duckdb:///a/b.duckdb", root=tmp_path)
    assert isinstance(store, DuckDBStore)
    assert store.path == tmp_path / "a" / "b.duckdb"


# PostgreSQL alone


def test_a_writer_that_keeps_it_too_long_is_named(postgres_server: Server) -> None:
    with postgres_server.database() as url:
        store = PostgresStore(url, patience=0.2)
        with closing(psycopg2.connect(url)) as another_program:
            another_program.cursor().execute("SELECT pg_advisory_lock(%s)", [WRITERS])
            with pytest.raises(StoreLockedError, match=f"The store {store.name} is being written to"), store.open():
                pass
        with store.open() as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,), "its end gave the lock back"


def test_who_waits_for_the_server_is_told(
    postgres_server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("millstream.state.store.postgres.SILENCE", 0.1)
    with postgres_server.database() as url:
        store = PostgresStore(url)
        with closing(psycopg2.connect(url)) as another_program:
            another_program.cursor().execute("SELECT pg_advisory_lock(%s)", [WRITERS])
            threading.Timer(0.5, another_program.close).start()
            with store.open() as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)
    [told] = [record.getMessage() for record in caplog.records]
    assert told == f"Waiting for the store {store.name}, which another process has open; for 10 minutes at most."


def without_role(url: str) -> str:
    return url.replace("tester@", "nobody:secret@")


def without_database(url: str) -> str:
    return url.replace("tester@", "tester:secret@").rsplit("/", 1)[0] + "/nowhere"


def without_server(url: str) -> str:
    return "postgresql://tester:secret@127.0.0.1:9/shop"


@pytest.mark.parametrize(
    ("wrong", "error", "problem", "named"),
    [
        (without_role, AuthenticationError, "credentials", "nobody"),
        (without_database, ConfigurationError, "other", "/nowhere"),
        (without_server, UnreachableError, "network", "127.0.0.1:9/shop"),
    ],
)
def test_a_database_that_cannot_be_used_is_named_without_the_password(
    postgres_server: Server, wrong: Callable[[str], str], error: type[MillstreamError], problem: str, named: str
) -> None:
    store = PostgresStore(wrong(postgres_server.url))

    def attempt() -> None:
        with store.open():
            pass

    with pytest.raises(error) as raised:
        attempt()
    assert named in str(raised.value)
    assert raised.value.remedy
    assert (f'CREATE DATABASE "{named[1:]}"' in raised.value.remedy) == (wrong is without_database)
    assert "secret" not in str(raised.value)
    result = run_check("store", "store", attempt)
    assert (result.ok, result.problem) == (False, problem)
    assert "secret" not in result.detail


def test_a_url_that_cannot_be_read_is_not_repeated() -> None:
    with pytest.raises(ConfigurationError) as raised:
        PostgresStore("postgresql://ana:sec ret@[host/shop")
    assert "sec ret" not in str(raised.value)


def test_a_database_that_does_not_compare_by_bytes_is_refused(postgres_server: Server) -> None:
    with (
        postgres_server.database("ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0") as url,
        pytest.raises(ConfigurationError, match="byte by byte") as raised,
        PostgresStore(url).open(),
    ):
        pass
    assert "CREATE DATABASE" in str(raised.value)


def test_a_user_who_may_not_make_schemas_is_told_what_to_grant(postgres_server: Server) -> None:
    with postgres_server.database() as url, closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        role = f"reader_{url.rsplit('_', 1)[1]}"
        connection.cursor().execute(f"CREATE ROLE {role} LOGIN")
        scheme, _, rest = url.partition("://")
        store = PostgresStore(f"{scheme}://{role}@{rest.rpartition('@')[2]}")
        try:
            with pytest.raises(QueryError, match=r"permission denied for database .*What to do: grant"), store.open():
                pass
        finally:
            connection.cursor().execute(f"DROP ROLE {role}")


def test_a_missing_driver_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'millstream\[postgres\]'"):
        PostgresStore("postgresql://ana@host/shop")


def test_the_whole_url_has_what_the_environment_gives(postgres_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGUSER", "tester")
    monkeypatch.setenv("PGPASSWORD", "s/e:c@ret")
    store = PostgresStore(postgres_server.url.replace("tester@", "") + "?sslmode=prefer")
    whole = store.whole_url()
    assert whole.startswith("postgresql://tester:s%2Fe%3Ac%40ret@127.0.0.1:")
    assert "sslmode=prefer" in whole
    PostgresStore(whole).whole_url()
