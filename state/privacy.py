"""Keeping personal data and secrets out of logs, errors, artifacts and snapshots."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from urllib.parse import quote, unquote

_EMAIL = re.compile(r"[\w.+%-]+(?:@|%40)[\w-]+(?:\.[\w-]+)+")
_PHONE = re.compile(r"(?<![\w.:-])\+\d[\d ()./-]{7,}\d")
_SECRET = re.compile(
    r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}|\bpat-[\w-]+|\b(access_token|refresh_token|client_secret|api_?key)=[^&\s\"']+"
)
_TELLING = 3
"""Letters of the shortest value that is looked for within a text; shorter ones tell nobody, and stand everywhere."""
_LOGIN = re.compile(r"(?<=://)([^/\s:@'\"]*):[^\s/'\"]+@")


def redact(text: str) -> str:
    """Mask e-mail addresses, phone numbers and credentials in text that came from outside."""
    text = _LOGIN.sub(r"\1:***@", text)
    text = _SECRET.sub(lambda match: f"{match.group(1) or match.group(2) or 'token'} ***", text)
    text = _EMAIL.sub(lambda match: masked_email(match.group(0)), text)
    return _PHONE.sub("+***", text)


def redact_values(text: str, values: Collection[str]) -> str:
    """Mask values that are known to be somebody's, wherever they stand as whole words; then as ``redact``.

    So also an address is masked that is too malformed to be known as one, and an id or a name in the vendor's words.

    Args:
        text: What came from outside, or goes there: percent-encoded values are found, too.
        values: Match values, and values of fields.
    """
    small = text.lower()
    for value in sorted((value for value in values if len(value) >= _TELLING), key=len, reverse=True):
        for form in {value, quote(value, safe="")} if "%" in text else (value,):
            if form.lower() in small:
                text = re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", _without_value, text, flags=re.IGNORECASE)
    return redact(text)


def _without_value(found: re.Match[str]) -> str:
    value = unquote(found.group(0))
    return masked_email(value) if "@" in value else f"{value[0]}***"


def masked_email(email: str) -> str:
    """``ana@box.example`` as ``a***@***`` and a short fingerprint, so that two mentions can be matched."""
    fingerprint = hashlib.sha256(email.lower().encode()).hexdigest()[:6]
    return f"{email[0]}***@*** [{fingerprint}]"
