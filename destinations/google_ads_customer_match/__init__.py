"""Google Ads Customer Match: people as members of user lists, by Google's Data Manager API."""

from millstream.destinations.google_ads_customer_match.destination import GoogleAdsCustomerMatch
from millstream.destinations.google_ads_customer_match.settings import GoogleAdsCustomerMatchSettings

__all__ = ["GoogleAdsCustomerMatch", "GoogleAdsCustomerMatchSettings"]
