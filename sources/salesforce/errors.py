"""What Salesforce's error answers mean beyond their HTTP status. They are lists, each with an `errorCode`."""

from __future__ import annotations

from collections.abc import Callable

from millstream.state.errors import (
    AuthenticationError,
    MalformedAnswerError,
    MillstreamError,
    PermissionDeniedError,
    QuotaExhaustedError,
    RateLimitedError,
    RefusedError,
    UnavailableError,
)
from millstream.state.http import Answer

BAD_LOCATOR, TIMEOUT, TOO_LARGE = "INVALID_QUERY_LOCATOR", "QUERY_TIMEOUT", "OPERATION_TOO_LARGE"
_SESSION = (
    "check the app's consumer key and secret (or certificate and user) and that the user is active; a session given "
    "as access_token ends within hours."
)
_API = (
    "give the user's profile or a permission set `API Enabled`; editions without API access (Essentials, Professional) "
    "need it as an add-on."
)
_HIDDEN = "give the user read access to the object (profile or permission set), or leave the stream out."
_QUOTA = "what was read so far is kept; the limit counts the last 24 hours, so run again tomorrow, or have it raised."


def classify(answer: Answer) -> MillstreamError | None:
    """The error that an answer stands for, or None where its status says it all."""
    if answer.status_code < 400:
        return None
    code, words = error_of(answer)
    made = _BY_CODE.get(code)
    if made is not None:
        return made(words)
    if answer.status_code == 406:
        # Seen now and then under load; the same request is answered a little later.
        return UnavailableError(f"Salesforce answered HTTP 406: {words}")
    if answer.status_code in (400, 409) and code:
        return RefusedError(f"Salesforce refuses the request ({code}): {words}", status=400, body=answer.json())
    return None


def error_of(answer: Answer) -> tuple[str, str]:
    """Code and words of an error answer; empty where it has none."""
    try:
        return code_and_words(answer.json())
    except MalformedAnswerError:
        return "", ""


def code_and_words(body: object) -> tuple[str, str]:
    """The same, of its parsed body."""
    first = body[0] if isinstance(body, list) and body else body
    if not isinstance(first, dict):
        return "", ""
    return str(first.get("errorCode") or ""), str(first.get("message") or "")[:300]


def code_of(error: RefusedError) -> str:
    """The code of a refusal that was raised."""
    return code_and_words(error.body)[0]


def _limit(words: str) -> MillstreamError:
    if "concurrent" in words.lower():
        return RateLimitedError(f"Salesforce has too many long requests of this organization: {words}")
    return QuotaExhaustedError(f"Salesforce's daily limit of requests is used up: {words}", remedy=_QUOTA)


def _no_api(words: str) -> MillstreamError:
    return PermissionDeniedError(f"Salesforce does not let this user use the API: {words}", remedy=_API)


def _hidden(words: str) -> MillstreamError:
    return PermissionDeniedError(f"Salesforce does not show this object to the user: {words}", remedy=_HIDDEN)


_BY_CODE: dict[str, Callable[[str], MillstreamError]] = {
    "INVALID_SESSION_ID": lambda words: AuthenticationError(
        f"Salesforce does not accept the session: {words}", remedy=_SESSION
    ),
    "INVALID_AUTH_HEADER": lambda words: AuthenticationError(
        f"Salesforce does not accept the session: {words}", remedy=_SESSION
    ),
    "REQUEST_LIMIT_EXCEEDED": _limit,
    "EXCEEDED_QUOTA": _limit,
    "API_DISABLED_FOR_ORG": _no_api,
    "API_CURRENTLY_DISABLED": _no_api,
    "INVALID_TYPE": _hidden,
    "INSUFFICIENT_ACCESS": _hidden,
}
