"""What Intercom's answers mean for rows and for a sync."""

from __future__ import annotations

import re

from millstream.destinations.contract import DeliveryRow, Outcome, rejected, suppressed
from millstream.destinations.rows import masked
from millstream.state.errors import ConfigurationError, MillstreamError, RefusedError
from millstream.state.http import Answer
from millstream.state.privacy import redact
from millstream.state.vendors import intercom

NOT_FOUND = 404
CONFLICT = 409

STRANGER = rejected("not_found", "Intercom has no such contact.")
ARCHIVED = suppressed("archived", "The contact is archived at Intercom, and bring_back_archived is not set.")
BLOCKED = suppressed("blocked", "The contact is blocked at Intercom.")
OTHER_PERSON = rejected("other_person", "The e-mail address is that of a contact with another external id.")

_PERMISSION = (
    "in the Developer Hub, under Authentication, give the app the permissions to write users, tags and data attributes."
)
_REFUSALS = frozenset({400, NOT_FOUND, CONFLICT, 422})
_WRONG_VERSION = "intercom_version_invalid"
_NO_SUCH_ATTRIBUTE = "parameter_not_found"
_ID = re.compile(r"\bid=([\w-]+)")


def problem_of(answer: Answer) -> MillstreamError | None:
    """The error that an answer stands for; None where its status says it all."""
    if (problem := intercom.problem_of(answer, if_denied=_PERMISSION)) is not None:
        return problem
    body = answer.said()
    code, _ = intercom.first_error(body)
    if code == _WRONG_VERSION:
        return ConfigurationError("Intercom does not have this version of its API.", remedy="check version.")
    if code and answer.status_code in _REFUSALS:
        # A 404 without an error of Intercom's own is none of its answers: the address is wrong.
        what = f"Intercom refuses the request{redact(intercom.words_of(body))}"
        return RefusedError(what, status=answer.status_code, body=body)
    return None


def refusal_of(error: RefusedError, row: DeliveryRow) -> Outcome:
    """The outcome of a row that is refused."""
    code, message = intercom.first_error(error.body)
    reason = masked(message or error.what, row.match_value)
    if code == _NO_SUCH_ATTRIBUTE:
        return rejected(code, reason, fault="configuration")
    return rejected(code or "refused", reason)


def contact_in_the_way(error: RefusedError) -> str | None:
    """The id of the contact that is there already; Intercom tells it in words alone."""
    found = _ID.search(intercom.first_error(error.body)[1])
    return found.group(1) if found else None


def is_archived(error: RefusedError) -> bool:
    """Whether the contact that is there already is in the archive."""
    return "archived" in intercom.first_error(error.body)[1].lower()
