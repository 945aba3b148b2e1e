"""What the Data Manager API's error answers mean: for the sync, and for single members by the paths in them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from millstream.destinations.contract import Outcome, rejected
from millstream.destinations.google_ads_customer_match.settings import SCOPE
from millstream.state.errors import (
    AuthenticationError,
    ConfigurationError,
    MillstreamError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExhaustedError,
    RateLimitedError,
    RefusedError,
    UnavailableError,
)
from millstream.state.http import Answer
from millstream.state.http.pacing import retry_after
from millstream.state.http.problems import RETRYABLE_STATUSES
from millstream.state.privacy import redact

TERMS_PAGE = "https://ads.google.com/aw/audiences/management"

_MEMBER = re.compile(r"(?:audience_members|audienceMembers)\[(\d+)\]")
_DELAY = re.compile(r"(\d+(?:\.\d+)?)s")
_OF_SOMETHING_ELSE = frozenset({409, 413})
"""What is there already, and requests that are too large, which are halved."""
_QUOTAS_RENEW_IN = "America/Los_Angeles"

_REMEDIES = {
    "TERMS_AND_CONDITIONS_NOT_SIGNED": "have an administrator of the account accept the Customer Match terms in Google "
    f"Ads, Audience manager: {TERMS_PAGE}",
    "ACCESS_TOKEN_SCOPE_INSUFFICIENT": f"have the user allow the OAuth client the scope {SCOPE}, and give the new "
    "refresh token.",
    "SERVICE_DISABLED": "enable the Data Manager API in the Google Cloud project of the credential.",
    "NOT_ALLOWLISTED": "Google does not let this account use Customer Match; see its policy on who may.",
    "PERMISSION_DENIED": "give the credential's user access to customer_id; where that goes by a manager or a partner, "
    "set login_customer_id.",
    "OPERATING_ACCOUNT_LOGIN_ACCOUNT_MISMATCH": "set login_customer_id to an account that manages customer_id, or is "
    "linked to it.",
    "DATA_PARTNER_USER_LIST_MUTATE_NOT_ALLOWED": "the partner may not change lists of this account: have it linked.",
    "INVALID_USER_LIST_ID": "check that the user list is still there and open, and that it is of contact data.",
    "INVALID_USER_LIST_TYPE": "sync into a list of contact data, or into one not there yet.",
}


def problem_of(answer: Answer) -> MillstreamError | None:
    """The error that an answer stands for; None where there is none."""
    status = answer.status_code
    if status < 400:
        return None
    error = _error(answer)
    reason = _reason(error)
    what = f"Google answered HTTP {status}{f' ({reason})' if reason else ''}: {_words(error)}"
    if status == 429:
        return _too_many(answer, error, what)
    if status in RETRYABLE_STATUSES:
        return UnavailableError(what, retry_after=_delay(answer, error))
    if status == 401:
        remedy = "give another refresh token, or another key of the service account."
        return AuthenticationError(what, remedy=remedy)
    if status == 403:
        return PermissionDeniedError(what, remedy=_REMEDIES.get(reason, _REMEDIES["PERMISSION_DENIED"]))
    if status == 404:
        return NotFoundError(what, remedy="check customer_id and the base_url, and that the user list is still there.")
    return _bad_request(answer, error, what)


def faulty_members(error: RefusedError) -> dict[int, Outcome]:
    """Outcomes of the members that a refusal points to, by their place in the request."""
    body = error.body if isinstance(error.body, dict) else {}
    found = body.get("error")
    violations = _violations(found if isinstance(found, dict) else {})
    return {place: _refusal(one) for one in reversed(violations) if (place := _place(one)) is not None}


def _bad_request(answer: Answer, error: Mapping[str, Any], what: str) -> MillstreamError:
    """A refusal of the request as a whole, unless it points to members alone."""
    violations = _violations(error)
    others = [one for one in violations if _place(one) is None]
    if answer.status_code not in _OF_SOMETHING_ELSE and (others or not violations):
        reason = str(others[0].get("reason") or "") if others else _reason(error)
        words = "; ".join(_told(one) for one in others[:3])
        remedy = _REMEDIES.get(reason, "this is about the request as a whole: check the connection's settings.")
        return ConfigurationError(f"{what} {words}".strip(), remedy=remedy)
    return RefusedError(what, status=answer.status_code, body=answer.said())


def _too_many(answer: Answer, error: Mapping[str, Any], what: str) -> MillstreamError:
    if "perday" in _quota(error).lower():
        remedy = "run again tomorrow, or ask Google for a larger quota of the Cloud project; what was sent is kept."
        return QuotaExhaustedError(what, resets_in=_seconds_of_the_day_left(), remedy=remedy)
    return RateLimitedError(what, retry_after=_delay(answer, error))


def _seconds_of_the_day_left() -> float:
    """Seconds until Google's quotas of a day are renewed: at midnight of its own time zone."""
    now = datetime.now(ZoneInfo(_QUOTAS_RENEW_IN))
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return (midnight.astimezone(UTC) - now.astimezone(UTC)).total_seconds()


def _delay(answer: Answer, error: Mapping[str, Any]) -> float | None:
    for detail in _details(error, "RetryInfo"):
        if found := _DELAY.fullmatch(str(detail.get("retryDelay"))):
            return float(found[1])
    return retry_after(answer.headers)


def _quota(error: Mapping[str, Any]) -> str:
    limits = (str((detail.get("metadata") or {}).get("quota_limit") or "") for detail in _details(error, "ErrorInfo"))
    return next(filter(None, limits), str(error.get("message") or "").replace(" ", ""))


def _error(answer: Answer) -> Mapping[str, Any]:
    error = answer.facts().get("error")
    return error if isinstance(error, dict) else {}


def _reason(error: Mapping[str, Any]) -> str:
    reasons = (str(detail.get("reason") or "") for detail in _details(error, "ErrorInfo"))
    return next(filter(None, reasons), str(error.get("status") or ""))


def _words(error: Mapping[str, Any]) -> str:
    return redact(str(error.get("message") or "it gave no reason."))[:300]


def _details(error: Mapping[str, Any], kind: str) -> list[Mapping[str, Any]]:
    details = error.get("details")
    parts = [one for one in details if isinstance(one, dict)] if isinstance(details, list) else []
    return [one for one in parts if str(one.get("@type", "")).endswith(f".{kind}")]


def _violations(error: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    found = [one for detail in _details(error, "BadRequest") for one in detail.get("fieldViolations") or ()]
    return [one for one in found if isinstance(one, dict)]


def _place(violation: Mapping[str, Any]) -> int | None:
    found = _MEMBER.search(str(violation.get("field") or ""))
    return int(found[1]) if found else None


def _refusal(violation: Mapping[str, Any]) -> Outcome:
    return rejected(str(violation.get("reason") or "invalid_argument").lower(), _told(violation))


def _told(violation: Mapping[str, Any]) -> str:
    field = _MEMBER.sub("", str(violation.get("field") or "")).strip(".")
    words = violation.get("description") or violation.get("reason") or "Google gave no reason."
    return redact(f"{field}: {words}" if field else str(words))[:200]
