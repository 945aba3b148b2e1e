"""What HubSpot's error answers mean beyond their HTTP status."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from millstream.state.errors import (
    AuthenticationError,
    MillstreamError,
    PermissionDeniedError,
    QuotaExhaustedError,
    RateLimitedError,
)
from millstream.state.http import Answer

_SCOPE = re.compile(r"[\w.*-]+")


def classify(answer: Answer) -> MillstreamError | None:
    """The error that an answer stands for, or None where its status says it all."""
    if answer.status_code not in (401, 403, 429):
        return None
    body = answer.facts()
    if answer.status_code == 429:
        return _limit(answer, body)
    category = str(body.get("category") or "")
    if answer.status_code == 401:
        return _unauthorised(category)
    return _forbidden(category, body)


def _limit(answer: Answer, body: Mapping[str, Any]) -> MillstreamError | None:
    if str(body.get("policyName") or "").upper() == "DAILY":
        return QuotaExhaustedError(
            "HubSpot's daily limit of requests is used up.",
            remedy="run again after midnight in the account's time zone; what was read so far is kept.",
        )
    asked = body.get("retry_after")
    if "Retry-After" not in answer.headers and isinstance(asked, int | float):
        return RateLimitedError("HubSpot asks to slow down.", retry_after=float(asked))
    return None


def _unauthorised(category: str) -> AuthenticationError:
    if category == "EXPIRED_AUTHENTICATION":
        return AuthenticationError(
            "HubSpot says that the access token has expired.",
            remedy="use the token of a private app or service key, which does not expire, or the OAuth values.",
        )
    return AuthenticationError(
        f"HubSpot does not accept the credential ({category or 'HTTP 401'}).",
        remedy="the token is wrong, was rotated, or its app was deleted: replace the secret of the connection.",
    )


def _forbidden(category: str, body: Mapping[str, Any]) -> PermissionDeniedError | None:
    if category != "MISSING_SCOPES":
        return None
    scopes = sorted(set(_scopes(body)))
    named = ", ".join(scopes) if scopes else "the scope that docs/sources/hubspot.md names for the stream"
    return PermissionDeniedError(
        "HubSpot says that the credential lacks a scope" + (f": {named}." if scopes else "."),
        remedy=f"add {named} to the app or key, or leave the stream out.",
    )


def _scopes(body: Mapping[str, Any]) -> Iterator[str]:
    """Scopes named in the contexts of an error: a list under a key with `scopes`, or text of such a list."""
    for part in (body, *(error for error in body.get("errors") or () if isinstance(error, dict))):
        context = part.get("context")
        if isinstance(context, dict):
            for key, value in context.items():
                if "scope" in str(key).lower() and isinstance(value, list):
                    yield from (found for one in value for found in _SCOPE.findall(str(one)))
        elif isinstance(context, str) and "copes=[" in context:
            yield from _SCOPE.findall(context.split("copes=[", 1)[1].split("]", 1)[0])
