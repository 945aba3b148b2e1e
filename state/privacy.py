"""Keeping personal data and secrets out of logs, errors, artifacts and snapshots."""

from __future__ import annotations

import hashlib
import re

_EMAIL = re.compile(r"[\w.+%-]+(?:@|%40)[\w-]+(?:\.[\w-]+)+")
_PHONE = re.compile(r"(?<![\w.:-])\+\d[\d ()./-]{7,}\d")
_SECRET = re.compile(
    r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}|\bpat-[\w-]+|\b(access_token|refresh_token|client_secret|api_?key)=[^&\s\"']+"
)
_LOGIN = re.compile(r"(?<=://)([^/\s:@'\"]*):[^\s/'\"]+@")


def redact(text: str) -> str:
    """Mask e-mail addresses, phone numbers and credentials in text that came from outside."""
    text = _LOGIN.sub(r"\1:***@", text)
    text = _SECRET.sub(lambda match: f"{match.group(1) or match.group(2) or 'token'} ***", text)
    text = _EMAIL.sub(lambda match: masked_email(match.group(0)), text)
    return _PHONE.sub("+***", text)


def masked_email(email: str) -> str:
    """``ana@example.com`` as ``a***@***`` and a short fingerprint, so that two mentions can be matched."""
    fingerprint = hashlib.sha256(email.lower().encode()).hexdigest()[:6]
    return f"{email[0]}***@*** [{fingerprint}]"
