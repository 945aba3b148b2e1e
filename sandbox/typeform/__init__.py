"""Stand-in for Typeform's Create and Responses APIs (api.typeform.com), mounted at `/typeform`."""

from __future__ import annotations

from millstream.sandbox.typeform.account import Typeform

SYSTEM = Typeform

__all__ = ["SYSTEM", "Typeform"]
