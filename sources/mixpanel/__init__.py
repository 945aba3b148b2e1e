"""Mixpanel: the events of one project, its profiles and its cohorts."""

from millstream.sources.mixpanel.settings import MixpanelSettings
from millstream.sources.mixpanel.source import Mixpanel

__all__ = ["Mixpanel", "MixpanelSettings"]
