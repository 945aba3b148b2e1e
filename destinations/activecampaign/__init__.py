"""ActiveCampaign: contacts, with tags as the audiences of syncs, or lists."""

from millstream.destinations.activecampaign.destination import ActiveCampaign
from millstream.destinations.activecampaign.settings import ActiveCampaignSettings

__all__ = ["ActiveCampaign", "ActiveCampaignSettings"]
