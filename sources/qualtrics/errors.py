"""What Qualtrics's error answers mean beyond their HTTP status."""

from __future__ import annotations

import re

from millstream.state.errors import (
    AuthenticationError,
    MillstreamError,
    NotFoundError,
    PermissionDeniedError,
    RefusedError,
)
from millstream.state.http import Answer
from millstream.state.privacy import redact

CHANGED = "the API may have changed: update the connector, or leave the stream out for now."
TOO_LARGE = 413
_SIZE = re.compile(r"(?i)too (?:large|big|many)|\bsize\b|1\.8 ?GB|exceed")


def classify(answer: Answer) -> MillstreamError | None:
    """The error that an answer stands for, or None where its status says it all."""
    status = answer.status_code
    if status not in (400, 401, 403, 404, TOO_LARGE):
        return None
    words = words_of(answer)
    what = f"Qualtrics refused with {words or f'HTTP {status} and no reason'}"
    if status == 401:
        return AuthenticationError(
            what,
            remedy="make a new API token (Account Settings, Qualtrics IDs), and check the data centre in the base_url: "
            "a token works in its user's own data centre only.",
        )
    if status == 403:
        return PermissionDeniedError(
            what,
            remedy="give the token's user the permission (Access API, and for contacts the directory), or the OAuth "
            "client the stream's scope; or leave the stream out.",
        )
    if status == 404 and words:
        return NotFoundError(what, remedy="check the ids in the settings and the base_url of the connection.")
    return RefusedError(what, status=status) if status in (400, TOO_LARGE) else None


def words_of(answer: Answer) -> str:
    """The vendor's error code and message."""
    meta = answer.facts().get("meta")
    error = meta.get("error") if isinstance(meta, dict) else None
    if not isinstance(error, dict):
        return ""
    parts = (error.get("errorCode"), error.get("errorMessage"))
    return redact(": ".join(str(part) for part in parts if part))[:300]


def is_about_size(words: str) -> bool:
    """Whether a failure says that an export would be too large."""
    return _SIZE.search(words) is not None
