"""Stand-in for Adobe Analytics: the 2.0 APIs at `/adobe_analytics/api`, tokens at `/adobe_analytics/ims/token/v3`.

Data feeds come as files, not over HTTP: `write_feed` writes what Adobe would have delivered for a day.
"""

from __future__ import annotations

from millstream.sandbox.adobe_analytics.feed import write_feed
from millstream.sandbox.adobe_analytics.service import AdobeAnalytics

SYSTEM = AdobeAnalytics

__all__ = ["SYSTEM", "AdobeAnalytics", "write_feed"]
