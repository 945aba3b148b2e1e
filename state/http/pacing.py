"""How fast a vendor may be called: the declared limit, corrected by the headers of its answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from millstream.state.http.adaptive import AdaptivePace
from millstream.state.http.budget import Budget, Place, asked_to_wait, used_up
from millstream.state.http.day import DayCount
from millstream.state.http.headroom import Headroom, Own
from millstream.state.http.limit_headers import Said, retry_after, said_by
from millstream.state.http.pause import SOON, Pause
from millstream.state.http.window import SlidingWindow

__all__ = ["Pacer", "RateLimit", "margin_of", "retry_after"]

LONGEST_PAUSE = 900.0


@dataclass(frozen=True, kw_only=True)
class RateLimit:
    """A vendor's limits, as facts of a connector.

    A header may be given as ``Name;parameter`` where its value is a list such as ``total=100; remaining=99``. Waits
    may be seconds, moments (since 1970, or dates) or spans such as ``6m0s``; counts may be ``used/allowed``.

    Attributes:
        requests: Requests allowed in each window of ``seconds``.
        seconds: Length of the window.
        concurrency: Requests that one client has in flight at once.
        connections: Requests that the vendor allows in flight at once, of all clients of a credential together.
        allowed: Header with the requests allowed in the short window; what it says takes the place of ``requests``.
        remaining: Header with the requests left in the short window.
        reset: Header that says when the short window renews.
        daily: Requests that may be made in each day (UTC), counted by ourselves; over all runs where a journal is kept.
            What headers say of the day holds besides.
        daily_remaining: Header with the requests left today.
        daily_reset: Header that says when the day's budget renews.
        adaptive: ``requests`` is a guess, which nothing documents: it rises while all goes well, and falls when the
            vendor refuses.
        slack: Seconds added to a wait that a header asked for.
    """

    requests: int
    seconds: float
    concurrency: int = 1
    connections: int | None = None
    allowed: str | None = None
    remaining: str | None = None
    reset: str | None = None
    daily: int | None = None
    daily_remaining: str | None = None
    daily_reset: str | None = None
    adaptive: bool = False
    slack: float = 0.05


def margin_of(limit: RateLimit) -> float:
    """The longest way of a request to the vendor that pacing allows for: a longer one would cost too much of it."""
    return max(limit.slack, limit.seconds / 20)


def seconds_to_midnight() -> float:
    """Seconds until the next day begins, in UTC."""
    return 86_400.0 - time.time() % 86_400.0


class Pacer:
    """Lets requests through at a vendor's pace; shared by the threads that call one vendor.

    Args:
        limit: The vendor's limits.
        budget: Shares them with other clients and processes; None: this pacer is alone.
        longest_pause: Seconds that a run is held up at most; it ends with what it has done where the vendor asks for
            more.
        clock: Seconds that only ever rise.
        sleep: Waits.

    Attributes:
        calls: Requests let through so far.
    """

    def __init__(
        self,
        limit: RateLimit,
        *,
        budget: Budget | None = None,
        longest_pause: float = LONGEST_PAUSE,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.limit = limit
        self.calls = 0
        self.sleep = sleep
        self._budget = budget
        self._clock = clock
        self._longest_pause = longest_pause
        self._day = DayCount()
        self._daily_renews: float | None = None
        self._declared_left = limit.daily
        self._midnight = clock() + seconds_to_midnight()
        self._window = SlidingWindow(limit.requests, limit.seconds, margin=margin_of(limit))
        self._pace = AdaptivePace(limit.requests, clock())
        self._headroom = Headroom(limit.slack)
        self._pause = Pause(limit.concurrency)
        self._in_flight = 0
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(limit.concurrency)
        self._mine = threading.local()

    @property
    def daily_left(self) -> int | None:
        """Requests left today by the vendor's own count or ours, or None before there is one."""
        if self._budget:
            return self._budget.daily_left
        return min((left for left in (self._day.left, self._declared_left) if left is not None), default=None)

    def __enter__(self) -> Pacer:
        """Wait for a free slot and for the window; leaving frees the slot."""
        self._slots.acquire()
        try:
            self._mine.number, self._mine.place = self._wait_for_turn()
        except BaseException:
            self._slots.release()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._in_flight -= 1
            self._window.end(self._mine.number, self._clock())
            if self._declared_left is not None:
                self._declared_left -= 1
        place, self._mine.place = self._mine.place, None
        if self._budget and place:
            self._budget.answered(place)
        self._mine.number = None
        self._slots.release()

    def observe(self, headers: Mapping[str, str], *, throttled: bool = False) -> None:
        """Take over what the vendor says of its own counters, and whether it was too much for it.

        To be called by the thread that made the request, before it leaves the pacer.
        """
        said = said_by(headers, self.limit)
        now = self._clock()
        with self._lock:
            if throttled:
                self._window.margin = min(self._window.seconds, self._window.margin * 2)
            else:
                self._pause.taken(now)
            if self._budget is None:
                self._take_over(said, throttled, now)
        if self._budget and self._mine.place:
            self._budget.heard(self._mine.place, said, throttled=throttled)

    def pause(self, seconds: float) -> None:
        """Let nothing through for a time: one thread was told to slow down, so all do."""
        with self._lock:
            self._pause.until(self._clock() + seconds)
        if self._budget:
            self._budget.pause(seconds)

    def _wait_for_turn(self) -> tuple[int, Place | None]:
        while True:
            with self._lock:
                delay = self._delay(self._clock())
                if delay <= 0:
                    number = self._begin()
            if delay <= 0:
                place, delay = self._ask_budget(number)
                if delay <= 0:
                    return number, place
            if delay > self._longest_pause:
                raise asked_to_wait(delay)
            self.sleep(min(delay, self._budget.meanwhile()) if self._budget else delay)

    def _delay(self, now: float) -> float:
        delay = max(self._pause.delay(self._in_flight, now), self._window.delay(now))
        if self._budget is None:
            delay = max(delay, self._headroom.delay(self._own(now), now), self._day_delay(now))
        return delay

    def _day_delay(self, now: float) -> float:
        """Whether the day's budget has room. What is on its way may have used up what was left when last heard of."""
        if self._daily_renews is not None and now >= self._daily_renews:
            self._day.renew()
            self._daily_renews = None
        if now >= self._midnight:
            self._declared_left, self._midnight = self.limit.daily, now + seconds_to_midnight()
        for left, renews in ((self._day.left, self._daily_renews), (self._declared_left, self._midnight)):
            if left is None or left > self._in_flight:
                continue
            if self._in_flight and left > 0:
                return SOON
            raise used_up(None if renews is None else renews - now)
        return 0.0

    def _begin(self) -> int:
        self._in_flight += 1
        self.calls += 1
        return self._window.begin(self._clock())

    def _ask_budget(self, number: int) -> tuple[Place | None, float]:
        """The budget's place for a request that this pacer lets through, or seconds to wait for one."""
        if self._budget is None:
            return None, 0.0
        try:
            answer = self._budget.take()
        except BaseException:
            self._take_back(number)
            raise
        if isinstance(answer, Place):
            return answer, 0.0
        self._take_back(number)
        if answer.paused:
            with self._lock:
                self._pause.until(self._clock() + answer.seconds)
        return None, answer.seconds

    def _take_back(self, number: int) -> None:
        with self._lock:
            self._in_flight -= 1
            self.calls -= 1
            self._window.cancel(number)

    def _take_over(self, said: Said, throttled: bool, now: float) -> None:
        limit = self.limit
        if said.daily_remaining is not None:
            self._day.heard(said.daily_remaining, now)
            self._daily_renews = None if said.daily_resets_in is None else now + said.daily_resets_in
        if said.allowed:
            self._window.capacity = said.allowed
        elif limit.adaptive:
            self._adapt(throttled, now)
        if said.remaining is not None:
            allowed = self._window.capacity
            renews_in = limit.seconds if said.resets_in is None else said.resets_in
            own = self._own(now, heard=1)
            self._headroom.heard(
                said.remaining, renews_in, own, share=allowed, allowed=allowed, window=limit.seconds, now=now
            )

    def _adapt(self, throttled: bool, now: float) -> None:
        if throttled:
            self._pace = self._pace.throttled(now, self.limit.seconds)
        elif self._window.delay(now) > 0:
            self._pace = self._pace.well(now, self.limit.seconds)
        self._window.capacity = self._pace.allowed

    def _own(self, now: float, *, heard: int = 0) -> Own:
        return Own(self._window.used(now), max(0, self._in_flight - heard), self.calls)
