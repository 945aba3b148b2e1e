"""Work that a job does a moment after it was accepted."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable


class Later:
    """Actions in the order of their coming, each done once its time has come.

    Attributes:
        seconds: How long a job takes; tests may change it.
    """

    def __init__(self) -> None:
        self.seconds = 0.3
        self._waiting: deque[tuple[float, Callable[[], None]]] = deque()

    def put(self, action: Callable[[], None]) -> None:
        """Take in an action."""
        self._waiting.append((time.monotonic() + self.seconds, action))

    def work_off(self) -> None:
        """Do what is due. Called with every request, since nothing else wakes up."""
        while self._waiting and self._waiting[0][0] <= time.monotonic():
            self._waiting.popleft()[1]()
