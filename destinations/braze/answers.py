"""What Braze's answers mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from millstream.destinations.contract import DeliveryRow, Outcome, rejected
from millstream.destinations.modes import Status
from millstream.destinations.rows import masked
from millstream.state.errors import (
    AuthenticationError,
    MillstreamError,
    PermissionDeniedError,
    RateLimitedError,
    RefusedError,
)
from millstream.state.http import Answer
from millstream.state.http.pacing import retry_after

_WELL = ("success", "queued")
_REMEDY = "check the REST API key, and that instance or base_url is the workspace's: a key is good on its own alone."


def problem_of(answer: Answer) -> MillstreamError | None:
    """The error that an answer stands for, where it is another than its HTTP status says."""
    status = answer.status_code
    message = str(answer.facts().get("message") or "")
    if status in {401, 403} and "permission" in message.lower():
        return PermissionDeniedError(
            f"Braze refuses: {message}.", remedy="add the permission to the REST API key in Settings, API Keys."
        )
    if status == 401 or (status == 404 and "api key" in message.lower()):
        return AuthenticationError(f"Braze does not take the key: {message or 'no reason given'}.", remedy=_REMEDY)
    if status == 429:
        asked = answer.headers.get("X-Ratelimit-Retry-After")
        wait = retry_after({"Retry-After": asked}) if asked else retry_after(answer.headers)
        return RateLimitedError("Braze asks to slow down.", retry_after=wait)
    if status < 300 and message and message not in _WELL:
        # A fatal error under a good status: nothing of the request was processed.
        return RefusedError(f"Braze refuses: {message}", status=status, body=answer.said())
    return None


def taken(match_value: str) -> Outcome:
    """Braze took the row into its queue, and says no more. The id is our own: it tells that Braze has the person."""
    return Outcome(status=Status.ACCEPTED_ASYNC, external_id=match_value)


def faults_by_place(body: Mapping[str, Any], rows: Sequence[DeliveryRow]) -> dict[int, Outcome]:
    """Outcomes of the rows that an answer names as faulty, by their place in the request."""
    found: dict[int, Outcome] = {}
    for fault in body.get("errors") or ():
        if not isinstance(fault, Mapping) or fault.get("input_array", "attributes") != "attributes":
            continue
        place = fault.get("index")
        if isinstance(place, int) and 0 <= place < len(rows):
            words = str(fault.get("type") or "Braze gave no reason.")
            found[place] = rejected("not_processed", masked(words, rows[place].match_value))
    return found
