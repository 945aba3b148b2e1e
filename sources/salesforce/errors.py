"""What Salesforce's error answers mean beyond their HTTP status. They are lists, each with an `errorCode`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from millstream.state.errors import (
    AuthenticationError,
    MillstreamError,
    PermissionDeniedError,
    QuotaExhaustedError,
    RateLimitedError,
    RefusedError,
    UnavailableError,
)
from millstream.state.http import Answer

if TYPE_CHECKING:
    from requests import Response

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


def refused_sign_in(answer: Response) -> MillstreamError | None:
    """The error that a refusal of the token endpoint stands for: an error's name, and words that tell what is wrong."""
    if answer.status_code not in (400, 401, 403):
        return None
    try:
        body = answer.json()
    except ValueError:
        return None
    if not isinstance(body, dict) or not body.get("error"):
        return None
    name, words = str(body["error"]), str(body.get("error_description") or "no reason given")[:300]
    remedy = next((told for sign, told in _SIGN_INS.items() if sign in f"{name} {words}".lower()), _SESSION)
    return AuthenticationError(f"Salesforce's token endpoint refused the app ({name}: {words}).", remedy=remedy)


def error_of(answer: Answer) -> tuple[str, str]:
    """Code and words of an error answer; empty where it has none."""
    return code_and_words(answer.said())


def code_and_words(body: object) -> tuple[str, str]:
    """The same, of its parsed body."""
    first = body[0] if isinstance(body, list) and body else body
    if not isinstance(first, dict):
        return "", ""
    return str(first.get("errorCode") or ""), str(first.get("message") or "")[:300]


def code_of(error: RefusedError) -> str:
    """The code of a refusal that was raised."""
    return code_and_words(error.body)[0]


_SIGN_INS = {
    "hasn't approved": "let the user use the app without asking: in the app's policies set permitted users to those "
    "pre-authorized, and add the user's profile or permission set.",
    "audience": "set `audience` to the login host: https://login.salesforce.com, or https://test.salesforce.com for a "
    "sandbox.",
    "assertion": "check that private_key belongs to the certificate uploaded to the app, that username is right, and "
    "that this machine's clock is.",
    "client credentials user": "name a user whom the app runs as, in its policies for the client credentials flow.",
    "not supported on this domain": "give the My Domain address as base_url: this flow works there only.",
    "refresh token": "the refresh token was revoked or has expired: allow the app again and give the new one. If "
    "the app rotates refresh tokens, set refresh_token_file.",
    "invalid_client_id": "check client_id, the app's consumer key; a new app works after some ten minutes.",
    "invalid_client": "check client_secret, the app's consumer secret.",
    "inactive": "the user or the organization is not active: take another user.",
    "ip restricted": "relax the app's IP restrictions, or allow this machine's address.",
}
"""What to do, by what stands in the refusal, lower case; the first that fits."""


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
