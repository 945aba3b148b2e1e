"""Salesforce: leads, contacts and accounts, opportunities, campaigns and tasks, and any other object by name."""

from millstream.sources.salesforce.settings import SalesforceSettings
from millstream.sources.salesforce.source import Salesforce

__all__ = ["Salesforce", "SalesforceSettings"]
