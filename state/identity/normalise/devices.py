"""One spelling for the ids of devices and browsers."""

from __future__ import annotations

import re

VERSION = 1
"""Raised by whoever changes which value comes of a text: what was kept of the version before is then spelled anew."""

# Google's cookie `_ga` holds 'GA1.', how deep its domain is (and its path: '1-2'), and then the client id.
_ANALYTICS_COOKIE = re.compile(r"(?:_ga=)?GA\d\.\d+(?:-\d+)?\.(?P<client>.+)", re.IGNORECASE)
_HEXADECIMAL = re.compile(
    r"(?:urn:uuid:)?\{?(?P<id>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32}|[0-9a-f]{16})\}?",
    re.IGNORECASE,
)


def fold_device(text: str) -> str:
    """A client id without the cookie around it; hexadecimal ids (UUID, IDFA, GAID, Android) in small letters.

    Apple gives its ids in capitals, Google in small letters, and what lies between changes either.
    """
    cookie = _ANALYTICS_COOKIE.fullmatch(text)
    if cookie:
        text = cookie["client"]
    hexadecimal = _HEXADECIMAL.fullmatch(text)
    return hexadecimal["id"].lower() if hexadecimal else text
