"""What the status of an answer means, in typed errors."""

from __future__ import annotations

from urllib.parse import urlsplit

import requests

from millstream.state.errors import (
    AuthenticationError,
    MalformedAnswerError,
    MillstreamError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    RefusedError,
    UnavailableError,
)
from millstream.state.http.answer import Answer, reason_of
from millstream.state.http.limit_headers import retry_after
from millstream.state.privacy import redact

RETRYABLE_STATUSES = frozenset({408, 423, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})
NOT_DONE_STATUSES = frozenset({423, 425, 429, 503})
"""Statuses that say the work was not begun, so that even a request that is not idempotent may be repeated."""

THROTTLED_STATUSES = frozenset({429, 503})
"""Statuses that ask for fewer requests."""


def problem_of(answer: Answer) -> MillstreamError | None:
    """The error that an answer stands for, or None when it is good."""
    status = answer.status_code
    if status < 400:
        return _unreadable(answer)
    what = f"{place_of(answer.request)} answered HTTP {status}{reason_of(answer)}"
    if status == 401:
        return AuthenticationError(
            what,
            remedy="the credential is wrong, expired or revoked: replace the secret of the connection.",
        )
    if status == 403:
        return PermissionDeniedError(
            what,
            remedy="give the credential the scope or permission named here, or leave the stream out.",
        )
    if status == 429:
        return RateLimitedError(what, retry_after=retry_after(answer.headers))
    if status in RETRYABLE_STATUSES:
        return UnavailableError(what, retry_after=retry_after(answer.headers))
    if status == 404:
        return NotFoundError(what, remedy="check the ids and the base_url of the connection.")
    return RefusedError(what, status=status, body=answer.said())


def _unreadable(answer: Answer) -> MillstreamError | None:
    wants_json = answer.request.headers.get("Accept") == "application/json"
    if not wants_json or not answer.content:
        return None
    try:
        answer.json()
    except MalformedAnswerError as error:
        return error
    return None


def place_of(request: requests.PreparedRequest) -> str:
    """Method, host and path of a request, without the people in them."""
    parts = urlsplit(request.url or "")
    return redact(f"{request.method} {parts.netloc.rpartition('@')[2]}{parts.path}")
