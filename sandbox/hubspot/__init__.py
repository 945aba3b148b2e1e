"""HubSpot (api.hubapi.com) as far as sources and destinations need it.

Written from public facts about the CRM, lists, e-mail event, communication preference and OAuth APIs. Companies
and deals can be read, contacts and lists written too.
"""

from __future__ import annotations

from millstream.sandbox.hubspot.api import HubSpot

SYSTEM = HubSpot

__all__ = ["SYSTEM", "HubSpot"]
