"""Stand-in for Klaviyo's API, mounted so that its URLs begin `/klaviyo/api` (and `/klaviyo/oauth`)."""

from __future__ import annotations

from millstream.sandbox.klaviyo.account import Klaviyo

SYSTEM = Klaviyo

__all__ = ["SYSTEM", "Klaviyo"]
