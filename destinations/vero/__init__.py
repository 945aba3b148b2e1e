"""Vero: users, with tags as the audiences of syncs."""

from millstream.destinations.vero.destination import Vero
from millstream.destinations.vero.settings import VeroSettings

__all__ = ["Vero", "VeroSettings"]
