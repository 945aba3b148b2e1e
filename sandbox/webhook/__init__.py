"""Stand-in for an operator's own webhook receiver, mounted at `/webhook`."""

from __future__ import annotations

from millstream.sandbox.webhook.receiver import Webhook

SYSTEM = Webhook

__all__ = ["SYSTEM", "Webhook"]
