"""A pace that is found by trying, where neither headers nor documents say what a vendor allows."""

from __future__ import annotations

from dataclasses import dataclass

SLOWER = 0.7
"""What is left of a pace that was too quick."""

NEAR = 0.9
"""From this share of a pace that was once too quick on, it rises slowly."""

QUICK_STEP, SLOW_STEP = 0.1, 0.01
"""By which share of itself, at least by one request, a pace rises."""

PATIENCE = 3_000
"""Requests before each slow step, so that the search for the limit costs less than one in a thousand."""


@dataclass(frozen=True)
class AdaptivePace:
    """Requests that a window may hold: raised by steps while all goes well, cut when the vendor says it is too much.

    Attributes:
        allowed: Requests in a window.
        changed_at: When that was last changed.
        worst: The lowest pace that was too quick, if there was one.
    """

    allowed: int
    changed_at: float
    worst: int | None = None

    def throttled(self, now: float, seconds: float) -> AdaptivePace:
        """After a refusal. Those that come within a window of a change were asked for before it."""
        if now - self.changed_at < seconds:
            return self
        return AdaptivePace(max(1, int(self.allowed * SLOWER)), now, self.allowed)

    def well(self, now: float, seconds: float) -> AdaptivePace:
        """While the window is in full use and the vendor takes it."""
        near = self.worst is not None and self.allowed >= self.worst * NEAR
        windows = max(1.0, PATIENCE / self.allowed) if near else 1.0
        if now - self.changed_at < seconds * windows:
            return self
        step = max(1, int(self.allowed * (SLOW_STEP if near else QUICK_STEP)))
        raised = self.allowed + step
        if self.worst is not None and not near:
            raised = min(raised, max(self.allowed + 1, int(self.worst * NEAR)))
        # A pace that was too quick once and is not any more says nothing of the limit.
        return AdaptivePace(raised, now, None if self.worst is not None and raised > self.worst else self.worst)
