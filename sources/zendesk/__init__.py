"""Zendesk Support: users, tickets and what happened to them, organizations and satisfaction ratings."""

from millstream.sources.zendesk.settings import ZendeskSettings
from millstream.sources.zendesk.source import Zendesk

__all__ = ["Zendesk", "ZendeskSettings"]
