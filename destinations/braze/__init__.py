"""Braze: user profiles, with custom attributes as the audiences of syncs, or subscription groups, or cohorts."""

from millstream.destinations.braze.destination import Braze
from millstream.destinations.braze.settings import BrazeSettings

__all__ = ["Braze", "BrazeSettings"]
