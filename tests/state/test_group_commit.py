"""Threads that write to the journal side by side share commits, and nobody goes on before theirs is done."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from millstream.state.ledger.group_commit import GroupCommit

_TABLE = sa.Table("notes", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("text", sa.Text))
_INSERT = _TABLE.insert().returning(_TABLE.c.id)


class Disk:
    """A database whose commits take a while, and that counts them."""

    def __init__(self, path: Path, *, full: bool = False) -> None:
        self.engine = sa.create_engine(f"sqlite:///{path}")
        _TABLE.create(self.engine)
        self.commits = 0
        self._full = full

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        with self.engine.begin() as connection:
            yield connection
            time.sleep(0.05)
            if self._full:
                raise OSError("the disk is full")
        self.commits += 1

    def texts(self) -> dict[int, str]:
        with self.engine.connect() as connection:
            return {row.id: row.text for row in connection.execute(_TABLE.select())}


def test_threads_share_commits_and_each_gets_its_own_key(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "notes.sqlite")
    together = GroupCommit(disk.writing)
    committed: list[bool] = []

    def write(text: str) -> tuple[int | None, str]:
        key = together.execute(_INSERT, {"text": text})
        committed.append(key in disk.texts())
        return key, text

    with ThreadPoolExecutor(8) as threads:
        written = dict(threads.map(write, [f"note {number}" for number in range(32)]))

    assert written == disk.texts()
    assert all(committed)
    assert disk.commits < len(written)


def test_an_update_has_no_key(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "notes.sqlite")
    together = GroupCommit(disk.writing)
    key = together.execute(_INSERT, {"text": "before"})

    assert together.execute(_TABLE.update(), {"text": "after"}) is None
    assert disk.texts() == {key: "after"}


def test_whose_commit_fails_is_told_so_whoever_made_it(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "notes.sqlite", full=True)
    together = GroupCommit(disk.writing)
    begun = threading.Barrier(4)

    def write(text: str) -> None:
        begun.wait(10)
        with pytest.raises(OSError, match="full"):
            together.execute(_INSERT, {"text": text})

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(write, "abcd"))
    assert disk.texts() == {}
