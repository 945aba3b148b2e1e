"""Pacing within a process: windows, headers, pauses, days, and a pace that has to be found."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream.state.errors import QuotaExhaustedError
from millstream.state.http import Pacer, RateLimit
from millstream.state.http.adaptive import AdaptivePace
from millstream.state.http.day import DayCount
from millstream.state.http.headroom import Headroom, Own
from millstream.state.http.limit_headers import said_by
from millstream.state.http.pause import Pause
from millstream.state.http.window import SlidingWindow


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def pacer(clock: Clock, **facts: object) -> Pacer:
    limit = RateLimit(**{"requests": 100, "seconds": 10.0, **facts})  # type: ignore[arg-type]
    return Pacer(limit, clock=clock, sleep=clock.sleep)


def call(pacer: Pacer, headers: Mapping[str, str] | None = None, *, throttled: bool = False, took: float = 0.0) -> None:
    """One request and its answer."""
    with pacer:
        pacer.sleep(took)
        pacer.observe(headers or {}, throttled=throttled)


# The window


@given(
    st.integers(1, 6),
    st.floats(0.5, 30),
    st.lists(st.tuples(st.floats(0, 4), st.floats(0, 0.5), st.floats(0, 1)), min_size=1, max_size=60),
)
def test_a_window_holds_however_long_requests_are_on_their_way(
    allowed: int, seconds: float, requests: list[tuple[float, float, float]]
) -> None:
    window = SlidingWindow(allowed, seconds, margin=0.5)
    now, arrived = 0.0, []
    for pause, took, way in requests:
        now += pause
        while (delay := window.delay(now)) > 0:
            now += delay
        number = window.begin(now)
        arrived.append(now + took * way)
        now += took
        window.end(number, now)
    for early, late in zip(arrived, arrived[allowed:], strict=False):
        assert late - early >= seconds - 1e-6


def test_requests_on_their_way_keep_their_places() -> None:
    window = SlidingWindow(2, 10.0, margin=1.0)
    first, _ = window.begin(0.0), window.begin(1.0)
    assert window.delay(2.0) == pytest.approx(8.0)
    window.end(first, 3.0)
    assert window.delay(4.0) == pytest.approx(7.0), "the second was counted at one at the earliest"
    assert window.delay(11.0) > 0, "and is on its way still"
    assert window.delay(13.0) == 0, "the first was counted at three at the latest"


def test_slow_answers_do_not_slow_the_pace() -> None:
    """A vendor that works for a second at each request counted it before."""
    clock = Clock()
    one = pacer(clock, requests=1, seconds=2.0)
    moments = []
    for _ in range(60):
        with one:
            moments.append(clock.now)
            clock.now += 1.0
    assert moments[-1] - moments[-2] == pytest.approx(2.1, abs=0.05)


@given(st.integers(0, 8), st.integers(0, 12), st.integers(0, 4))
def test_places_given_back_are_the_soonest_free(used: int, back: int, on_the_way: int) -> None:
    window = SlidingWindow(12, 10.0)
    for second in range(used):
        window.end(window.begin(float(second)), float(second))
    for _ in range(on_the_way):
        window.begin(8.0)
    given_back = window.give_back(back, 8.0)
    gone = min(back, 12 - on_the_way)
    free = 12 - used - on_the_way
    assert given_back == [10.0 + second for second in range(max(0, gone - free))]
    assert window.capacity == 12 - gone


# Headers

NAMES = {"remaining": "X-Left", "reset": "X-Reset", "daily_remaining": "X-Day", "daily_reset": "X-Day-Reset"}


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        ("7.5", 7.5),
        ("-3", 0),
        ("6m0s", 360),
        ("1h2m3s", 3723),
        ("250ms", 0.25),
        ("soon", None),
        ("nan", None),
        ("", None),
    ],
)
def test_a_wait_is_read_in_every_spelling(value: str, seconds: float | None) -> None:
    limit = RateLimit(requests=1, seconds=1.0, remaining="X-Left", reset="X-Reset")
    assert said_by({"X-Reset": value}, limit).resets_in == seconds


@pytest.mark.parametrize("spelling", ["epoch", "milliseconds", "http", "iso"])
def test_a_wait_may_be_a_moment(spelling: str) -> None:
    moment = datetime.now(UTC) + timedelta(seconds=90)
    value = {
        "epoch": str(int(moment.timestamp())),
        "milliseconds": str(int(moment.timestamp() * 1000)),
        "http": format_datetime(moment, usegmt=True),
        "iso": moment.isoformat(),
    }[spelling]
    limit = RateLimit(requests=1, seconds=1.0, remaining="X-Left", reset="X-Reset")
    assert said_by({"X-Reset": value}, limit).resets_in == pytest.approx(90, abs=2)


def test_counts_may_be_parts_of_a_header() -> None:
    limit = RateLimit(
        requests=1,
        seconds=1.0,
        allowed="Limits;total",
        remaining="Limits;remaining",
        reset="Limits;resets",
        daily_remaining="Sforce-Limit-Info;api-usage",
    )
    said = said_by({"Limits": "total=100; remaining=99; resets=41", "Sforce-Limit-Info": "api-usage=18/5000"}, limit)
    assert (said.allowed, said.remaining, said.resets_in, said.daily_remaining) == (100, 99, 41, 4982)
    assert said_by({"Limits": "other=1"}, limit).remaining is None
    assert said_by({"Limits": "total=x; remaining=1e400"}, limit).remaining is None


def test_what_the_vendor_allows_takes_the_place_of_what_was_declared(clock: Clock) -> None:
    one = pacer(clock, requests=2, allowed="X-Limit")
    for _ in range(7):
        call(one, {"X-Limit": "7"})
    assert clock.now == 0
    call(one, {"X-Limit": "7"})
    assert clock.now == 10


def test_nothing_is_held_back_while_our_own_requests_explain_the_count(clock: Clock) -> None:
    one = pacer(clock, requests=3, **NAMES)
    for left in (2, 1, 0, 2, 1, 0, 2):
        call(one, {"X-Left": str(left), "X-Reset": "10"})
    assert clock.now == 20, "the window of ten seconds, and no slack"


def test_others_who_spend_from_the_window_are_waited_for(clock: Clock) -> None:
    one = pacer(clock, requests=40, **NAMES)
    call(one, {"X-Left": "1", "X-Reset": "4"})
    call(one, {"X-Left": "39", "X-Reset": "10"})
    assert clock.now == pytest.approx(4.05)


def test_a_header_about_a_larger_window_counts_for_itself(clock: Clock) -> None:
    """Ten a second, and six hundred a minute that a header counts."""
    one = pacer(clock, requests=10, seconds=1.0, **NAMES)
    call(one, {"X-Left": "500", "X-Reset": "30"})
    call(one, {"X-Left": "0", "X-Reset": "30"})
    call(one, {"X-Left": "599", "X-Reset": "60"})
    assert clock.now == pytest.approx(30.05)


def test_room_that_others_take_at_once_is_asked_for_ever_later() -> None:
    headroom = Headroom(0.0)
    now, asked = 0.0, 0
    own = Own(used=0, in_flight=0, begun=0)
    while now < 60:
        headroom.heard(0, 0.1, own, share=20, allowed=20, window=10.0, now=now)
        now += headroom.delay(own, now)
        asked += 1
    assert asked < 12


# Pauses


def test_after_a_pause_one_request_goes_first_and_then_ever_more() -> None:
    pause = Pause(8)
    pause.until(10.0)
    assert pause.delay(0, 4.0) == 6.0
    at_once = []
    for _ in range(5):
        most = next(number for number in range(20) if number == 12 or pause.delay(number, 11.0) > 0)
        at_once.append(most)
        pause.taken(11.0)
    assert at_once == [1, 2, 4, 8, 12], "and then the concurrency alone"


def test_answers_to_requests_made_before_the_pause_end_nothing() -> None:
    pause = Pause(8)
    pause.until(10.0)
    pause.taken(5.0)
    assert pause.delay(1, 11.0) > 0


def test_refused_requests_do_not_storm() -> None:
    """Eight threads are told to wait, and again: after each pause one of them tries."""
    one = Pacer(RateLimit(requests=1000, seconds=1.0, concurrency=8))
    lock, tried, begun = threading.Lock(), [], time.monotonic()

    def work() -> None:
        while time.monotonic() < begun + 0.6:
            with one:
                with lock:
                    tried.append(time.monotonic())
                time.sleep(0.01)
                one.observe({}, throttled=True)
            one.pause(0.1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([moment for moment in tried if moment < begun + 0.6]) <= 8 + 6, "a burst, and one for each pause"


def test_a_pause_longer_than_a_run_waits_ends_it(clock: Clock) -> None:
    one = pacer(clock)
    one.pause(7200)
    with pytest.raises(QuotaExhaustedError, match="in 2 h 0 min") as raised, one:
        pass
    assert raised.value.resets_in == pytest.approx(7200)


# Days


def test_a_used_up_day_says_when_it_renews(clock: Clock) -> None:
    one = pacer(clock, **NAMES)
    call(one, {"X-Day": "0", "X-Day-Reset": "5400"})
    with pytest.raises(QuotaExhaustedError, match="It renews in 1 h 30 min"):
        call(one)
    clock.now += 5400
    call(one, {"X-Day": "99", "X-Day-Reset": "86400"})
    assert one.daily_left == 99


def test_a_day_without_a_named_end_says_so(clock: Clock) -> None:
    one = pacer(clock, daily_remaining="X-Day")
    call(one, {"X-Day": "0"})
    with pytest.raises(QuotaExhaustedError, match="does not say when"):
        call(one)


def test_a_declared_day_is_counted(clock: Clock) -> None:
    one = pacer(clock, daily=3)
    for _ in range(3):
        call(one)
    with pytest.raises(QuotaExhaustedError, match="It renews in") as raised:
        call(one)
    assert raised.value.resets_in is not None
    clock.now += raised.value.resets_in
    call(one)
    assert one.daily_left == 2


def test_an_answer_that_comes_late_does_not_raise_the_days_count() -> None:
    day = DayCount()
    day.heard(80, 0.0)
    day.heard(79, 1.0)
    day.heard(81, 2.0)
    assert day.left == 79
    day.heard(5000, 100.0)
    assert day.left == 5000, "nothing was lower for a while: it is another day"


# A pace that is found


def test_an_undocumented_pace_is_found_and_kept() -> None:
    limit, pace, now, refused, made = 137, AdaptivePace(20, 0.0), 0.0, 0, 0
    for _ in range(2_000):
        now += 1.0
        too_many = max(0, pace.allowed - limit)
        refused, made = refused + min(4, too_many), made + min(limit, pace.allowed)
        pace = pace.throttled(now, 1.0) if too_many else pace.well(now, 1.0)
    assert made >= 0.9 * limit * 2_000
    assert refused * 1000 < made


def test_a_pace_falls_once_for_all_that_was_refused_together() -> None:
    pace = AdaptivePace(100, 0.0).throttled(50.0, 1.0)
    assert pace == pace.throttled(50.1, 1.0).throttled(50.9, 1.0)
    assert pace.allowed == 70
    assert pace.throttled(51.5, 1.0).allowed == 49
    assert AdaptivePace(1, 0.0).throttled(50.0, 1.0).allowed == 1


def test_the_pacer_adapts_where_it_may(clock: Clock) -> None:
    one = pacer(clock, requests=10, seconds=1.0, adaptive=True)
    for _ in range(200):
        call(one)
    quick = clock.now
    assert quick < 20 * 0.8, "it has become quicker than the ten a second that were guessed"
    call(one, throttled=True)
    clock.now += 1.0
    allowed = one._window.capacity
    call(one, throttled=True)
    assert one._window.capacity <= allowed
