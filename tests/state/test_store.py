"""The store has one writer at a time, and waits instead of failing."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pytest

from millstream.state.errors import ConfigurationError, StoreLockedError
from millstream.state.store import Store

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
    with Store(path).open() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    other.stdout.close()
    assert other.wait() == 0


def test_patience_ends_with_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "store.duckdb"
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(path), "30"], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    other.stdout.readline()
    with pytest.raises(StoreLockedError, match=r"store\.duckdb is being written to"), Store(path, patience=0.5).open():
        pass
    other.kill()
    other.wait()
    other.stdout.close()


def test_threads_and_processes_queue_and_lose_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.duckdb")
    with store.open() as connection:
        connection.execute("CREATE TABLE counter AS SELECT 0 AS n")
    code = (
        "import sys; from pathlib import Path; from millstream.state.store import Store\n"
        "store = Store(Path(sys.argv[1]))\n"
        "for _ in range(10):\n"
        "    with store.transaction() as connection: connection.execute('UPDATE counter SET n = n + 1')\n"
    )
    others = [subprocess.Popen([sys.executable, "-c", code, str(store.path)]) for _ in range(2)]

    def add(_: int) -> None:
        with store.transaction() as connection:
            connection.execute("UPDATE counter SET n = n + 1")

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(add, range(20)))
    assert [other.wait() for other in others] == [0, 0]
    with store.open() as connection:
        assert connection.execute("SELECT n FROM counter").fetchone() == (40,)


def test_a_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.duckdb")

    def fail() -> None:
        with store.transaction() as connection:
            connection.execute("CREATE TABLE kept (n INTEGER)")
            connection.execute("SELECT * FROM nowhere")

    with pytest.raises(duckdb.CatalogException):
        fail()
    with store.open() as connection:
        assert connection.execute("SHOW TABLES").fetchall() == []


def test_one_thread_may_hold_it_twice(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.duckdb")
    entered = threading.Event()

    def hold() -> None:
        with store.exclusive(), store.exclusive():
            entered.set()
            time.sleep(0.01)

    thread = threading.Thread(target=hold)
    thread.start()
    thread.join(timeout=5)
    assert entered.is_set()


def test_another_kind_of_url_names_what_is_allowed(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="duckdb:///path"):
        Store.from_url("snowflake://user:secret@account", root=tmp_path)
    assert Store.from_url("duckdb:///a/b.duckdb", root=tmp_path).path == tmp_path / "a" / "b.duckdb"
