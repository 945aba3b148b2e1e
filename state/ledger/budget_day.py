"""A process's part of the day's budget: given to it in slices, which get smaller as the day is used up."""

from __future__ import annotations

from millstream.state.http.budget import used_up
from millstream.state.http.day import DayCount, supersedes
from millstream.state.http.limit_headers import Said
from millstream.state.http.pacing import seconds_to_midnight
from millstream.state.ledger import shares
from millstream.state.ledger.shares import Slice, State

LATE = 10.0
"""Seconds by which a count may be older than what the journal has, and still say more."""


class SharedDay:
    """Requests of today that a process may make.

    Args:
        declared: Requests allowed each day, where no header counts them.

    Attributes:
        left: Requests left to all, as far as this process knows; None: nobody knows.
    """

    def __init__(self, declared: int | None) -> None:
        self.left: int | None = None
        self._declared = declared
        self._count = DayCount()
        self._granted: int | None = None
        self._renews: float | None = None
        self._renews_in: float | None = None
        self._spent = 0
        self._news = False

    @property
    def needs_more(self) -> bool:
        """Whether what was given to this process is used up."""
        return self._granted is not None and self._granted <= 0

    def check(self, now: float) -> None:
        """Raise if nothing is left.

        Raises:
            QuotaExhaustedError: The day is used up.
        """
        if self.needs_more:
            raise used_up(None if self._renews is None else max(0.0, self._renews - now))

    def spend(self) -> None:
        """One request is made."""
        self._spent += 1
        if self._granted is not None:
            self._granted -= 1
        if self.left is not None:
            self.left -= 1

    def refund(self) -> None:
        """The request was not made after all."""
        self._spent -= 1
        if self._granted is not None:
            self._granted += 1
        if self.left is not None:
            self.left += 1

    def heard(self, said: Said, now: float) -> bool:
        """Take over the vendor's count; gives whether the journal should know at once."""
        if said.daily_remaining is None:
            return False
        self._count.heard(said.daily_remaining, now)
        self.left, self._renews_in, self._news = self._count.left, said.daily_resets_in, True
        return self._granted is None or said.daily_remaining <= 0 < self._granted

    def report(self, state: State, mine: Slice, *, wall: float, ahead: float, unheard: int) -> None:
        """Count in the journal what was spent, by the vendor's word where there is one, and get more if need be.

        Args:
            state: The budget.
            mine: This process's slice.
            wall: The journal's time.
            ahead: Of our clock: the journal's.
            unheard: Requests on their way, which the vendor's count may lack.
        """
        is_new = shares.renew_day(state, wall, self._declared, wall + seconds_to_midnight())
        if is_new or (self._renews is not None and wall - ahead >= self._renews):
            self._count.renew()
            self._granted = self._renews = None
        heard_at = self._count.heard_at + ahead
        known_at = state.daily_at or 0.0
        if self._news and self._count.left is not None and heard_at > known_at - LATE:
            known = state.daily_left
            if known is None or supersedes(self._count.left, known, heard_at - known_at):
                state.daily_left, state.daily_at = self._count.left, heard_at
            if self._renews_in is not None:
                state.daily_renews = heard_at + self._renews_in
        elif state.daily_left is not None:
            # Requests whose answers never came count as well; those on their way are in the slice.
            lost = self._spent if self._count.left is None else max(0, self._spent - unheard)
            state.daily_left = max(0, state.daily_left - lost)
        self._spent, self._news = 0, False
        self._take_slice(state, mine, unheard)
        self.take_over(state, ahead)

    def take_over(self, state: State, ahead: float) -> None:
        """What the journal says that this process did not know."""
        self.left = state.daily_left if self.left is None else self.left
        self._renews = None if state.daily_renews is None else state.daily_renews - ahead

    def _take_slice(self, state: State, mine: Slice, unheard: int) -> None:
        if state.daily_left is None:
            mine.daily, self._granted = 0, None
            return
        self._granted = min(self._granted or 0, state.daily_left)
        mine.daily = self._granted + unheard
        if self._granted == 0:
            self._granted = shares.daily_slice(state)
            mine.daily += self._granted
