"""Stand-in for Google Analytics 4: Data API v1beta, audiences of the Admin API v1alpha, and the token endpoint.

Mounted so that the Data API's URLs begin `/ga4/v1beta`, the Admin API's `/ga4/v1alpha`; tokens are at `/ga4/token`.
"""

from __future__ import annotations

from millstream.sandbox.ga4.service import GoogleAnalytics4

SYSTEM = GoogleAnalytics4

__all__ = ["SYSTEM", "GoogleAnalytics4"]
