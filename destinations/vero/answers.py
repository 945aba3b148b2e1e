"""What Vero's answers mean for rows and for a sync."""

from __future__ import annotations

from collections.abc import Mapping

from millstream.destinations.contract import Outcome, rejected
from millstream.destinations.rows import masked
from millstream.state.errors import (
    AuthenticationError,
    MillstreamError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    RefusedError,
    UnavailableError,
)
from millstream.state.http import Answer
from millstream.state.http.pacing import retry_after
from millstream.state.http.problems import RETRYABLE_STATUSES

NOT_FOUND = 404
_SEEN_BEFORE = "already received"


def problem_of(answer: Answer, token: str) -> MillstreamError | None:
    """The error that an answer stands for, in words that cannot hold the token; None for a good one.

    Args:
        answer: What Vero said.
        token: The credential; it was in the request, so any answer may repeat it.
    """
    status = answer.status_code
    if status < 400:
        return None
    body = answer.facts()
    said = str(body.get("message") or body.get("error") or "no reason given")[:300].replace(token, "***")
    what = f"Vero answered HTTP {status}: {said}"
    if status == 401:
        return AuthenticationError(what, remedy="replace auth_token: Vero shows it in the settings of the project.")
    if status == 403:
        return PermissionDeniedError(what, remedy="give the auth token the permission, or make another.")
    if status == 429:
        return RateLimitedError(what, retry_after=retry_after(answer.headers))
    if status in RETRYABLE_STATUSES:
        return UnavailableError(what, retry_after=retry_after(answer.headers))
    if status == NOT_FOUND and body.get("status") != NOT_FOUND:
        # Without a body of Vero's it is not about a user but about the address.
        return NotFoundError(what, remedy="check the base_url of the connection.")
    return RefusedError(what, status=status)


def was_dropped(answer: object) -> bool:
    """Whether Vero takes the request for one that it had before, and does not carry it out."""
    return isinstance(answer, Mapping) and _SEEN_BEFORE in str(answer.get("message")).lower()


def refusal_of(error: RefusedError, match_value: str) -> Outcome:
    """The outcome of a request for one user that was refused."""
    code = "not_found" if error.status == NOT_FOUND else "refused"
    return rejected(code, masked(error.what, match_value))
