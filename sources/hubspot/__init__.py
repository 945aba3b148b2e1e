"""HubSpot: contacts, companies, deals, lists, e-mail events and e-mail consent."""

from millstream.sources.hubspot.settings import HubSpotSettings
from millstream.sources.hubspot.source import HubSpot

__all__ = ["HubSpot", "HubSpotSettings"]
