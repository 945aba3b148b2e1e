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
            The number that it gives back, by RETURNING, of the row that it made; None where it made none.
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
                    result = connection.execute(entry.statement, entry.values)
                    entry.key = result.scalar() if result.returns_rows else None
        except BaseException as error:
            for entry in entries:
                entry.error = error
            raise
        finally:
            for entry in entries:
                entry.done = True
