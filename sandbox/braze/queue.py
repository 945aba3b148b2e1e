"""What was accepted and not yet done: an answer of the vendor says only that a thing is queued."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable


class Queue:
    """Work in the order in which it came.

    Attributes:
        seconds: How long it takes until work is done; tests may change it.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all work."""
        self._waiting: deque[tuple[float, Callable[[], None]]] = deque()
        self.seconds = 0.1

    def add(self, work: Callable[[], None]) -> None:
        """Take some work."""
        self._waiting.append((time.monotonic(), work))

    def work_off(self) -> None:
        """Do what is due. Called with every request, since nothing else wakes up."""
        while self._waiting and time.monotonic() - self._waiting[0][0] >= self.seconds:
            self._waiting.popleft()[1]()

    def finish(self) -> None:
        """Do all of it now."""
        while self._waiting:
            self._waiting.popleft()[1]()
