"""HubSpot: contacts, with static lists as the audiences of syncs."""

from millstream.destinations.hubspot.destination import HubSpot
from millstream.destinations.hubspot.settings import HubSpotSettings

__all__ = ["HubSpot", "HubSpotSettings"]
