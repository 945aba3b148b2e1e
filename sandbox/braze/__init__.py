"""Stand-in for Braze's REST API, mounted at `/braze`."""

from __future__ import annotations

from millstream.sandbox.braze.workspace import Braze

SYSTEM = Braze

__all__ = ["SYSTEM", "Braze"]
