"""Zoho CRM as a source: contacts, leads, accounts and deals."""

from millstream.sources.zoho_crm.settings import ZohoCrmSettings
from millstream.sources.zoho_crm.source import ZohoCrm

__all__ = ["ZohoCrm", "ZohoCrmSettings"]
