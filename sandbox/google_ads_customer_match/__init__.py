"""Stand-in for Google's Data Manager API, and for what of the Google Ads API finds and makes user lists.

Mounted so that the Data Manager API's URLs begin `/google_ads_customer_match/v1`, the Google Ads API's
`/google_ads_customer_match/v23/customers`; tokens are at `/google_ads_customer_match/token`.
"""

from __future__ import annotations

from millstream.sandbox.google_ads_customer_match.service import GoogleAdsCustomerMatch

SYSTEM = GoogleAdsCustomerMatch

__all__ = ["SYSTEM", "GoogleAdsCustomerMatch"]
