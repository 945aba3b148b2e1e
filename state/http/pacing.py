"""How fast a vendor may be called: the declared limit, corrected by the headers of its answers."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from millstream.state.errors import QuotaExhaustedError


@dataclass(frozen=True, kw_only=True)
class RateLimit:
    """A vendor's limits, as facts of a connector.

    Attributes:
        requests: Requests allowed in each window of ``seconds``.
        seconds: Length of the window.
        concurrency: Requests allowed in flight at once.
        remaining: Header with the requests left in the short window.
        reset: Header with the seconds until the short window renews.
        daily_remaining: Header with the requests left today.
        daily_reset: Header with the seconds until the day's budget renews.
        slack: Seconds added to a wait that a header asked for.
    """

    requests: int
    seconds: float
    concurrency: int = 1
    remaining: str | None = None
    reset: str | None = None
    daily_remaining: str | None = None
    daily_reset: str | None = None
    slack: float = 0.05


class Pacer:
    """Lets requests through at a vendor's pace; shared by the threads that call one vendor.

    Attributes:
        calls: Requests let through so far.
        daily_left: Requests left today by the vendor's own count, or None before it said so.
    """

    def __init__(
        self,
        limit: RateLimit,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.limit = limit
        self.calls = 0
        self.daily_left: int | None = None
        self._daily_resets_in: float | None = None
        self._recent: deque[float] = deque()
        self._blocked_until = 0.0
        self._clock = clock
        self.sleep = sleep
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(limit.concurrency)

    def __enter__(self) -> Pacer:
        """Wait for a free slot and for the window; leaving frees the slot."""
        self._slots.acquire()
        try:
            self._wait_for_window()
        except BaseException:
            self._slots.release()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._slots.release()

    def _wait_for_window(self) -> None:
        while True:
            with self._lock:
                if self.daily_left is not None and self.daily_left <= 0:
                    raise QuotaExhaustedError(
                        "The vendor's budget of requests for today is used up.",
                        resets_in=self._daily_resets_in,
                        remedy="run again after the budget renews; what was read so far is kept.",
                    )
                delay = self._delay(self._clock())
                if delay <= 0:
                    self._recent.append(self._clock())
                    self.calls += 1
                    return
            self.sleep(delay)

    def _delay(self, now: float) -> float:
        while self._recent and self._recent[0] + self.limit.seconds <= now:
            self._recent.popleft()
        wait = self._blocked_until - now
        if len(self._recent) >= self.limit.requests:
            wait = max(wait, self._recent[-self.limit.requests] + self.limit.seconds - now)
        return wait

    def observe(self, headers: Mapping[str, str]) -> None:
        """Take over what the vendor says of its own counters."""
        limit = self.limit
        remaining = _number(headers, limit.remaining)
        daily = _number(headers, limit.daily_remaining)
        with self._lock:
            if daily is not None:
                self.daily_left = int(daily)
                self._daily_resets_in = _number(headers, limit.daily_reset)
            if remaining is not None and remaining <= 0:
                wait = _number(headers, limit.reset)
                wait = limit.seconds if wait is None else wait
                self._blocked_until = max(self._blocked_until, self._clock() + wait + limit.slack)

    def pause(self, seconds: float) -> None:
        """Let nothing through for a time: one thread was told to slow down, so all do."""
        with self._lock:
            self._blocked_until = max(self._blocked_until, self._clock() + seconds)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds asked for by ``Retry-After``, which is a number or an HTTP date (RFC 9110, 10.2.3)."""
    value = headers.get("Retry-After")
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def _number(headers: Mapping[str, str], name: str | None) -> float | None:
    value = headers.get(name) if name else None
    try:
        return float(value) if value is not None else None
    except ValueError:
        return None
