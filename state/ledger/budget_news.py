"""What a process tells the journal of a limit: what the vendor said of it, and that somebody has to wait."""

from __future__ import annotations

from dataclasses import dataclass

from millstream.state.http.adaptive import AdaptivePace
from millstream.state.http.pacing import RateLimit
from millstream.state.ledger.shares import LONGEST_PAUSE, State

PROBE = 30.0
"""Seconds that one process has for the first request after a pause."""


@dataclass
class News:
    """What the journal should hear of with the next visit.

    Attributes:
        allowed: What the vendor says it allows.
        throttled: It refused a request.
        full: The window's places did not suffice.
        taken: It took the first request after a pause.
        paused: For how long nobody should ask.
        urgent: The visit should be now.
    """

    allowed: int | None = None
    throttled: bool = False
    full: bool = False
    taken: bool = False
    paused: float | None = None
    urgent: bool = False


def tell(state: State, news: News, limit: RateLimit, holder: str, wall: float) -> None:
    """Bring a budget in step with what one holder knows.

    Args:
        state: The budget.
        news: What is new.
        limit: The limit as the holder's connector declares it.
        holder: Who tells.
        wall: The journal's time.
    """
    alone = len(state.slices) == 1
    if limit.adaptive:
        _adapt(state, news, wall)
    elif news.allowed is not None:
        state.allowed, state.seconds = news.allowed, limit.seconds
    elif (alone and limit.allowed is None) or limit.requests / limit.seconds > state.allowed / state.seconds:
        state.allowed, state.seconds = limit.requests, limit.seconds
    if alone or limit.connections is not None:
        state.connections = limit.connections
    if news.paused is not None:
        state.paused_until = max(state.paused_until, wall + min(news.paused, LONGEST_PAUSE))
        state.probing, state.prober = True, None
    elif news.taken:
        state.probing, state.prober = False, None
    if may_probe(state, holder, wall):
        state.prober, state.prober_until = holder, wall + PROBE


def may_probe(state: State, holder: str, wall: float) -> bool:
    """Whether a holder should make the first request after a pause."""
    if not state.probing or state.paused_until > wall or state.prober == holder:
        return False
    if state.prober is None or state.prober not in state.slices:
        return True
    return state.prober_until is not None and state.prober_until <= wall


def _adapt(state: State, news: News, wall: float) -> None:
    pace = AdaptivePace(state.allowed, state.changed_at, state.worst)
    if news.throttled:
        pace = pace.throttled(wall, state.seconds)
    elif news.full and sum(its.places for its in state.slices.values()) >= state.allowed:
        pace = pace.well(wall, state.seconds)
    state.allowed, state.changed_at, state.worst = pace.allowed, pace.changed_at, pace.worst
