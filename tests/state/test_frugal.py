"""Work in little memory: DuckDB is held to a limit, and what cannot be done within it is done anew without."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from millstream.state.store import Connection, DuckDBStore, count, frugal, in_little_memory, looked_up_in_little_memory


def _limit(connection: Connection) -> str:
    row = connection.execute("SELECT current_setting('memory_limit')").fetchone()
    assert row is not None
    return str(row[0])


def _threads_and_limit(connection: Connection) -> tuple[int, float]:
    """The limit in bytes."""
    row = connection.execute("SELECT current_setting('threads')").fetchone()
    assert row is not None
    number, unit = _limit(connection).split()
    return int(row[0]), float(number) * {"MiB": 2**20, "GiB": 2**30}[unit]


def test_what_fits_is_done_once_within_a_limit(tmp_path: Path) -> None:
    store = DuckDBStore(tmp_path / "store.duckdb")
    limits = [in_little_memory(store, _limit)]
    with store.open() as connection:
        assert limits != [_limit(connection)]


def test_with_fewer_threads_the_limit_is_smaller(tmp_path: Path) -> None:
    store = DuckDBStore(tmp_path / "store.duckdb")
    one, three = (in_little_memory(store, _threads_and_limit, threads=threads) for threads in (1, 3))
    assert (one[0], three[0]) == (1, 3)
    assert one[1] < three[1]


def test_what_is_done_anew_has_all_threads(tmp_path: Path) -> None:
    store = DuckDBStore(tmp_path / "store.duckdb")
    with store.open() as connection:
        usual = _threads_and_limit(connection)
    found: list[tuple[int, float]] = []

    def work(connection: Connection) -> None:
        found.append(_threads_and_limit(connection))
        if len(found) == 1:
            raise duckdb.OutOfMemoryException("could not allocate a block")

    in_little_memory(store, work, threads=usual[0] + 1)
    assert found[0][0] == usual[0] + 1
    assert found[1] == usual


def test_of_what_is_looked_up_within_a_limit_nothing_is_kept(tmp_path: Path) -> None:
    store = DuckDBStore(tmp_path / "store.duckdb")

    def look(connection: Connection) -> str:
        connection.execute("CREATE TABLE looked_at AS SELECT 1 AS number")
        return _limit(connection)

    assert looked_up_in_little_memory(store, look) == in_little_memory(store, _limit)
    with store.open() as connection:
        assert count(connection, "SELECT count(*) FROM duckdb_tables()") == 0


def test_a_smaller_limit_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = DuckDBStore(tmp_path / "store.duckdb")
    monkeypatch.setattr(frugal, "_MEGABYTES", 10**9)
    with store.open() as connection:
        usual = _limit(connection)
    assert in_little_memory(store, _limit) == usual


def test_what_was_moved_to_disk_for_a_process_that_was_killed_is_taken_away(tmp_path: Path) -> None:
    store = DuckDBStore(tmp_path / "store.duckdb")
    left = tmp_path / "store.duckdb.tmp" / "duckdb_temp_storage_DEFAULT-0.tmp"
    left.parent.mkdir()
    left.write_text("somebody@box.example")
    with store.exclusive(), store.open():
        assert not left.exists()
        left.write_text("of a process that works with it")
        with store.open():
            assert left.exists()


@pytest.mark.parametrize(
    "error",
    [
        duckdb.OutOfMemoryException("could not allocate a block"),
        OSError("Out of Memory Error: could not allocate a block"),  # while Arrow reads rows
    ],
    ids=["DuckDB", "Arrow"],
)
def test_what_does_not_fit_is_done_anew_as_a_whole(tmp_path: Path, error: Exception) -> None:
    store = DuckDBStore(tmp_path / "store.duckdb")
    limits: list[str] = []

    def work(connection: Connection) -> int:
        limits.append(_limit(connection))
        connection.execute("CREATE TABLE kept AS SELECT 1 AS number")
        if len(limits) == 1:
            raise error
        return count(connection, "SELECT count(*) FROM kept")

    assert in_little_memory(store, work) == 1
    assert len(set(limits)) == 2


@pytest.mark.parametrize(
    "error", [duckdb.CatalogException("no such table"), OSError("no space left on device")], ids=["DuckDB", "disk"]
)
def test_what_fails_for_another_reason_is_not_done_anew(tmp_path: Path, error: Exception) -> None:
    store = DuckDBStore(tmp_path / "store.duckdb")
    tries: list[int] = []

    def work(connection: Connection) -> None:
        tries.append(1)
        raise error

    with pytest.raises(type(error)):
        in_little_memory(store, work)
    assert tries == [1]


def test_joins_that_are_moved_to_disk_lose_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # There are versions of DuckDB whose joins do, in silence: then a plan would take people out who are wanted.
    store = DuckDBStore(tmp_path / "store.duckdb")
    with store.open() as connection:
        connection.execute("CREATE TABLE here AS SELECT repeat('k', 20) || range AS key FROM range(400000)")
        connection.execute("CREATE TABLE everybody AS SELECT repeat('k', 20) || range AS key FROM range(800000)")
    monkeypatch.setattr(frugal, "_MEGABYTES", 22)
    monkeypatch.setattr(frugal, "_MEGABYTES_A_THREAD", 0)
    tried: list[int] = []

    def work(connection: Connection) -> list[int]:
        connection.execute("SET threads = 1")
        tried.append(1)
        return [
            count(connection, f"SELECT count(*) FROM {query}")
            for query in (
                "everybody WHERE key IN (SELECT key FROM here)",
                "everybody WHERE key NOT IN (SELECT key FROM here)",
                "everybody JOIN here USING (key)",
                "everybody LEFT JOIN here ON here.key = everybody.key WHERE here.key IS NULL",
            )
        ]

    assert in_little_memory(store, work) == [400_000] * 4
    assert tried == [1]


@pytest.mark.parametrize(("told", "used"), [(None, "system"), ("mimalloc", "mimalloc")])
def test_arrow_takes_memory_from_the_system_unless_told_otherwise(
    told: str | None, used: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if told is None:
        monkeypatch.delenv("ARROW_DEFAULT_MEMORY_POOL", raising=False)
    else:
        monkeypatch.setenv("ARROW_DEFAULT_MEMORY_POOL", told)
    program = "import millstream, pyarrow; print(pyarrow.default_memory_pool().backend_name)"
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == used
