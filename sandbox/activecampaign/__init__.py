"""Stand-in for ActiveCampaign's API v3, mounted so that its URLs begin `/activecampaign/api/3`."""

from __future__ import annotations

from millstream.sandbox.activecampaign.account import ActiveCampaign

SYSTEM = ActiveCampaign

__all__ = ["SYSTEM", "ActiveCampaign"]
