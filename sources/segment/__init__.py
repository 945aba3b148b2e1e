"""Segment: its Tracking API and webhooks, received by us, and its Profile API.

Documentation: https://www.twilio.com/docs/segment
"""

from millstream.sources.segment.settings import ConsentCategory, SegmentSettings
from millstream.sources.segment.source import Segment
from millstream.sources.segment.webhooks import WebhookSettings

__all__ = ["ConsentCategory", "Segment", "SegmentSettings", "WebhookSettings"]
