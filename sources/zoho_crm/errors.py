"""What Zoho's error answers mean beyond their HTTP status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from millstream.state.errors import (
    AuthenticationError,
    MillstreamError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExhaustedError,
)
from millstream.state.http import Answer

CREDITS_LEFT = "X-API-CREDITS-REMAINING"
_BULK = "ZohoCRM.bulk.READ"
_NOT_THERE = {"INVALID_MODULE", "FEATURE_NOT_ENABLED", "FEATURE_NOT_SUPPORTED", "MODULE_NOT_SUPPORTED"}


def classify(answer: Answer) -> MillstreamError | None:
    """The error that an answer stands for, or None where its status says it all."""
    if answer.status_code < 400:
        return None
    body = answer.facts()
    code = str(body.get("code") or "")
    if answer.status_code == 429:
        return _limit(answer, code)
    if code == "OAUTH_SCOPE_MISMATCH":
        scope = scope_of(urlsplit(answer.request.url or "").path)
        way_round = "set first_load: list" if scope == _BULK else "leave the stream out"
        return PermissionDeniedError(
            f"The credential lacks the scope {scope}.",
            remedy=f"make a refresh token with {scope} among its scopes, or {way_round}.",
        )
    if answer.status_code == 401:
        return AuthenticationError(
            f"Zoho does not accept the access token ({code or 'HTTP 401'}).",
            remedy="check that data_center is where the account lives, and that the user is still active.",
        )
    if code == "NO_PERMISSION":
        return PermissionDeniedError(
            f"Zoho does not let this user do it{_words(body)}",
            remedy="give the user's profile the permission to see the module and to use the API, or leave it out.",
        )
    if code in _NOT_THERE:
        return PermissionDeniedError(
            f"The account has no such module or feature{_words(body)}",
            remedy="leave the stream out; if it is the Bulk API that is missing, set first_load: list.",
        )
    if code == "RESOURCE_NOT_FOUND":
        return NotFoundError(f"Zoho does not know it{_words(body)}", remedy="run again.")
    return None


def scope_of(path: str) -> str:
    """The scope that a path needs."""
    parts = path.strip("/").split("/")
    if "bulk" in parts:
        return _BULK
    if "settings" in parts:
        return f"ZohoCRM.settings.{parts[-1]}.READ"
    module = parts[parts.index("v8") + 1] if "v8" in parts[:-1] else parts[-1]
    return f"ZohoCRM.modules.{module.lower()}.READ"


def _limit(answer: Answer, code: str) -> MillstreamError | None:
    """Too many at once, which passes; or no credits left, which does not pass today."""
    if answer.headers.get(CREDITS_LEFT, "").strip() != "0" and "CREDIT" not in code.upper():
        return None
    return QuotaExhaustedError(
        "The account's API credits are used up.",
        remedy="run again later: credits come back 24 hours after they were spent. What was read so far is kept.",
    )


def _words(body: Mapping[str, Any]) -> str:
    said = [str(body[name]) for name in ("code", "message") if body.get(name)]
    return f": {' - '.join(said)[:300]}." if said else "."
