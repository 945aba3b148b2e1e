"""Stand-in for Mixpanel: the raw export at `/mixpanel/api/2.0`, the Query API at `/mixpanel/api/query`."""

from __future__ import annotations

from millstream.sandbox.mixpanel.project import Mixpanel

SYSTEM = Mixpanel

__all__ = ["SYSTEM", "Mixpanel"]
