"""A budget besides which a day's requests are counted by ourselves, over all runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millstream.state.http.budget import Place, Wait

if TYPE_CHECKING:
    from millstream.state.http.limit_headers import Said
    from millstream.state.ledger.budgets import SharedBudget


class CappedBudget:
    """The vendor's budget of a credential, and the number of requests a day that a connector may make of it.

    Args:
        vendors: What the vendor allows.
        day: What is allowed each day, which only those count who declare the same.
    """

    def __init__(self, vendors: SharedBudget, day: SharedBudget) -> None:
        self._vendors = vendors
        self._day = day
        self._days: dict[int, Place] = {}

    @property
    def daily_left(self) -> int | None:
        """Requests left today, by whichever count has fewer."""
        known = [left for left in (self._vendors.daily_left, self._day.daily_left) if left is not None]
        return min(known, default=None)

    def take(self) -> Place | Wait:
        """Ask for one request."""
        day = self._day.take()
        if isinstance(day, Wait):
            return day
        try:
            place = self._vendors.take()
        except BaseException:
            self._day.refund(day)
            raise
        if isinstance(place, Wait):
            self._day.refund(day)
        else:
            self._days[place.number] = day
        return place

    def meanwhile(self) -> float:
        """Look into the journal while a client holds itself back."""
        return self._vendors.meanwhile()

    def answered(self, place: Place) -> None:
        """The request was answered, or never will be."""
        self._vendors.answered(place)
        self._day.answered(self._days.pop(place.number))

    def heard(self, place: Place, said: Said, *, throttled: bool) -> None:
        """Take over what the answer to a request said of the vendor's counters, and whether it took the request."""
        self._vendors.heard(place, said, throttled=throttled)

    def pause(self, seconds: float) -> None:
        """Let nobody make requests for a time."""
        self._vendors.pause(seconds)

    def release(self) -> None:
        """Give back all that is held."""
        self._vendors.release()
        self._day.release()
