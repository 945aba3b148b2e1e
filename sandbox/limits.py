"""How many requests a vendor takes."""

from __future__ import annotations

import time
from collections import deque


class Window:
    """A rolling window: at most `allowed` requests in any `seconds`."""

    def __init__(self, allowed: int, seconds: float) -> None:
        self.allowed = allowed
        self.seconds = seconds
        self._taken: deque[float] = deque()

    def take(self) -> bool:
        """Count one request if there is room for it."""
        if self.remaining <= 0:
            return False
        self._taken.append(time.monotonic())
        return True

    @property
    def remaining(self) -> int:
        """How many requests still fit now."""
        now = time.monotonic()
        while self._taken and now - self._taken[0] >= self.seconds:
            self._taken.popleft()
        return self.allowed - len(self._taken)

    @property
    def wait(self) -> float:
        """Seconds until the oldest counted request leaves the window."""
        return max(0.0, self.seconds - (time.monotonic() - self._taken[0])) if self._taken else 0.0
