"""Salesforce: contacts or leads by external id, with campaigns, checkboxes or a picklist as the audiences of syncs."""

from millstream.destinations.salesforce.destination import Salesforce
from millstream.destinations.salesforce.settings import SalesforceSettings

__all__ = ["Salesforce", "SalesforceSettings"]
