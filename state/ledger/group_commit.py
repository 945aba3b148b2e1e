"""Statements of several threads in one transaction: a commit waits for the disk, whatever is in it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa


@dataclass(slots=True)
class _Entry:
    statement: sa.Insert | sa.Update
    values: dict[str, Any]
    key: int | None = None
    done: bool = False
    error: BaseException | None = None


class GroupCommit:
    """Lets threads write side by side. Whoever comes while another one commits goes with the next commit.

    Args:
        writing: Opens a transaction that writes.
    """

    def __init__(self, writing: Callable[[], AbstractContextManager[sa.Connection]]) -> None:
        self._writing = writing
        self._turn = threading.Lock()
        self._waiting: deque[_Entry] = deque()

    def execute(self, statement: sa.Insert | sa.Update, values: dict[str, Any]) -> int | None:
        """Execute a statement; when this returns, it is committed.

        Returns:
            The key of the row that an INSERT made.
        """
        mine = _Entry(statement, values)
        self._waiting.append(mine)
        with self._turn:
            if not mine.done:
                self._write_waiting()
        if mine.error is not None:
            raise mine.error
        return mine.key

    def _write_waiting(self) -> None:
        entries = [self._waiting.popleft() for _ in range(len(self._waiting))]
        try:
            with self._writing() as connection:
                for entry in entries:
                    entry.key = _key(connection.execute(entry.statement, entry.values), entry.statement)
        except BaseException as error:
            for entry in entries:
                entry.error = error
            raise
        finally:
            for entry in entries:
                entry.done = True


def _key(result: sa.CursorResult[Any], statement: sa.Insert | sa.Update) -> int | None:
    key = result.inserted_primary_key if isinstance(statement, sa.Insert) else None
    return None if key is None else int(key[0])
