"""What Mixpanel's error answers mean beyond their HTTP status."""

from __future__ import annotations

import math
import re

from millstream.state.errors import (
    AuthenticationError,
    MalformedAnswerError,
    MillstreamError,
    PermissionDeniedError,
    QuotaExhaustedError,
    RateLimitedError,
    RefusedError,
)
from millstream.state.http import Answer
from millstream.state.http.pacing import retry_after

HOUR = 3600.0
LONGEST_WAIT = 300.0
"""Seconds that are waited out; a longer wait means that the hour's requests are used up."""

FIRST_WAIT = 60.0
"""Seconds to wait where a refusal does not say how long."""

_LAST_HOUR = re.compile(r"(\d+)/(\d+) queries running in the last hour")
_NOBODY = ("unable to authenticate", "invalid service account", "invalid credentials")
_CREDENTIAL = (
    "check username, secret and region of the connection: a service account of another region is unknown there. It "
    "may have expired, or was not added to the project."
)
_ROLE = (
    "give the service account a role in the project that may read its data (Analyst or above), and check project_id."
)
_PLAN = "the project's plan has no Query API: leave the streams profiles and cohorts out with `streams`."


def classify(answer: Answer) -> MillstreamError | None:
    """The error that an answer stands for, or None where its status says it all."""
    status = answer.status_code
    if status < 400 or status >= 500:
        return None
    words = said(answer)
    if status == 429 or "rate limit exceeded" in words.lower():
        return _throttled(answer, words)
    if status == 401 or any(text in words.lower() for text in _NOBODY):
        return AuthenticationError(f"Mixpanel does not accept the service account: {words}", remedy=_CREDENTIAL)
    if status == 402:
        return PermissionDeniedError(f"Mixpanel wants another plan for this: {words}", remedy=_PLAN)
    if status == 403:
        return PermissionDeniedError(f"Mixpanel does not let this service account read it: {words}", remedy=_ROLE)
    if "later than today" in words.lower():
        return RefusedError(
            f"Mixpanel's day has not begun: {words}",
            status=status,
            remedy="set `timezone` to the project's, which is not UTC where the project was made before 2023.",
        )
    return None


def _throttled(answer: Answer, words: str) -> MillstreamError:
    """Too fast, or the hour's requests are used up: other programs of the project count, too."""
    wait = retry_after(answer.headers)
    used = _LAST_HOUR.search(words)
    is_hour = wait > LONGEST_WAIT if wait is not None else used and int(used.group(1)) >= int(used.group(2))
    if not is_hour:
        return RateLimitedError(
            f"Mixpanel asks for fewer requests: {words}", retry_after=FIRST_WAIT if wait is None else wait
        )
    # No pause of the whole connection: exports and queries have an hour's budget each.
    resets_in = HOUR if wait is None else wait
    return QuotaExhaustedError(
        f"The project's requests of this hour are used up: {words}",
        resets_in=resets_in,
        remedy=f"run again in {math.ceil(resets_in / 60)} min; what was read so far is kept. More days in one export "
        "(`days_a_request`) need fewer requests.",
    )


def said(answer: Answer) -> str:
    """The vendor's own words: JSON with ``error`` or ``message``, or plain text."""
    try:
        body = answer.json()
    except MalformedAnswerError:
        return answer.text.strip()[:300]
    if not isinstance(body, dict):
        return ""
    return str(body.get("error") or body.get("message") or "")[:300]
