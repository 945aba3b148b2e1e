"""Intercom: contacts, conversations and what was said in them, companies, tags and data events."""

from millstream.sources.intercom.settings import IntercomSettings
from millstream.sources.intercom.source import Intercom

__all__ = ["Intercom", "IntercomSettings"]
