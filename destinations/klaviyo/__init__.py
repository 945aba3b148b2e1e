"""Klaviyo: profiles, with lists as the audiences of syncs."""

from millstream.destinations.klaviyo.destination import Klaviyo
from millstream.destinations.klaviyo.settings import KlaviyoSettings

__all__ = ["Klaviyo", "KlaviyoSettings"]
