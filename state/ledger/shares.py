"""Who may have how much of a budget that processes share: the rules, without the database.

A budget is a number of places in the vendor's window. A place is a thing: who has it may make one request, and may
use it again once the vendor has forgotten that one. So nobody needs to tell anybody of a request, and however places
are handed around, the vendor never counts more requests than there are places.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from millstream.state.http.limit_headers import LONGEST_WAIT

MARGIN = 1 / 20
"""Of a window: how much longer than it a place stays used after its holder was last heard of."""

FORGET_AFTER = 900.0
"""Seconds after which a used-up day is asked about anew, where the vendor does not say when it ends."""

DAILY_SLICE = 10
"""A process gets one part in so many of what is left of the day."""


@dataclass
class Slice:
    """What one process holds.

    Attributes:
        places: Requests in each window.
        wanted: Places it has use for.
        connections: Requests at once.
        connections_wanted: Requests at once that it has use for.
        daily: Requests of today that were given to it and not made when it was last heard of.
        served_at: When it last used a place; for turns.
        expires: When it loses all that.
    """

    places: int = 0
    wanted: int = 1
    connections: int = 0
    connections_wanted: int = 1
    daily: int = 0
    served_at: float = 0.0
    expires: float = 0.0


@dataclass
class State:
    """A budget as the journal has it; see ``tables.budgets``."""

    allowed: int
    seconds: float
    connections: int | None = None
    cooling: list[tuple[float, int]] = field(default_factory=list)
    changed_at: float = 0.0
    worst: int | None = None
    paused_until: float = 0.0
    probing: bool = False
    prober: str | None = None
    prober_until: float | None = None
    daily_left: int | None = None
    daily_renews: float | None = None
    daily_at: float | None = None
    slices: dict[str, Slice] = field(default_factory=dict)


LONGEST_PAUSE = 86_400.0
"""Seconds for which a vendor's word holds everybody up; after that one asks whether it still stands."""


def set_right(state: State, now: float, *, lease: float) -> None:
    """Bring moments near that lie further ahead than any can: the journal's clock was set back, or a vendor was wrong.

    Args:
        state: The budget.
        now: The journal's time.
        lease: Seconds for which a process holds what it has.
    """
    state.paused_until = min(state.paused_until, now + LONGEST_PAUSE)
    if state.daily_renews is not None:
        state.daily_renews = min(state.daily_renews, now + LONGEST_WAIT)
    for its in state.slices.values():
        its.expires = min(its.expires, now + lease)
    latest = now + state.seconds * (1 + MARGIN)
    state.cooling = [(min(moment, latest), places) for moment, places in state.cooling]


def tidy(state: State, now: float, is_gone: Callable[[str], bool], *, we_count_days: bool = False) -> None:
    """Take from holders that are gone or were not heard of what they held, and from the list what is free again.

    Args:
        state: The budget.
        now: The journal's time.
        is_gone: Whether a holder's process is known to have ended.
        we_count_days: The vendor does not count a day's requests: what a holder had of them counts as spent.
    """
    for holder, its in list(state.slices.items()):
        last_used = its.expires if its.expires <= now else now if is_gone(holder) else None
        if last_used is None:
            continue
        cool(state, [last_used + state.seconds * (1 + MARGIN)] * its.places)
        if state.daily_left is not None and we_count_days:
            state.daily_left = max(0, state.daily_left - its.daily)
        del state.slices[holder]
    state.cooling = [(moment, places) for moment, places in state.cooling if moment > now]


def cool(state: State, moments: list[float]) -> None:
    """Keep places that were given back until they are free, in groups of about the same moment."""
    groups = dict(state.cooling)
    tick = state.seconds / 50
    for moment in moments:
        rounded = (moment // tick + 1) * tick
        groups[rounded] = groups.get(rounded, 0) + 1
    state.cooling = sorted(groups.items())


def fair_shares(wanted: Mapping[str, int], total: int) -> dict[str, int]:
    """Share a total so that nobody gets more than wanted, and nobody less than another who wants as much.

    What cannot be halved goes to those that come first.
    """
    shares = dict.fromkeys(wanted, 0)
    left = total
    while left > 0 and (hungry := [name for name in wanted if shares[name] < wanted[name]]):
        each = left // len(hungry)
        for name in hungry:
            more = min(max(each, 1), wanted[name] - shares[name], left)
            shares[name] += more
            left -= more
    return shares


def places_to_take(state: State, me: str) -> int:
    """Places that a holder should take now; negative: give back."""
    wanted = {name: state.slices[name].wanted for name in _in_turn(state)}
    held = {name: its.places for name, its in state.slices.items()}
    return _to_take(me, held, fair_shares(wanted, state.allowed), state.allowed)


def connections_to_take(state: State, me: str) -> int:
    """Connections that a holder should take now; negative: give back."""
    if state.connections is None:
        return 0
    wanted = {name: state.slices[name].connections_wanted for name in _in_turn(state)}
    held = {name: its.connections for name, its in state.slices.items()}
    return _to_take(me, held, fair_shares(wanted, state.connections), state.connections)


def take_turns(state: State) -> bool:
    """Whether there are fewer places than holders that want one."""
    wanting = len(state.slices)
    return wanting > state.allowed or (state.connections is not None and wanting > state.connections)


def taken_from_pool(state: State, places: int) -> tuple[int, list[float]]:
    """Take places that nobody holds.

    Returns:
        How many of them are free, and when each of the others will be: those that are free soonest.
    """
    held = sum(its.places for its in state.slices.values())
    cooling = sum(count for _, count in state.cooling)
    free = min(places, max(0, state.allowed - held - cooling))
    moments: list[float] = []
    while free + len(moments) < places and state.cooling:
        moment, count = state.cooling[0]
        some = min(count, places - free - len(moments))
        moments += [moment] * some
        state.cooling[:1] = [(moment, count - some)] if count > some else []
    return free, moments


def renew_day(state: State, now: float, declared: int | None, midnight: float) -> bool:
    """Begin a new day where the old one is over; gives whether it was."""
    over = state.daily_renews is not None and now >= state.daily_renews
    used_up = state.daily_left is not None and state.daily_left <= 0
    if used_up and state.daily_renews is None and now - (state.daily_at or 0.0) > FORGET_AFTER:
        over = True
    if over:
        state.daily_left = state.daily_renews = state.daily_at = None
        for its in state.slices.values():
            its.daily = 0
    if state.daily_left is None and declared is not None:
        state.daily_left, state.daily_renews, state.daily_at = declared, midnight, now
    return over


def daily_slice(state: State) -> int:
    """Requests of today that a holder without any may have."""
    if state.daily_left is None:
        return 0
    free = state.daily_left - sum(its.daily for its in state.slices.values())
    parts = DAILY_SLICE * max(1, len(state.slices))
    return max(0, min(free, -(-free // parts)))


def _in_turn(state: State) -> list[str]:
    return sorted(state.slices, key=lambda name: (state.slices[name].served_at, name))


def _to_take(me: str, held: Mapping[str, int], shares: Mapping[str, int], total: int) -> int:
    mine, share = held[me], shares[me]
    spare = total - sum(held.values())
    if mine < share:
        return max(0, min(share - mine, spare))
    lacking = sum(max(0, shares[name] - held[name]) for name in held if name != me)
    return -min(mine - share, max(0, lacking - spare))
