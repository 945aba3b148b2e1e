"""Stand-in for the Intercom API (api.intercom.io), mounted at `/intercom`."""

from __future__ import annotations

from millstream.sandbox.intercom.workspace import Intercom

SYSTEM = Intercom

__all__ = ["SYSTEM", "Intercom"]
