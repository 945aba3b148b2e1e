"""Stand-in for a Salesforce org: its login host and its `/services/data`, mounted at `/salesforce`."""

from __future__ import annotations

from millstream.sandbox.salesforce.org import Salesforce

SYSTEM = Salesforce

__all__ = ["SYSTEM", "Salesforce"]
