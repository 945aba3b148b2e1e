"""Stand-in for Zoho CRM (v8), mounted so that its URLs begin `/zoho_crm/crm/v8` and `/zoho_crm/oauth/v2`."""

from __future__ import annotations

from millstream.sandbox.zoho_crm.organisation import ZohoCrm

SYSTEM = ZohoCrm

__all__ = ["SYSTEM", "ZohoCrm"]
