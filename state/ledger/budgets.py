"""The budget of a credential, shared through the journal by all processes that use it.

A process holds places of the vendor's window (see ``shares``) and spends them without telling anybody. It looks into
the journal now and then, and writes to it only where places change hands, where the vendor asked somebody to wait, and
to say that it is still alive.
"""

from __future__ import annotations

import math
import secrets
import threading
import time
from collections.abc import Callable

from millstream.state.http.budget import Place, Wait
from millstream.state.http.headroom import Headroom, Own
from millstream.state.http.limit_headers import Said
from millstream.state.http.pacing import RateLimit, margin_of
from millstream.state.http.pause import SOON
from millstream.state.http.window import SlidingWindow
from millstream.state.ledger import shares
from millstream.state.ledger.budget_day import SharedDay
from millstream.state.ledger.budget_news import News, may_probe, tell
from millstream.state.ledger.budget_rows import BudgetRows
from millstream.state.ledger.holders import is_gone, this_process
from millstream.state.ledger.shares import Slice, State

LEASE = 5.0
"""Seconds for which a process keeps what it holds without being heard of."""

FIRST_SLICE = 10
"""A process begins with one part in so many of the window."""


class SharedBudget:
    """One process's hold on the budget of a credential; the threads of the process share it.

    Args:
        rows: Where budgets are kept.
        budget: The budget's key.
        limit: The limit as the connector declares it.
        clock: Seconds that only ever rise.
    """

    def __init__(
        self, rows: BudgetRows, budget: str, limit: RateLimit, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.limit = limit
        self.holder = this_process(secrets.token_hex(4))
        self._rows = rows
        self._budget = budget
        self._clock = clock
        self._lock = threading.RLock()
        self._window = SlidingWindow(0, limit.seconds, margin=margin_of(limit))
        self._headroom = Headroom(limit.slack)
        self._allowed = limit.requests
        self._ahead = 0.0  # of our clock: the journal's
        self._held_until = self._renew_at = self._look_at = 0.0
        self._begun = self._in_flight = self._peak = self._peak_in_flight = 0
        self._unheard: set[int] = set()  # requests whose answers have not told of the vendor's counters
        self._wanted = self._wanted_connections = 0
        self._starved = self._squeezed = self._turns = False
        self._begun_before = 0
        self._connections: int | None = None
        self._most_connections: int | None = limit.connections
        self._paused_until = 0.0
        self._probing = self._is_prober = False
        self._day = SharedDay(limit.daily)
        self._news = News()

    # -- what a pacer asks ---------------------------------------------------------------------------------------

    @property
    def daily_left(self) -> int | None:
        """Requests left today, as far as this process knows."""
        return self._day.left

    def take(self) -> Place | Wait:
        """Ask for one request."""
        with self._lock:
            now = self._clock()
            if now < self._paused_until:
                return Wait(self._paused_until - now, paused=True)
            self._keep_up(now)
            now = self._clock()
            if now < self._paused_until:
                return Wait(self._paused_until - now, paused=True)
            answer = self._place(now)
            if isinstance(answer, Wait) and self._hungrier():
                self._visit()
                answer = self._place(self._clock())
            return answer

    def meanwhile(self) -> float:
        """Look into the journal while a client holds itself back: others may wait for a place that it has used."""
        with self._lock:
            if not self._turns or self._clock() < self._paused_until:
                return math.inf
            self._keep_up(self._clock())
            return self._look_every()

    def refund(self, place: Place) -> None:
        """The request was not made after all."""
        with self._lock:
            self._in_flight -= 1
            self._unheard.discard(place.number)
            self._window.cancel(place.number)
            self._day.refund()

    def answered(self, place: Place) -> None:
        """The request was answered, or never will be."""
        with self._lock:
            self._in_flight -= 1
            self._unheard.discard(place.number)
            self._window.end(place.number, self._clock())

    def heard(self, place: Place, said: Said, *, throttled: bool) -> None:
        """Take over what the answer to a request said of the vendor's counters, and whether it took the request."""
        with self._lock:
            now = self._clock()
            self._unheard.discard(place.number)
            if said.remaining is not None:
                renews_in = self._window.seconds if said.resets_in is None else said.resets_in
                own = self._own(now)
                share = self._window.capacity
                self._headroom.heard(
                    said.remaining,
                    renews_in,
                    own,
                    share=share,
                    allowed=self._allowed,
                    window=self._window.seconds,
                    now=now,
                )
            self._note(said, throttled, now)
            if self._news.urgent:
                self._visit()

    def pause(self, seconds: float) -> None:
        """Let nobody make requests for a time."""
        with self._lock:
            until = self._clock() + seconds
            if until > self._paused_until + SOON or not self._probing or self._is_prober:
                self._news.paused = seconds
                self._visit()

    def release(self) -> None:
        """Give back all that is held."""
        with self._lock:
            if self._held_until <= self._clock():
                return
            with self._rows.changing(self._budget, self._first()) as (state, wall):
                if self.holder in state.slices:
                    self._report_day(state, state.slices[self.holder], wall)
                    self._give_back(state, self._window.capacity, wall)
                    # Those on their way: nobody will hear here when they are answered.
                    shares.cool(state, [wall + state.seconds * (1 + shares.MARGIN)] * self._window.capacity)
                    del state.slices[self.holder]
            self._lose()

    # -- what needs no journal -----------------------------------------------------------------------------------

    def _place(self, now: float) -> Place | Wait:
        if self._day.needs_more:
            self._visit()  # first of all: it changes all the rest
            if self._day.needs_more and self._in_flight:
                return Wait(SOON)  # those on their way may yet show that there is more
            self._day.check(now)
        if self._probing:
            if not self._is_prober:
                return Wait(self._look_every(), paused=True)
            if self._in_flight:
                return Wait(SOON, paused=True)
        if self._connections is not None and self._in_flight >= self._connections:
            self._squeezed = True
            return Wait(SOON)
        if wait := self._headroom.delay(self._own(now), now):
            # What is left is shared by places: with few of them, little of it is ours.
            self._starved = self._window.capacity < self._allowed
            return Wait(min(wait, self._look_every()))
        if wait := self._window.delay(now):
            self._starved = True
            return Wait(min(wait, self._look_every()))
        self._day.spend()
        self._begun += 1
        self._in_flight += 1
        self._peak_in_flight = max(self._peak_in_flight, self._in_flight)
        number = self._window.begin(now)
        self._unheard.add(number)
        self._peak = max(self._peak, self._window.used(now))
        return Place(number)

    def _note(self, said: Said, throttled: bool, now: float) -> None:
        news = self._news
        news.urgent = self._day.heard(said, now) or news.urgent
        if said.allowed and said.allowed != self._allowed:
            news.allowed, news.urgent = said.allowed, True
        if throttled:
            self._window.margin = min(self._window.seconds, self._window.margin * 2)
            if self.limit.adaptive:
                news.throttled = news.urgent = True
        elif self._probing and self._is_prober and now >= self._paused_until:
            news.taken = news.urgent = True

    def _own(self, now: float) -> Own:
        return Own(self._window.used(now), len(self._unheard), self._begun)

    def _look_every(self) -> float:
        return min(0.5, max(0.1, self._window.seconds / 10))

    def _wants(self) -> int:
        """Places that this process has use for: twice as many as it has while they do not suffice."""
        wanted = max(1, self._wanted)
        if self._starved:
            more = max(2 * self._window.capacity, -(-self._allowed // FIRST_SLICE))
            return max(wanted, min(self._allowed, more))
        if self._clock() < self._renew_at:
            return min(wanted, self._allowed)
        return min(wanted, self._allowed, self._peak * 5 // 4 + 1)

    def _wants_connections(self) -> int:
        at_once = self._peak_in_flight
        if self._squeezed:
            at_once = max(self._wanted_connections, 2 * (self._connections or 0) + 1)
        return max(1, min(at_once, self._most_connections or 1))

    def _hungrier(self) -> bool:
        """Whether this process has use for more than it has said."""
        if self._starved and self._wants() > self._wanted:
            return True
        return self._squeezed and self._wants_connections() > self._wanted_connections

    # -- what needs the journal ----------------------------------------------------------------------------------

    def _keep_up(self, now: float) -> None:
        if now >= self._renew_at:
            if now >= self._held_until:
                self._lose()
            self._visit()
        elif now >= self._look_at:
            self._look()

    def _look(self) -> None:
        """See whether something changed that this process has to do with, without writing."""
        state, wall = self._rows.read(self._budget)
        self._ahead = wall - self._clock()
        self._look_at = self._clock() + self._look_every()
        if state is None:
            return
        self._tidy(state, wall)
        if self.holder not in state.slices:
            self._visit()
            return
        self._ask(state, wall)
        if (
            shares.places_to_take(state, self.holder)
            or shares.connections_to_take(state, self.holder)
            or may_probe(state, self.holder, wall)
        ):
            self._visit()
            return
        self._take_over(state)

    def _visit(self) -> None:
        """Tell the journal the news, and take or give back what the shares say."""
        with self._rows.changing(self._budget, self._first()) as (state, wall):
            self._ahead = wall - self._clock()
            self._tidy(state, wall)
            mine = state.slices.get(self.holder)
            if mine is None:
                self._lose()
                mine = state.slices[self.holder] = Slice()
            self._agree(state, mine, wall)
            self._news.full = self._starved
            tell(state, self._news, self.limit, self.holder, wall)
            self._report_day(state, mine, wall)
            self._ask(state, wall)
            self._trade(state, mine, wall)
            mine.expires = wall + LEASE
            self._take_over(state)
        self._wanted, self._wanted_connections = mine.wanted, mine.connections_wanted
        self._begun_before = self._begun
        self._news = News()
        self._starved = self._squeezed = False
        self._peak, self._peak_in_flight = self._window.used(self._clock()), self._in_flight
        self._held_until = mine.expires - self._ahead
        self._renew_at = self._held_until - LEASE / 2
        self._look_at = self._clock() + self._look_every()

    def _tidy(self, state: State, wall: float) -> None:
        shares.set_right(state, wall, lease=LEASE)
        shares.tidy(state, wall, is_gone, we_count_days=self.limit.daily is not None)

    def _agree(self, state: State, mine: Slice, wall: float) -> None:
        """Where the last visit failed in the middle: have no more than both sides know of."""
        if mine.places < self._window.capacity:
            self._window.give_back(self._window.capacity - mine.places, self._clock())
        elif mine.places > self._window.capacity:
            free_at = wall + state.seconds * (1 + shares.MARGIN)
            shares.cool(state, [free_at] * (mine.places - self._window.capacity))
        mine.places = self._window.capacity

    def _report_day(self, state: State, mine: Slice, wall: float) -> None:
        self._day.report(state, mine, wall=wall, ahead=self._ahead, unheard=len(self._unheard))

    def _ask(self, state: State, wall: float) -> None:
        mine = state.slices[self.holder]
        mine.wanted = self._wants()
        mine.connections_wanted = self._wants_connections()
        self._turns = shares.take_turns(state)
        if self._turns and self._begun > self._begun_before:
            mine.served_at = wall

    def _trade(self, state: State, mine: Slice, wall: float) -> None:
        places = shares.places_to_take(state, self.holder)
        if places > 0:
            free, cooling = shares.taken_from_pool(state, places)
            self._window.capacity += free
            for moment in cooling:
                self._window.take_over(moment - self._ahead)
        elif places < 0:
            self._give_back(state, -places, wall)
        mine.places = self._window.capacity
        if state.connections is None:
            mine.connections = 0
        else:
            mine.connections = max(mine.connections + shares.connections_to_take(state, self.holder), 0)

    def _give_back(self, state: State, places: int, wall: float) -> None:
        moments = self._window.give_back(places, wall - self._ahead)
        shares.cool(state, [moment + self._ahead for moment in moments])

    def _take_over(self, state: State) -> None:
        """What the journal says that this process did not know."""
        self._allowed = state.allowed
        self._window.seconds = state.seconds
        self._paused_until = state.paused_until - self._ahead
        self._probing, self._is_prober = state.probing, state.prober == self.holder
        self._day.take_over(state, self._ahead)
        self._most_connections = state.connections
        self._connections = None if state.connections is None else state.slices[self.holder].connections

    def _lose(self) -> None:
        """Forget what was held: its time is over, and others may have it."""
        self._window.drop()
        self._held_until = 0.0

    def _first(self) -> State:
        return State(self.limit.requests, self.limit.seconds, self.limit.connections)
