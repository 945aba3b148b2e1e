"""Marketo Engage: leads, with static lists as the audiences of syncs."""

from millstream.destinations.marketo.destination import Marketo
from millstream.destinations.marketo.settings import MarketoSettings

__all__ = ["Marketo", "MarketoSettings"]
