"""Stand-in for the Vero Track API (api.getvero.com/api/v2), mounted at `/vero`."""

from __future__ import annotations

from millstream.sandbox.vero.project import Vero

SYSTEM = Vero

__all__ = ["SYSTEM", "Vero"]
