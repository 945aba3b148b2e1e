"""What Adobe's error answers mean beyond their HTTP status."""

from __future__ import annotations

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

WINDOW = 6.0
"""Seconds in which requests are counted."""

_CREDENTIAL = (
    "check client id, secret and scope of the project in the Developer Console: it needs an OAuth server-to-server "
    "credential and the API of Adobe Analytics (service accounts with a JWT have ended)."
)
_PROFILE = (
    "in the Admin Console, add the credential to a product profile of Adobe Analytics that lists the report suite and "
    "all dimensions and metrics asked for."
)
_NARROWER = "run again later; if it stays, give a smaller `page_size`, or the report fewer metrics and segments."
_REPORT = "compare the report with the streams `dimensions`, `metrics` and `segments`, which list what there is."


def classify(answer: Answer) -> MillstreamError | None:
    """The error that an answer stands for, or None where its status says it all."""
    status = answer.status_code
    if status == 504:
        return UnavailableError("Adobe did not finish a request within its minute.", remedy=_NARROWER)
    if status < 400 or status >= 500:
        return None
    code, words = _said(answer)
    if status == 401:
        return AuthenticationError(f"Adobe does not accept the token{words}", remedy=_CREDENTIAL)
    if status == 429 or code == "429050":
        wait = retry_after(answer.headers)
        return RateLimitedError(f"Adobe asks to slow down{words}", retry_after=WINDOW if wait is None else wait)
    if status == 403 or code == "insufficient_access":
        return PermissionDeniedError(f"Adobe does not let this credential read it{words}", remedy=_PROFILE)
    if status == 400:
        return RefusedError(f"Adobe refused the request{words}", status=status, remedy=f"{_REPORT} Else {_PROFILE}")
    return None


def _said(answer: Answer) -> tuple[str, str]:
    """Code and words of an error, of the gateway or of the service behind it."""
    body = answer.facts()
    code = str(body.get("errorCode") or body.get("error_code") or "")
    words = " - ".join(part for part in (code, body.get("errorDescription") or body.get("message")) if part)
    return code, f": {words[:300]}" if words else "."
