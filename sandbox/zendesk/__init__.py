"""Stand-in for Zendesk Support, mounted so that its URLs begin `/zendesk/api/v2`."""

from __future__ import annotations

from millstream.sandbox.zendesk.account import Zendesk

SYSTEM = Zendesk

__all__ = ["SYSTEM", "Zendesk"]
