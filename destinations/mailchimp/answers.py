"""What Mailchimp's answers mean for rows."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from millstream.destinations.contract import Outcome, accepted, rejected, retry_later, suppressed
from millstream.destinations.mailchimp.jobs import Result
from millstream.destinations.rows import masked
from millstream.state.errors import RefusedError
from millstream.state.http.problems import RETRYABLE_STATUSES

_NOT_ADDRESSABLE = {
    "unsubscribed": "The person unsubscribed from the list.",
    "cleaned": "Mail to the address bounced; Mailchimp no longer sends to it.",
    "archived": "The person is archived in the list.",
}


def member_id(email: str) -> str:
    """Mailchimp's id of a person on a list."""
    return hashlib.md5(email.strip().lower().encode(), usedforsecurity=False).hexdigest()


def outcome_of(member: Mapping[str, Any]) -> Outcome:
    """What a member, as Mailchimp answers it, means for the row."""
    status = str(member.get("status"))
    if status in _NOT_ADDRESSABLE:
        return suppressed(status, _NOT_ADDRESSABLE[status])
    return accepted(str(member["id"]))


def refusal_of(error: RefusedError, email: str) -> Outcome:
    """The outcome of a request for one person that was refused (problem+json)."""
    body = error.body if isinstance(error.body, dict) else {}
    title = str(body.get("title") or f"HTTP {error.status}")
    faults = [f"{fault.get('field')}: {fault.get('message')}" for fault in body.get("errors") or ()]
    text = " ".join([title + ".", str(body.get("detail") or ""), *faults])
    return refusal(re.sub(r"\W+", "_", title.lower()), text, email)


def not_on_list() -> Outcome:
    """The outcome of a change of somebody who is not there."""
    return rejected("not_on_list", "The person is not on the list, and this mode creates nobody.")


def outcome_of_result(result: Result | None, email: str) -> Outcome:
    """What the answer to one operation of a job means for its row."""
    if result is None:
        return retry_later("not_in_results", "The results of the job do not name the row.")
    if result.status < 400 and isinstance(result.body, dict):
        return outcome_of(result.body)
    if result.status == 404:
        return not_on_list()
    title = str(result.body.get("title")) if isinstance(result.body, dict) else "no body"
    what = f"Mailchimp answered HTTP {result.status} to the operation: {title}."
    if result.status < 400 or result.status in {401, 403, *RETRYABLE_STATUSES}:
        # Not the row's fault: a throttle, an outage, or a key that ended while the job ran.
        return retry_later("unavailable", what)
    return refusal_of(RefusedError(what, status=result.status, body=result.body), email)


def refusal(code: str, text: str, email: str) -> Outcome:
    """Suppressed for people whom Mailchimp will not take back, else rejected."""
    reason = masked(text, email)
    words = text.lower()
    if "compliance" in words:
        return suppressed("compliance_state", reason)
    if "forgotten" in words or "permanently deleted" in words:
        return suppressed("forgotten", reason)
    return rejected(code, reason)


def segment_faults(answer: Mapping[str, Any]) -> dict[str, str]:
    """Error texts of a tag change by e-mail address."""
    return {
        str(email).lower(): masked(str(fault.get("error")), str(email))
        for fault in answer.get("errors") or ()
        for email in fault.get("email_addresses") or ()
    }


def id_of(name: str, tags: Iterable[Mapping[str, Any]]) -> str | None:
    """The id of the tag with this name, in upper or lower case."""
    return next((str(tag["id"]) for tag in tags if str(tag["name"]).casefold() == name.casefold()), None)
