"""Stand-in for Segment's Profile, Tracking and Public APIs, mounted at `/segment`."""

from __future__ import annotations

from millstream.sandbox.segment.space import Segment

SYSTEM = Segment

__all__ = ["SYSTEM", "Segment"]
