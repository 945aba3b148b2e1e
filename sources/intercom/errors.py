"""What Intercom's error answers mean to the source beyond their HTTP status."""

from __future__ import annotations

from millstream.state.errors import MillstreamError, RefusedError, UnavailableError
from millstream.state.http import Answer
from millstream.state.vendors.intercom import first_error, problem_of, words_of

SCROLL_WAIT = 15.0
"""Seconds between two tries while somebody else's scroll is open; one that is not used ends after a minute."""

_PERMISSION = (
    "in the Developer Hub, under Authentication, give the app the permission to read it and make a new token if it "
    "asks for one; or leave the stream out with `streams`."
)


def classify(answer: Answer) -> MillstreamError | None:
    """The error that an answer stands for, or None where its status says it all."""
    status = answer.status_code
    if status < 400:
        return None
    if (problem := problem_of(answer, if_denied=_PERMISSION)) is not None:
        return problem
    body = answer.said()
    code, words = first_error(body)[0], words_of(body)
    if code == "scroll_exists":
        return UnavailableError("Another program is scrolling through the companies.", retry_after=SCROLL_WAIT)
    if status == 500 and "restart" in words.lower():
        return RefusedError(f"Intercom lost its place{words}", status=status)
    if status == 400:
        remedy = "check the setting `version`." if code == "intercom_version_invalid" else None
        return RefusedError(f"Intercom refused the request{words}", status=status, remedy=remedy)
    return None
