"""Intercom's workspace: its region and token, the version of the API, its limits, and what refusals mean."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field, SecretStr, model_validator
from requests import PreparedRequest

from millstream.state.errors import AuthenticationError, MillstreamError, PermissionDeniedError, RateLimitedError
from millstream.state.http import Answer, BearerAuth, RateLimit
from millstream.state.http.pacing import retry_after

HOSTS = {
    "us": "https://api.intercom.io",
    "eu": "https://api.eu.intercom.io",
    "au": "https://api.au.intercom.io",
}
MOST_FILTERS = 15
"""Filters in one group of a search."""
LARGEST_PAGE = 150
"""Contacts in a page of a search."""
RATE_LIMIT = RateLimit(
    requests=166, seconds=10.0, concurrency=8, remaining="X-RateLimit-Remaining", reset="X-RateLimit-Reset"
)
"""Intercom counts in windows of ten seconds."""

_LONGEST_WINDOW = 60.0
_CREDENTIAL = (
    "check the token, and that region or base_url is that of the workspace: a token of an EU or AU workspace is "
    "nothing to the US host."
)


class IntercomWorkspace(BaseModel):
    """A connection to Intercom, to be mixed into a connector's settings."""

    region: Literal["us", "eu", "au"] = Field(default="us", description="Region in which the workspace lives.")
    base_url: str = Field(default="", description="Root of the API; the region's host when left out.")
    access_token: SecretStr = Field(description="Access token of the workspace's app.")

    @model_validator(mode="before")
    @classmethod
    def _with_host(cls, given: Any) -> Any:
        """The region's host, where no other is named."""
        if not isinstance(given, Mapping) or given.get("base_url"):
            return given
        return {**given, "base_url": HOSTS.get(str(given.get("region", "us")), "")}


class VersionedAuth(BearerAuth):
    """The token, and the version of the API without which the app's own default would be spoken."""

    def __init__(self, token: SecretStr, version: str) -> None:
        super().__init__(token)
        self._version = version

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Sign the request."""
        request.headers["Intercom-Version"] = self._version
        return super().__call__(request)


def problem_of(answer: Answer, *, if_denied: str) -> MillstreamError | None:
    """The error that a 401, a 403 or a 429 stands for; None for any other answer.

    Args:
        answer: The answer.
        if_denied: What to do where the app lacks a permission.
    """
    status = answer.status_code
    if status == 401:
        return AuthenticationError(f"Intercom does not accept the token{_said(answer)}", remedy=_CREDENTIAL)
    if status == 403:
        return PermissionDeniedError(f"Intercom does not let this app do it{_said(answer)}", remedy=if_denied)
    if status == 429:
        return RateLimitedError(f"Intercom asks to slow down{_said(answer)}", retry_after=_seconds_left(answer))
    return None


def first_error(body: object) -> tuple[str, str]:
    """Code and message of the first error of an ``error.list``; both empty where there is none."""
    errors = body.get("errors") if isinstance(body, Mapping) else None
    first = errors[0] if isinstance(errors, list) and errors else None
    if not isinstance(first, Mapping):
        return "", ""
    return str(first.get("code") or ""), str(first.get("message") or "")


def words_of(body: object) -> str:
    """What the first error says, as the end of a sentence."""
    said = " - ".join(part for part in first_error(body) if part)
    return f": {said[:300]}" if said else "."


def _said(answer: Answer) -> str:
    return words_of(answer.said())


def _seconds_left(answer: Answer) -> float | None:
    """Until the window renews, which the vendor tells as a moment."""
    asked = retry_after(answer.headers)
    if asked is not None:
        return asked
    try:
        left = float(answer.headers.get("X-RateLimit-Reset", "")) - time.time()
    except ValueError:
        return None
    return min(max(left, 1.0), _LONGEST_WINDOW)
