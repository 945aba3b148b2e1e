"""What Intercom's error answers mean beyond their HTTP status."""

from __future__ import annotations

import time

from millstream.state.errors import (
    AuthenticationError,
    MillstreamError,
    PermissionDeniedError,
    RateLimitedError,
    RefusedError,
    UnavailableError,
)
from millstream.state.http import Answer
from millstream.state.http.pacing import retry_after

LONGEST_WINDOW = 60.0
SCROLL_WAIT = 15.0
"""Seconds between two tries while somebody else's scroll is open; one that is not used ends after a minute."""

_CREDENTIAL = (
    "check the token, and that base_url is the host of the workspace's region: a token of an EU or AU workspace "
    "is nothing to the US host."
)
_PERMISSION = (
    "in the Developer Hub, under Authentication, give the app the permission to read it and make a new token if it "
    "asks for one; or leave the stream out with `streams`."
)


def classify(answer: Answer) -> MillstreamError | None:
    """The error that an answer stands for, or None where its status says it all."""
    status = answer.status_code
    if status < 400:
        return None
    code, words = _first_error(answer)
    if status == 401:
        return AuthenticationError(f"Intercom does not accept the token{words}", remedy=_CREDENTIAL)
    if status == 403:
        return PermissionDeniedError(f"Intercom does not let this app read it{words}", remedy=_PERMISSION)
    if status == 429:
        return RateLimitedError(f"Intercom asks to slow down{words}", retry_after=_seconds_left(answer))
    if code == "scroll_exists":
        return UnavailableError("Another program is scrolling through the companies.", retry_after=SCROLL_WAIT)
    if status == 500 and "restart" in words.lower():
        return RefusedError(f"Intercom lost its place{words}", status=status)
    if status == 400:
        remedy = "check the setting `version`." if code == "intercom_version_invalid" else None
        return RefusedError(f"Intercom refused the request{words}", status=status, remedy=remedy)
    return None


def _seconds_left(answer: Answer) -> float | None:
    """Until the window renews, which the vendor tells as a moment."""
    asked = retry_after(answer.headers)
    if asked is not None:
        return asked
    try:
        left = float(answer.headers.get("X-RateLimit-Reset", "")) - time.time()
    except ValueError:
        return None
    return min(max(left, 1.0), LONGEST_WINDOW)


def _first_error(answer: Answer) -> tuple[str, str]:
    """Code and words of the first error of an ``error.list``."""
    errors = answer.facts().get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    if not isinstance(first, dict):
        return "", "."
    said = [str(first[name]) for name in ("code", "message") if first.get(name)]
    return str(first.get("code") or ""), f": {' - '.join(said)[:300]}" if said else "."
