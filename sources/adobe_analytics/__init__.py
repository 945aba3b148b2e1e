"""Adobe Analytics: daily reports by dimension, also by ids of visitors, from the 2.0 API.

The API gives sums only. Single hits come as data feeds, which are files: see the source ``files``.
"""

from millstream.sources.adobe_analytics.settings import AdobeAnalyticsSettings, Report
from millstream.sources.adobe_analytics.source import AdobeAnalytics

__all__ = ["AdobeAnalytics", "AdobeAnalyticsSettings", "Report"]
