"""Stand-in for Shift4Shop's REST API v1, mounted so that its URLs begin `/shift4shop/3dCartWebAPI/v1`."""

from __future__ import annotations

from millstream.sandbox.shift4shop.store import Shift4Shop

SYSTEM = Shift4Shop

__all__ = ["SYSTEM", "Shift4Shop"]
