"""A vendor that does nothing but count: a system of the sandbox whose limits a test chooses."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

from starlette.routing import Mount

from millstream.sandbox import Sandbox
from millstream.sandbox.limits import Window
from millstream.sandbox.system import Answer, ApiError, Call, Route, System, route


@dataclass(frozen=True)
class Limits:
    """What the vendor allows, and how it says so.

    Attributes:
        requests: Requests in each window.
        seconds: Length of the window.
        fixed: The window begins anew at fixed times, instead of sliding.
        headers: Whether answers say what is left.
        day: Requests in all.
        connections: Requests at once.
    """

    requests: int
    seconds: float
    fixed: bool = False
    headers: bool = True
    day: int | None = None
    connections: int | None = None


class FixedWindow:
    """At most ``allowed`` requests between two fixed moments."""

    def __init__(self, allowed: int, seconds: float) -> None:
        self.allowed, self.seconds = allowed, seconds
        self._number, self._taken = 0, 0

    def take(self) -> bool:
        """Count a request if there is room."""
        if self.remaining <= 0:
            return False
        self._taken += 1
        return True

    @property
    def remaining(self) -> int:
        """Requests left until the window begins anew."""
        number = int(time.monotonic() / self.seconds)
        if number != self._number:
            self._number, self._taken = number, 0
        return self.allowed - self._taken

    @property
    def wait(self) -> float:
        """Seconds until then."""
        return self.seconds - time.monotonic() % self.seconds


class Metered(System):
    """Counts requests and refuses those that are too many."""

    name = "metered"
    title = "Metered"
    limits: ClassVar[Limits] = Limits(1000, 1.0)

    def reset(self) -> None:
        """Nothing was asked yet."""
        limits = self.limits
        kind = FixedWindow if limits.fixed else Window
        self.window: Window | FixedWindow = kind(limits.requests, limits.seconds)
        self.day_left = limits.day
        self.accepted: list[float] = []
        self.refused: list[float] = []
        self.most_at_once = 0

    def routes(self) -> Sequence[Route]:
        """One."""
        return [route("GET", "/things", lambda _: Answer({"fine": True}))]

    def authenticate(self, call: Call) -> str:
        """Anybody."""
        del call
        return ""

    def admit(self, call: Call) -> dict[str, str]:
        """Count."""
        del call
        self.most_at_once = max(self.most_at_once, self.in_flight)
        crowded = self.limits.connections is not None and self.in_flight > self.limits.connections
        if crowded or self.day_left == 0 or not self.window.take():
            raise self.rate_limited(self.window.wait, None)
        self.accepted.append(time.monotonic())
        if self.day_left is not None:
            self.day_left -= 1
        return self._said()

    def _said(self) -> dict[str, str]:
        if not self.limits.headers:
            return {}
        said = {"X-Left": str(self.window.remaining), "X-Reset": f"{self.window.wait:.3f}"}
        return said if self.day_left is None else {**said, "X-Day-Left": str(self.day_left), "X-Day-Reset": "4500"}

    def rate_limited(self, seconds: float, policy: str | None) -> ApiError:
        """Too many."""
        del policy
        self.refused.append(time.monotonic())
        headers = {"Retry-After": str(max(1, math.ceil(seconds))), **self._said()} if self.limits.headers else {}
        return ApiError(429, {"message": "Too many requests."}, headers)

    def not_found(self, method: str, path: str) -> ApiError:
        """No such place."""
        return ApiError(404, {"message": f"{method} {path}"})

    def server_error(self, status: int) -> ApiError:
        """An ordered failure."""
        return ApiError(status, {"message": "failed"})

    def share_used(self, *, after: float = 0.0) -> float:
        """How much of the allowed rate was used: the shortest time for as many requests, by the time they took."""
        limits = self.limits
        moments = [moment for moment in self.accepted if moment > after]
        windows = (len(moments) - 1) // limits.requests
        assert windows >= 2, f"only {len(moments)} requests"
        return windows * limits.seconds / (moments[windows * limits.requests] - moments[0])

    def most_in_a_window(self) -> int:
        """The largest number of requests in any stretch as long as the window."""
        first = most = 0
        for last, moment in enumerate(self.accepted):
            while moment - self.accepted[first] >= self.limits.seconds:
                first += 1
            most = max(most, last - first + 1)
        return most


@contextmanager
def metered(limits: Limits, *, latency_ms: float = 10) -> Iterator[tuple[Metered, str]]:
    """The vendor over real HTTP, and its address."""
    with Sandbox(people=1, latency_ms=latency_ms) as sandbox:
        chosen = type("Chosen", (Metered,), {"limits": limits})
        system = chosen(sandbox.environment)
        sandbox.app.router.routes.append(Mount("/metered", app=system))
        yield system, sandbox.url
