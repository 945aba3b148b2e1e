"""Stand-in for Customer.io: its Track API at `/customerio/track`, its App API at `/customerio/app`."""

from __future__ import annotations

from millstream.sandbox.customerio.workspace import CustomerIO

SYSTEM = CustomerIO

__all__ = ["SYSTEM", "CustomerIO"]
