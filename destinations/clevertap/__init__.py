"""CleverTap: user profiles, with a profile property as the audience of a sync."""

from millstream.destinations.clevertap.destination import CleverTap
from millstream.destinations.clevertap.settings import CleverTapSettings

__all__ = ["CleverTap", "CleverTapSettings"]
