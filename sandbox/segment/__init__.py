"""Stand-in for Segment's Profile API (profiles.segment.com), mounted at `/segment`."""

from __future__ import annotations

from millstream.sandbox.segment.space import Segment

SYSTEM = Segment

__all__ = ["SYSTEM", "Segment"]
