"""Stand-in for the Marketo Engage REST API (one instance of mktorest.com), mounted at `/marketo`."""

from __future__ import annotations

from millstream.sandbox.marketo.instance import Marketo

SYSTEM = Marketo

__all__ = ["SYSTEM", "Marketo"]
