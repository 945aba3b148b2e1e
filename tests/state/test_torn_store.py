"""A store whose process was killed in the middle of writing a block opens again, with all that was committed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from millstream.state.errors import FatalError
from millstream.state.store.duckdb import DuckDBStore
from millstream.state.store.torn import HEADERS

BLOCK = 262_144
KILLED = """
import os, signal, sys
from pathlib import Path
from millstream.state.store.duckdb import DuckDBStore
with DuckDBStore(Path(sys.argv[1])).open():
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_block_of_metadata_that_was_half_written_is_mended(tmp_path: Path) -> None:
    before, after, log = _checkpoint(tmp_path)
    torn = [number for number in _metadata(after) if _block(before, number) not in (b"", _block(after, number))]
    refused = 0
    for number in torn:
        path = _left_behind(tmp_path / f"{number}.duckdb", before, after, number)
        shutil.copy(log, f"{path}.wal")
        refused += _is_refused(path)
        with DuckDBStore(path).open() as connection:
            assert _content(connection) == _content_of(after)
        assert not _is_refused(path)
    assert refused


def test_what_is_damaged_otherwise_is_left_as_it_is(tmp_path: Path) -> None:
    _, after, _ = _checkpoint(tmp_path)
    path = tmp_path / "damaged.duckdb"
    content = bytearray(after.read_bytes())
    content[HEADERS + 100] ^= 1
    path.write_bytes(content)
    with (
        pytest.raises(FatalError, match=r"is damaged: .*What to do: move it, its .wal and its .open away"),
        DuckDBStore(path).open(),
    ):
        pass
    assert path.read_bytes() == bytes(content)


def test_data_that_was_damaged_is_not_taken_for_half_written(tmp_path: Path) -> None:
    _, after, _ = _checkpoint(tmp_path)
    data = next(number for number in range(1, 100) if number not in _metadata(after))
    path = tmp_path / "damaged.duckdb"
    content = bytearray(after.read_bytes())
    content[HEADERS + data * BLOCK + 100] ^= 1
    path.write_bytes(content)
    _kill_while_open(path)
    with pytest.raises(duckdb.IOException, match="Corrupt"), DuckDBStore(path).open() as connection:
        _content(connection)


def _checkpoint(folder: Path) -> tuple[Path, Path, Path]:
    """A file before a checkpoint and after it, and the log that stood beside it meanwhile."""
    path = folder / "store.duckdb"
    with DuckDBStore(path).open() as connection:
        for number in range(40):
            connection.execute(f"CREATE TABLE t{number} AS SELECT x AS a, md5(x::TEXT) AS b FROM range(2000) AS r (x)")
    with DuckDBStore(path).open() as connection:
        connection.execute("UPDATE t3 SET a = a + 1 WHERE a % 10 = 3")
    before, log = folder / "before.duckdb", folder / "before.wal"
    with DuckDBStore(path).open() as connection:
        connection.execute("INSERT INTO t4 SELECT * FROM t5; DELETE FROM t6 WHERE a % 17 = 1")
        before.write_bytes(_read_aside(path))
        log.write_bytes(_read_aside(Path(f"{path}.wal")))
    return before, path, log


def _read_aside(path: Path) -> bytes:
    """In a process of its own: to close a file lets go of the locks that this process has on it."""
    return subprocess.run(["cat", path], check=True, capture_output=True).stdout


def _left_behind(path: Path, before: Path, after: Path, torn: int) -> Path:
    """The file as a process leaves it that is killed in the middle of a block, before it writes the header."""
    content = bytearray(after.read_bytes())
    old = before.read_bytes()
    content[:HEADERS] = old[:HEADERS]
    middle = HEADERS + torn * BLOCK + BLOCK // 2
    content[middle : middle + BLOCK // 2] = old[middle : middle + BLOCK // 2]
    path.write_bytes(content)
    _kill_while_open(path, copy=before)
    return path


def _kill_while_open(path: Path, copy: Path | None = None) -> None:
    """Have a process killed that has the store open, and leave the file as it was."""
    content = path.read_bytes()
    if copy is not None:
        shutil.copy(copy, path)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False, env=dict(os.environ))
    assert killed.returncode == -signal.SIGKILL
    path.write_bytes(content)


def _metadata(path: Path) -> set[int]:
    with closing(duckdb.connect(str(path), read_only=True)) as connection:
        return {number for (number,) in connection.execute("SELECT block_id FROM pragma_metadata_info()").fetchall()}


def _block(path: Path, number: int) -> bytes:
    return path.read_bytes()[HEADERS + number * BLOCK :][:BLOCK]


def _content_of(path: Path) -> list[object]:
    with closing(duckdb.connect(str(path), read_only=True)) as connection:
        return _content(connection)


def _content(connection: duckdb.DuckDBPyConnection) -> list[object]:
    return [
        connection.execute(f"SELECT count(*), sum(a), sum(hash(b)) FROM t{number}").fetchone() for number in range(40)
    ]


def _is_refused(path: Path) -> bool:
    try:
        _content_of(path)
    except duckdb.IOException as error:
        return "Corrupt database file" in str(error)
    return False
