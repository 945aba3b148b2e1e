"""Segment: users with traits, and audiences as a trait and the events of entering and leaving."""

from millstream.destinations.segment.destination import Segment
from millstream.destinations.segment.settings import SegmentSettings

__all__ = ["Segment", "SegmentSettings"]
