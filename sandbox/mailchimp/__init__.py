"""Stand-in for the Mailchimp Marketing API 3.0, mounted so that its URLs begin `/mailchimp/3.0`."""

from __future__ import annotations

from millstream.sandbox.mailchimp.account import Mailchimp

SYSTEM = Mailchimp

__all__ = ["SYSTEM", "Mailchimp"]
