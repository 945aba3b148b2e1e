"""Meta Custom Audiences: people as members of customer-list audiences, known to Meta by hashes alone."""

from millstream.destinations.meta_custom_audiences.destination import MetaCustomAudiences
from millstream.destinations.meta_custom_audiences.settings import MetaCustomAudiencesSettings

__all__ = ["MetaCustomAudiences", "MetaCustomAudiencesSettings"]
