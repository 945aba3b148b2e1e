"""Stand-in for Qualtrics' v3 API (<data centre>.qualtrics.com), mounted at `/qualtrics`."""

from __future__ import annotations

from millstream.sandbox.qualtrics.account import Qualtrics

SYSTEM = Qualtrics

__all__ = ["SYSTEM", "Qualtrics"]
