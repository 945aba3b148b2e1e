"""Stand-in for CleverTap's API, mounted so that its URLs begin `/clevertap/1` (also below a region's name)."""

from __future__ import annotations

from millstream.sandbox.clevertap.project import CleverTap

SYSTEM = CleverTap

__all__ = ["SYSTEM", "CleverTap"]
