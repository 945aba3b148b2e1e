"""What Salesforce's error answers mean to a pull, beyond their HTTP status and what they mean to everybody."""

from __future__ import annotations

from millstream.state.errors import MillstreamError, PermissionDeniedError, RefusedError
from millstream.state.http import Answer
from millstream.state.vendors.salesforce import code_and_words, error_of, problem_of

BAD_LOCATOR, TIMEOUT, TOO_LARGE = "INVALID_QUERY_LOCATOR", "QUERY_TIMEOUT", "OPERATION_TOO_LARGE"
_HIDING = frozenset({"INVALID_TYPE", "INSUFFICIENT_ACCESS"})


def classify(answer: Answer) -> MillstreamError | None:
    """The error that an answer stands for, or None where its status says it all."""
    problem = problem_of(answer)
    if problem is not None or answer.status_code < 400:
        return problem
    code, words = error_of(answer)
    if code in _HIDING:
        return PermissionDeniedError(
            f"Salesforce does not show this object to the user: {words}",
            remedy="give the user read access to the object (profile or permission set), or leave the stream out.",
        )
    if answer.status_code in (400, 409) and code:
        return RefusedError(f"Salesforce refuses the request ({code}): {words}", status=400, body=answer.json())
    return None


def code_of(error: RefusedError) -> str:
    """The code of a refusal that was raised."""
    return code_and_words(error.body)[0]
