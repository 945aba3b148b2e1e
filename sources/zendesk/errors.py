"""What Zendesk's error answers mean beyond their HTTP status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from millstream.state.errors import (
    AuthenticationError,
    MillstreamError,
    PermissionDeniedError,
    UnavailableError,
)
from millstream.state.http import Answer

RATINGS_PATH = "api/v2/satisfaction_ratings.json"
_CREDENTIAL = (
    "check the connection's credential. An API token needs token access switched on in the Admin Center and the "
    "address of its user; an OAuth token may have expired or been revoked."
)
_ADMIN = "use a credential of an admin (exports are closed to agents), with the scope `read` if it is an OAuth token."
_NO_RATINGS = (
    "the account has no classic satisfaction ratings: they are switched off, not part of its plan, or replaced by "
    "surveys. Leave the stream out with `streams`."
)


def classify(answer: Answer) -> MillstreamError | None:
    """The error that an answer stands for, or None where its status says it all."""
    status = answer.status_code
    if status == 401:
        return AuthenticationError(f"Zendesk does not accept the credential{_words(answer)}", remedy=_CREDENTIAL)
    if status in (403, 404) and urlsplit(answer.request.url or "").path.endswith(RATINGS_PATH):
        return PermissionDeniedError(f"Zendesk gives no satisfaction ratings{_words(answer)}", remedy=_NO_RATINGS)
    if status == 403:
        return PermissionDeniedError(f"Zendesk does not let this user read it{_words(answer)}", remedy=_ADMIN)
    if status == 409:
        return _conflict(answer)
    return None


def _conflict(answer: Answer) -> MillstreamError | None:
    """Two requests got in each other's way at the vendor: worth another try, where it says when."""
    wait = answer.headers.get("Retry-After", "")
    if not wait.isdigit():
        return None
    return UnavailableError("Zendesk asks to try again after a conflict.", retry_after=float(wait))


def _words(answer: Answer) -> str:
    """The vendor's own words; ``error`` is a text, or an object with a title and a message."""
    body = answer.facts()
    error = body.get("error")
    facts: Mapping[str, Any] = error if isinstance(error, dict) else body
    said = [facts.get(name) for name in ("error", "title", "message", "description")]
    words = " - ".join(str(part) for part in said if isinstance(part, str))
    return f": {words[:300]}" if words else "."
