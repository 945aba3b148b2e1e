"""Intercom: contacts of a workspace, with tags as the audiences of syncs."""

from millstream.destinations.intercom.destination import Intercom
from millstream.destinations.intercom.settings import IntercomSettings

__all__ = ["Intercom", "IntercomSettings"]
